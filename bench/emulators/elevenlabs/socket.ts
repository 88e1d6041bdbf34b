/** One socket of `…/multi-stream-input`: its contexts, and the frames that reach them. */
import type { OutputFormat } from "../audio-output.js";
import { IdleWatch } from "../idle-watch.js";
import { LiveFaults } from "../live-faults.js";
import type { EmulatorSettings } from "../options.js";
import { callIdOfContext } from "../speech-queue.js";
import type { Wire, WireHandler } from "../wire.js";
import { ElevenLabsContext } from "./context.js";
import type {
  ElevenLabsContextFault,
  ElevenLabsContextInfo,
  ElevenLabsLiveFault,
  ElevenLabsSocketFault,
} from "./faults.js";
import { type ElevenLabsFrame, errorFrame, parseFrame } from "./messages.js";

const POLICY_VIOLATION = 1008;
/** Of frames that name none. */
const DEFAULT_CONTEXT = "default";

/** What a socket shares with the others of the account. */
export interface ElevenLabsAccount {
  /** Contexts that are not over, on all sockets. */
  activeContexts: number;
  takeContextFaults(info: ElevenLabsContextInfo): readonly ElevenLabsContextFault[];
}

export interface SocketOptions {
  readonly format: OutputFormat;
  readonly aligned: boolean;
  readonly inactivityMs: number;
}

export class ElevenLabsSocket implements WireHandler {
  readonly #wire: Wire;
  readonly #options: SocketOptions;
  readonly #settings: EmulatorSettings;
  readonly #account: ElevenLabsAccount;
  readonly #onEnd: () => void;
  readonly #contexts = new Map<string, ElevenLabsContext>();
  readonly #faults: LiveFaults;
  readonly #idle: IdleWatch;

  constructor(
    wire: Wire,
    options: SocketOptions,
    settings: EmulatorSettings,
    account: ElevenLabsAccount,
    onEnd: () => void,
  ) {
    this.#wire = wire;
    this.#options = options;
    this.#settings = settings;
    this.#account = account;
    this.#onEnd = onEnd;
    this.#faults = new LiveFaults(wire, settings, {
      sendError: (status, message) => wire.sendJson(errorFrame(status, message, null)),
      garbage: '{"audio":',
    });
    this.#idle = new IdleWatch(settings.clock, options.inactivityMs, () =>
      this.#refuse("No message came within the inactivity timeout.", "input_timeout_exceeded"),
    );
    wire.onSent = () => {
      this.#idle.touch();
      this.#faults.strikeDue();
    };
  }

  get contextIds(): readonly string[] {
    return [...this.#contexts.keys()];
  }

  addFaults(faults: readonly ElevenLabsSocketFault[]): void {
    this.#faults.add(faults);
  }

  inject(fault: ElevenLabsLiveFault): void {
    this.#faults.inject(fault);
  }

  /** Every context, as if its inactivity time-out had passed. */
  forgetContexts(): void {
    for (const context of this.#contexts.values()) context.forget();
  }

  onText(text: string): void {
    this.#idle.touch();
    const frame = parseFrame(text);
    if ("problem" in frame) {
      this.#refuse(frame.problem, "invalid_message");
    } else if (frame.close_socket === true) {
      this.#wire.close(1000, "");
    } else {
      this.#onFrame(frame, frame.context_id ?? DEFAULT_CONTEXT);
    }
  }

  onBinary(): void {
    this.#refuse("Messages must be text frames.", "invalid_message");
  }

  /** Answered below us. */
  onPing(): void {}

  onClosed(): void {
    this.#idle.stop();
    for (const context of this.#contexts.values()) context.abandon();
    this.#onEnd();
  }

  #onFrame(frame: ElevenLabsFrame, contextId: string): void {
    const known = this.#contexts.get(contextId);
    if (frame.close_context === true) {
      known?.close(); // its text is ignored
      return;
    }
    if (known !== undefined && (frame.voice_settings ?? frame.generation_config) != null) {
      this.#refuse("Settings may only be sent in the first message of a context.", "invalid_message");
      return;
    }
    const context = known ?? this.#openContext(contextId, frame.text ?? "");
    context?.push(frame.text ?? "", frame.flush === true);
  }

  #openContext(contextId: string, text: string): ElevenLabsContext | null {
    const { elevenLabsContexts, elevenLabsContextsPerSocket } = this.#settings.limits;
    if (this.#contexts.size >= elevenLabsContextsPerSocket) {
      this.#refuse(
        `Maximum simultaneous contexts exceeded (${elevenLabsContextsPerSocket}).`,
        "max_contexts",
      );
      return null;
    }
    if (this.#account.activeContexts >= elevenLabsContexts) {
      const message = `Your plan allows ${elevenLabsContexts} concurrent requests.`;
      this.#wire.sendJson(errorFrame(429, message, contextId, "too_many_concurrent_requests"));
      return null;
    }
    const info = { contextId, callId: callIdOfContext(contextId), text };
    const faults = this.#account.takeContextFaults(info);
    const context = new ElevenLabsContext({ ...this.#options, contextId, faults }, this.#settings, {
      send: (message) => this.#wire.sendJson(message),
      onEnd: () => this.#contextOver(contextId),
      dropSocket: () => this.#wire.drop(),
    });
    this.#contexts.set(contextId, context);
    this.#account.activeContexts += 1;
    return context;
  }

  /** Its id may be used again, for a new one. */
  #contextOver(contextId: string): void {
    if (this.#contexts.delete(contextId)) this.#account.activeContexts -= 1;
  }

  /** An error for the whole socket, which then is closed. */
  #refuse(message: string, word: string): void {
    this.#wire.sendJson(errorFrame(POLICY_VIOLATION, message, null, word));
    this.#wire.close(POLICY_VIOLATION, message.slice(0, 100));
  }
}
