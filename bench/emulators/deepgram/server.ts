/** The Deepgram server: who may open a stream, how many, and which of the two protocol versions it speaks. */
import { randomUUID } from "node:crypto";
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import type { Wire } from "../wire.js";
import { type UpgradeAnswer, type UpgradeRequest, WsHost } from "../ws-host.js";
import type { DeepgramFault, DeepgramStreamFault, DeepgramStreamInfo } from "./faults.js";
import { FluxSession } from "./flux-session.js";
import { QueryProblem, callIdOf, parseFluxQuery, parseV1Query } from "./query.js";
import type { StreamIdentity } from "./utterance-log.js";
import { V1Session } from "./v1-session.js";

/** A stream that is open. */
export interface LiveStream {
  readonly flavour: "v1" | "flux";
  readonly callId: string | null;
  readonly requestId: string;
  /** Audio heard so far. */
  readonly audioMs: number;
  inject(fault: DeepgramStreamFault): void;
}

export interface DeepgramControl {
  readonly faults: FaultSwitch<DeepgramFault, DeepgramStreamInfo>;
  readonly live: readonly LiveStream[];
  /** Streams opened since the start. */
  readonly openedCount: number;
  /** Upgrades refused since the start. */
  readonly refusedCount: number;
}

export class DeepgramServer implements DeepgramControl {
  readonly #settings: EmulatorSettings;
  readonly #host: WsHost;
  readonly faults = new FaultSwitch<DeepgramFault, DeepgramStreamInfo>();
  readonly #live = new Set<LiveStream>();
  #openedCount = 0;
  #refusedCount = 0;

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#host = new WsHost(
      settings.clock,
      (request) => this.#decide(request),
      () => false,
    );
  }

  get live(): readonly LiveStream[] {
    return [...this.#live];
  }

  get openedCount(): number {
    return this.#openedCount;
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** The port it listens on. */
  listen(): Promise<number> {
    return this.#host.listen(this.#settings.host, this.#settings.ports.deepgram);
  }

  close(): void {
    this.#host.close();
  }

  #decide(request: UpgradeRequest): UpgradeAnswer {
    const requestId = randomUUID();
    const flavour = request.path === "/v1/listen" ? "v1" : request.path === "/v2/listen" ? "flux" : null;
    if (flavour === null) return this.#refuse(requestId, 404, "NOT_FOUND", "Not Found");
    const callId = callIdOf(request.query);
    const faults = this.faults.take({ flavour, callId, query: request.query });
    if (faultOf(faults, "dropHandshake") !== undefined) return { kind: "drop" };
    const refused = faultOf(faults, "refuse");
    if (refused !== undefined) {
      const usual = USUAL_REFUSALS[refused.status];
      const errCode = refused.errCode ?? usual.errCode;
      return this.#refuse(requestId, refused.status, errCode, refused.message ?? usual.message);
    }
    if (!this.#authorised(request))
      return this.#refuse(requestId, 401, "INVALID_AUTH", "Invalid credentials.");
    let begin: (wire: Wire) => V1Session | FluxSession;
    try {
      begin = this.#sessionFor(
        flavour,
        request.query,
        { requestId, modelUuid: randomUUID(), callId },
        faults,
      );
    } catch (error) {
      if (!(error instanceof QueryProblem)) throw error;
      return this.#refuse(requestId, 400, error.errCode, error.message);
    }
    if (this.#live.size >= this.#settings.limits.deepgramStreams) {
      const message = "Too many requests. Please try again later.";
      return this.#refuse(requestId, 429, "TOO_MANY_REQUESTS", message);
    }
    const delayMs = faultOf(faults, "slowHandshake")?.delayMs;
    const protocol = request.header("sec-websocket-protocol").split(",")[0]!.trim();
    return {
      kind: "accept",
      headers: { "dg-request-id": requestId },
      ...(protocol === "" ? {} : { protocol }),
      ...(delayMs === undefined ? {} : { delayMs }),
      begin,
    };
  }

  #sessionFor(
    flavour: "v1" | "flux",
    query: URLSearchParams,
    identity: StreamIdentity,
    faults: readonly DeepgramFault[],
  ): (wire: Wire) => V1Session | FluxSession {
    const open = (session: V1Session | FluxSession): V1Session | FluxSession => {
      const { callId, requestId } = identity;
      this.#openedCount += 1;
      live = {
        flavour,
        callId,
        requestId,
        get audioMs() {
          return session.audioMs;
        },
        inject: (fault) => session.faults.inject(fault),
      };
      this.#live.add(live);
      session.faults.addAll(faults);
      return session;
    };
    let live: LiveStream | null = null;
    const onEnd = (): void => {
      if (live !== null) this.#live.delete(live);
    };
    if (flavour === "v1") {
      const options = parseV1Query(query);
      return (wire) => open(new V1Session(wire, this.#settings, options, identity, onEnd));
    }
    const options = parseFluxQuery(query);
    return (wire) => open(new FluxSession(wire, this.#settings, options, identity, onEnd));
  }

  /** `Token <key>` or `Bearer <token>`, or both as a subprotocol where headers are impossible. */
  #authorised(request: UpgradeRequest): boolean {
    const { apiKey } = this.#settings;
    const header = request.header("authorization");
    if (header !== "")
      return /^(token|bearer)$/i.test(header.split(" ")[0]!) && header.endsWith(` ${apiKey}`);
    const protocols = request.header("sec-websocket-protocol").split(",");
    return /^(token|bearer)$/.test(protocols[0]!.trim()) && protocols[1]?.trim() === apiKey;
  }

  #refuse(requestId: string, status: number, errCode: string, message: string): UpgradeAnswer {
    this.#refusedCount += 1;
    const body = JSON.stringify({ err_code: errCode, err_msg: message, request_id: requestId });
    return {
      kind: "refuse",
      answer: { status, headers: { "dg-request-id": requestId, "dg-error": message }, body },
    };
  }
}

const USUAL_REFUSALS = {
  400: { errCode: "Bad Request", message: "Bad Request." },
  401: { errCode: "INVALID_AUTH", message: "Invalid credentials." },
  402: { errCode: "ASR_PAYMENT_REQUIRED", message: "Payment required." },
  403: {
    errCode: "INSUFFICIENT_PERMISSIONS",
    message: "Project does not have access to the requested model.",
  },
  429: { errCode: "TOO_MANY_REQUESTS", message: "Too many requests. Please try again later." },
  500: { errCode: "INTERNAL_SERVER_ERROR", message: "Internal server error." },
  503: { errCode: "SERVICE_UNAVAILABLE", message: "Service unavailable." },
} as const;
