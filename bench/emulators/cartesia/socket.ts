/** One socket of `/tts/websocket`: its contexts, and the frames that reach them. */
import { randomUUID } from "node:crypto";
import { IdleWatch } from "../idle-watch.js";
import { LiveFaults } from "../live-faults.js";
import type { EmulatorSettings } from "../options.js";
import { callIdOfContext } from "../speech-queue.js";
import type { Wire, WireHandler } from "../wire.js";
import { BUFFER_DELAY_DEFAULT_MS, TtsContext } from "./context.js";
import type {
  CartesiaContextFault,
  CartesiaContextInfo,
  CartesiaLiveFault,
  CartesiaSocketFault,
} from "./faults.js";
import { errorMessage } from "./messages.js";
import { type GenerationRequest, fixedFields, parseFrame } from "./request.js";

/** The vendor closes a socket on which nothing happened for this long. */
const SOCKET_IDLE_MS = 300_000;
/** Ids of contexts that are over, kept to tell who uses one again. */
const OVER_KEPT = 1_000;

/** What a socket shares with the others of the account. */
export interface CartesiaAccount {
  /** Contexts that are not over, on all sockets. */
  activeContexts: number;
  takeContextFaults(info: CartesiaContextInfo): readonly CartesiaContextFault[];
}

interface OpenContext {
  readonly context: TtsContext;
  /** The fields that may not change. */
  readonly fixed: string;
}

export class CartesiaSocket implements WireHandler {
  readonly #wire: Wire;
  readonly #settings: EmulatorSettings;
  readonly #account: CartesiaAccount;
  readonly #onEnd: () => void;
  readonly #contexts = new Map<string, OpenContext>();
  readonly #over = new Set<string>();
  readonly #faults: LiveFaults;
  readonly #idle: IdleWatch;

  constructor(wire: Wire, settings: EmulatorSettings, account: CartesiaAccount, onEnd: () => void) {
    this.#wire = wire;
    this.#settings = settings;
    this.#account = account;
    this.#onEnd = onEnd;
    this.#idle = new IdleWatch(settings.clock, SOCKET_IDLE_MS, () => wire.close(1000, "idle timeout"));
    this.#faults = new LiveFaults(wire, settings, {
      sendError: (status, message) => this.#sendError(status, message, "internal_error", null),
      garbage: '{"type":"chunk","data":',
    });
    wire.onSent = () => {
      this.#idle.touch();
      this.#faults.strikeDue();
    };
  }

  get contextIds(): readonly string[] {
    return [...this.#contexts.keys()];
  }

  addFaults(faults: readonly CartesiaSocketFault[]): void {
    this.#faults.add(faults);
  }

  inject(fault: CartesiaLiveFault): void {
    this.#faults.inject(fault);
  }

  /** An error for one of its contexts, now. */
  failContext(contextId: string, status: number, message: string): void {
    this.#contexts.get(contextId)?.context.fail(status, message, "internal_error");
  }

  onText(text: string): void {
    this.#idle.touch();
    const frame = parseFrame(text);
    if ("problem" in frame) this.#sendError(400, frame.problem, "invalid_request", frame.contextId);
    else if ("cancel" in frame) this.#contexts.get(frame.context_id)?.context.cancel();
    else this.#generate(frame);
  }

  onBinary(): void {
    this.#sendError(400, "Messages must be text frames.", "invalid_request", null);
  }

  /** Answered below us. Whether the vendor counts it as activity is not known; a client must not rely on it. */
  onPing(): void {}

  onClosed(): void {
    this.#idle.stop();
    for (const { context } of this.#contexts.values()) context.abandon();
    this.#onEnd();
  }

  #generate(request: GenerationRequest): void {
    const contextId = request.context_id ?? randomUUID();
    const more = request.continue === true;
    const open = this.#contexts.get(contextId) ?? this.#openContext(contextId, request);
    if (open === null) return;
    if (open.fixed !== fixedFields(request)) {
      const message = "Only transcript, continue, flush and duration may change within a context.";
      open.context.fail(400, message, "invalid_request", "Context changed");
      return;
    }
    open.context.push(request.transcript, more, request.flush === true);
  }

  #openContext(contextId: string, request: GenerationRequest): OpenContext | null {
    if (this.#over.has(contextId)) {
      const message = "The context has expired or was finished; use a new context_id.";
      this.#sendError(400, message, "context_expired", contextId);
      return null;
    }
    const { cartesiaContexts } = this.#settings.limits;
    if (this.#account.activeContexts >= cartesiaContexts) {
      const message = `Too many concurrent requests: the limit of your plan is ${cartesiaContexts}.`;
      this.#sendError(429, message, "concurrency_limited", contextId);
      return null;
    }
    const context = new TtsContext(
      {
        contextId,
        format: request.output_format,
        timestamps: request.add_timestamps === true,
        phonemeTimestamps: request.add_phoneme_timestamps === true,
        bufferDelayMs: request.max_buffer_delay_ms ?? BUFFER_DELAY_DEFAULT_MS,
        faults: this.#account.takeContextFaults({
          contextId,
          callId: callIdOfContext(contextId),
          text: request.transcript,
        }),
      },
      this.#settings,
      {
        send: (message) => this.#wire.sendJson(message),
        onEnd: () => this.#contextOver(contextId),
        dropSocket: () => this.#wire.drop(),
      },
    );
    const open = { context, fixed: fixedFields(request) };
    this.#contexts.set(contextId, open);
    this.#account.activeContexts += 1;
    return open;
  }

  #contextOver(contextId: string): void {
    if (!this.#contexts.delete(contextId)) return;
    this.#account.activeContexts -= 1;
    this.#over.add(contextId);
    if (this.#over.size > OVER_KEPT) this.#over.delete(this.#over.values().next().value!);
  }

  #sendError(status: number, message: string, errorCode: string, contextId: string | null): void {
    const title = status === 429 ? "Too many requests" : "Invalid request";
    this.#wire.sendJson(errorMessage(status, message, errorCode, contextId, title));
  }
}
