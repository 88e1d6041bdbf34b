/** The ElevenLabs server: who may open a multi-context socket, and the account that all sockets share. */
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import { type UpgradeAnswer, type UpgradeRequest, WsHost } from "../ws-host.js";
import type {
  ElevenLabsContextFault,
  ElevenLabsContextInfo,
  ElevenLabsLiveFault,
  ElevenLabsSocketFault,
  ElevenLabsSocketInfo,
} from "./faults.js";
import { ELEVENLABS_FORMATS } from "./messages.js";
import { type ElevenLabsAccount, ElevenLabsSocket, type SocketOptions } from "./socket.js";

const INACTIVITY_DEFAULT_S = 20;
const INACTIVITY_MAX_S = 180;
const PATH = /^\/v1\/text-to-speech\/([^/]+)\/multi-stream-input$/;

/** A socket that is open. */
export interface LiveElevenLabsSocket {
  /** Contexts that are not over. */
  readonly contextIds: readonly string[];
  inject(fault: ElevenLabsLiveFault): void;
  /** Every context, as if its inactivity time-out had passed. */
  forgetContexts(): void;
}

export interface ElevenLabsControl {
  readonly socketFaults: FaultSwitch<ElevenLabsSocketFault, ElevenLabsSocketInfo>;
  readonly contextFaults: FaultSwitch<ElevenLabsContextFault, ElevenLabsContextInfo>;
  readonly live: readonly LiveElevenLabsSocket[];
  /** Contexts that are not over, on all sockets. */
  readonly activeContexts: number;
  /** Sockets opened since the start. */
  readonly openedCount: number;
}

export class ElevenLabsServer implements ElevenLabsControl {
  readonly #settings: EmulatorSettings;
  readonly #host: WsHost;
  readonly socketFaults = new FaultSwitch<ElevenLabsSocketFault, ElevenLabsSocketInfo>();
  readonly contextFaults = new FaultSwitch<ElevenLabsContextFault, ElevenLabsContextInfo>();
  readonly #live = new Set<ElevenLabsSocket>();
  readonly #account: ElevenLabsAccount;
  #openedCount = 0;

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#account = { activeContexts: 0, takeContextFaults: (info) => this.contextFaults.take(info) };
    this.#host = new WsHost(
      settings.clock,
      (request) => this.#decide(request),
      () => false,
    );
  }

  get live(): readonly LiveElevenLabsSocket[] {
    return [...this.#live];
  }

  get activeContexts(): number {
    return this.#account.activeContexts;
  }

  get openedCount(): number {
    return this.#openedCount;
  }

  /** The port it listens on. */
  listen(): Promise<number> {
    return this.#host.listen(this.#settings.host, this.#settings.ports.elevenlabs);
  }

  close(): void {
    this.#host.close();
  }

  #decide(request: UpgradeRequest): UpgradeAnswer {
    if (!PATH.test(request.path)) return refuse(404, "not_found", "Not Found");
    const faults = this.socketFaults.take({ query: request.query });
    if (faultOf(faults, "dropHandshake") !== undefined) return { kind: "drop" };
    const refused = faultOf(faults, "refuse");
    if (refused !== undefined) return refuse(refused.status, "refused", refused.message ?? "refused");
    const options = this.#optionsOf(request);
    if ("kind" in options) return options;
    const delayMs = faultOf(faults, "slowHandshake")?.delayMs;
    return {
      kind: "accept",
      headers: {},
      ...(delayMs === undefined ? {} : { delayMs }),
      begin: (wire) => {
        const socket = new ElevenLabsSocket(wire, options, this.#settings, this.#account, () =>
          this.#live.delete(socket),
        );
        this.#live.add(socket);
        this.#openedCount += 1;
        socket.addFaults(faults);
        return socket;
      },
    };
  }

  #optionsOf(request: UpgradeRequest): SocketOptions | UpgradeAnswer {
    const { query } = request;
    const key = request.header("xi-api-key") || query.get("xi-api-key");
    if (key !== this.#settings.apiKey) return refuse(401, "invalid_api_key", "Invalid API key");
    const model = query.get("model_id") ?? "eleven_multilingual_v2";
    if (!/^eleven_\w+$/.test(model) || model === "eleven_v3") {
      return refuse(400, "model_not_found", `A model with model ID ${model} does not exist here`);
    }
    const name = query.get("output_format") ?? "mp3_44100_128";
    const format = ELEVENLABS_FORMATS[name];
    if (format === undefined) return refuse(400, "invalid_output_format", `${name} is not spoken here`);
    const inactivityS = Number(query.get("inactivity_timeout") ?? INACTIVITY_DEFAULT_S);
    if (!(inactivityS > 0 && inactivityS <= INACTIVITY_MAX_S)) {
      return refuse(400, "invalid_request", `inactivity_timeout must be at most ${INACTIVITY_MAX_S}`);
    }
    return { format, aligned: query.get("sync_alignment") === "true", inactivityMs: inactivityS * 1000 };
  }
}

function refuse(status: number, word: string, message: string): UpgradeAnswer {
  const body = JSON.stringify({ detail: { status: word, message } });
  return { kind: "refuse", answer: { status, headers: {}, body } };
}
