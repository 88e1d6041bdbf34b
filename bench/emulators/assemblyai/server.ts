/** The AssemblyAI server: who may open a session, how many at once, and how many new ones in a minute. */
import { randomUUID } from "node:crypto";
import type { DeepgramFault, DeepgramStreamFault } from "../deepgram/faults.js";
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import type { Wire, WireHandler } from "../wire.js";
import { type UpgradeAnswer, type UpgradeRequest, WsHost } from "../ws-host.js";
import { parseAssemblyQuery } from "./query.js";
import { AssemblySession } from "./session.js";

/** Recognisers on a socket fail in the same ways; those of Deepgram's own vocabulary do nothing here. */
export type AssemblyFault = DeepgramFault;
export type AssemblyStreamFault = DeepgramStreamFault;

export interface AssemblySessionInfo {
  readonly query: URLSearchParams;
}

/** A session that is open. */
export interface LiveAssemblySession {
  readonly sessionId: string;
  readonly audioMs: number;
  inject(fault: AssemblyStreamFault): void;
}

export interface AssemblyControl {
  readonly faults: FaultSwitch<AssemblyFault, AssemblySessionInfo>;
  readonly live: readonly LiveAssemblySession[];
  readonly openedCount: number;
  readonly refusedCount: number;
}

const MINUTE_MS = 60_000;
const nothing: WireHandler = { onText() {}, onBinary() {}, onPing() {}, onClosed() {} };

export class AssemblyServer implements AssemblyControl {
  readonly #settings: EmulatorSettings;
  readonly #host: WsHost;
  readonly faults = new FaultSwitch<AssemblyFault, AssemblySessionInfo>();
  readonly #live = new Set<LiveAssemblySession>();
  #openedCount = 0;
  #refusedCount = 0;
  #minuteFromMs = Number.NEGATIVE_INFINITY;
  #openedInMinute = 0;

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#host = new WsHost(
      settings.clock,
      (request) => this.#decide(request),
      () => false,
    );
  }

  get live(): readonly LiveAssemblySession[] {
    return [...this.#live];
  }

  get openedCount(): number {
    return this.#openedCount;
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  listen(): Promise<number> {
    return this.#host.listen(this.#settings.host, this.#settings.ports.assemblyai);
  }

  close(): void {
    this.#host.close();
  }

  #decide(request: UpgradeRequest): UpgradeAnswer {
    if (request.path !== "/v3/ws") return this.#refuse(404, "Not Found");
    const faults = this.faults.take({ query: request.query });
    if (faultOf(faults, "dropHandshake") !== undefined) return { kind: "drop" };
    const refused = faultOf(faults, "refuse");
    if (refused !== undefined) return this.#refuse(refused.status, refused.message ?? "Refused.");
    const delayMs = faultOf(faults, "slowHandshake")?.delayMs;
    return {
      kind: "accept",
      headers: {},
      ...(delayMs === undefined ? {} : { delayMs }),
      begin: (wire) => this.#begin(wire, request, faults),
    };
  }

  /** Who may not have a session is told so by a close code, after the upgrade. */
  #begin(wire: Wire, request: UpgradeRequest, faults: readonly AssemblyFault[]): WireHandler {
    const refuse = (code: number, reason: string): WireHandler => {
      this.#refusedCount += 1;
      // A socket closed inside its open callback would take the 101 with it.
      setImmediate(() => wire.close(code, reason));
      return nothing;
    };
    const { apiKey, limits, clock } = this.#settings;
    const key = request.header("authorization") || (request.query.get("token") ?? "");
    if (key !== apiKey) return refuse(1008, "Unauthorized Connection: Invalid API key");
    const options = parseAssemblyQuery(request.query);
    if (typeof options === "string") return refuse(3006, options);
    if (this.#live.size >= limits.assemblyaiSessions) return refuse(3009, "Too many concurrent sessions");
    const nowMs = clock.nowMs();
    if (nowMs - this.#minuteFromMs >= MINUTE_MS) {
      this.#minuteFromMs = nowMs;
      this.#openedInMinute = 0;
    }
    if (this.#openedInMinute >= limits.assemblyaiSessionsPerMinute) {
      return refuse(1008, "Too many new sessions");
    }
    this.#openedInMinute += 1;
    this.#openedCount += 1;
    const sessionId = randomUUID();
    const session = new AssemblySession(wire, this.#settings, options, sessionId, () =>
      this.#live.delete(live),
    );
    const live: LiveAssemblySession = {
      sessionId,
      get audioMs() {
        return session.audioMs;
      },
      inject: (fault) => session.faults.inject(fault),
    };
    this.#live.add(live);
    session.faults.addAll(faults);
    return session;
  }

  #refuse(status: number, message: string): UpgradeAnswer {
    this.#refusedCount += 1;
    const body = JSON.stringify({ error: message });
    return { kind: "refuse", answer: { status, headers: { "x-error": message }, body } };
  }
}
