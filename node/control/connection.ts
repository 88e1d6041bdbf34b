/**
 * The node's connection to the control planes: registers, keeps one stream, reports, tells its leases and hears what it
 * is to do. Any control plane will do; when one goes, the next that answers is taken.
 *
 *   registering ──credential──▶ greeting ──welcome──▶ connected
 *        ▲                          │                     │
 *        └── waiting (backoff) ◀────┴── the stream ended ─┘      replaced: another node has our id; for good
 *
 * Invariants
 * L1 `isUp` is true between a welcome and the end of its stream, and at no other time.
 * L2 whatever ends a stream, the next attempt waits, longer each time, with jitter; a welcome resets the wait.
 * L3 a credential that was refused is dropped, and a new one registered for.
 */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type {
  ConnectNodeRequest,
  ConnectNodeResponse__Output,
  NodeConfig__Output,
  NodeHello,
  NodeReport,
} from "#proto";
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { type ClientSecurity, RpcClient, fromDuration } from "#runtime/rpc";
import type { Logger, Metrics } from "#runtime/telemetry";
import { type Backoff, nextBackoffMs } from "./backoff.js";
import { asLumentraError } from "./as-lumentra-error.js";
import type { HeldCall } from "./held-call.js";

/** As the contract has it. */
const LEASES_PER_MESSAGE = 1_000;
/** Until a control plane has said otherwise. */
const DEFAULT_REPORT_INTERVAL_MS = 1_000;
/** A control plane that accepts the stream and does not welcome us has trouble of its own. */
const WELCOME_TIMEOUT_MS = 5_000;
/** 5 s at most: calls are placed by guess while nobody answers. */
const BACKOFF: Backoff = { firstMs: 200, maxMs: 5_000 };

export interface NodeObeys {
  /** An operator drains the node, or takes that back. */
  onDrain(draining: boolean): void;
  onHangUp(callId: string, reason: string): void;
  onLeaseLost(callId: string, epoch: number): void;
  /** Newest first. */
  onMediaTokenKeys(keys: readonly Uint8Array[]): void;
  /** After a welcome: what waited for a control plane may go on. */
  onUp(): void;
  /** Another node has registered with our id: this one must not go on as a member. */
  onReplaced(): void;
}

export interface ControlConnectionDeps {
  /** As RpcClient takes it: one name, or several IPs with commas. */
  readonly target: string;
  readonly security: ClientSecurity;
  readonly nodeId: string;
  /** "" when the certificate names the node. */
  readonly bootstrapToken: string;
  readonly hello: () => NodeHello;
  readonly report: () => NodeReport;
  readonly held: () => Iterable<HeldCall>;
  readonly obeys: NodeObeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

type NodeStream = ClientDuplexStream<ConnectNodeRequest, ConnectNodeResponse__Output>;

type State =
  /** Before start, and after close. */
  | { readonly name: "idle" }
  | { readonly name: "registering" }
  /** `hello` is sent. */
  | { readonly name: "greeting"; readonly stream: NodeStream; readonly deadline: TimerHandle }
  | { readonly name: "connected"; readonly stream: NodeStream; readonly reports: { timer: TimerHandle } }
  | { readonly name: "waiting"; readonly retry: TimerHandle }
  | { readonly name: "replaced" };

export class ControlConnection {
  readonly rpc: RpcClient;
  readonly #deps: ControlConnectionDeps;
  #state: State = { name: "idle" };
  #credential: string | null = null;
  /** The one that the stream was opened with. */
  #streamCredential: string | null = null;
  #attempt = 0;
  #reportIntervalMs = DEFAULT_REPORT_INTERVAL_MS;
  #isClosed = false;

  /** Does not connect. @throws LumentraError TLS_REQUIRED, SETTING_INVALID */
  constructor(deps: ControlConnectionDeps) {
    this.#deps = deps;
    this.rpc = new RpcClient({
      target: deps.target,
      security: deps.security,
      bearer: () => this.#credential,
    });
    deps.metrics.onCollect(() => deps.metrics.controlPlaneUp.set(this.isUp ? 1 : 0));
  }

  /** L1 */
  get isUp(): boolean {
    return this.#state.name === "connected";
  }

  get state(): State["name"] {
    return this.#state.name;
  }

  /** Gets a credential ahead of the stream: one attempt. Never rejects. */
  async register(): Promise<boolean> {
    const { nodeId, bootstrapToken, log } = this.#deps;
    try {
      const answer = await this.rpc.call("NodeService", "RegisterNode", { nodeId, bootstrapToken });
      this.#credential = answer.credential;
      // Before the hello: from then on media sockets come that other nodes have signed for.
      if (answer.config) this.#configure(answer.config);
      return true;
    } catch (error) {
      if (!this.#isClosed && this.#attempt === 0) {
        log.warn({ err: error }, "no control plane takes this node; it goes on by itself");
      }
      return false;
    }
  }

  /** Keeps a stream from now on. */
  start(): void {
    void this.#connect();
  }

  /** The figures have changed enough that placement should not wait for the next report. */
  reportNow(): void {
    if (this.#state.name === "connected") this.#report(this.#state.stream);
  }

  /** Tells placement what this node holds; after a call that it does not know of. */
  tellLeases(): void {
    if (this.#state.name === "connected") this.#tellLeases(this.#state.stream);
  }

  /** Says goodbye. Calls in flight fail. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const stream = "stream" in this.#state ? this.#state.stream : null;
    this.#enter({ name: "idle" });
    stream?.end();
    this.rpc.close();
  }

  // ---- the state machine

  async #connect(): Promise<void> {
    if (this.#isClosed) return;
    this.#enter({ name: "registering" });
    const hasCredential = this.#credential !== null || (await this.register());
    if (this.#state.name !== "registering") return;
    if (hasCredential) this.#greet();
    else this.#wait();
  }

  #greet(): void {
    const { clock, hello, report } = this.#deps;
    const stream = this.rpc.connect("NodeService", "ConnectNode");
    stream.on("data", (message: ConnectNodeResponse__Output) => this.#heard(stream, message));
    stream.on("error", (error) => this.#ended(stream, asLumentraError(error)));
    stream.on("end", () => this.#ended(stream, null));
    const deadline = clock.setTimer(WELCOME_TIMEOUT_MS, () => {
      this.#ended(stream, new LumentraError("DEADLINE_EXCEEDED", "no welcome came"));
      stream.cancel();
    });
    this.#streamCredential = this.#credential;
    this.#enter({ name: "greeting", stream, deadline });
    // With how it fares: a placement that is asked right after the welcome must not find this node unready.
    stream.write({ hello: { ...hello(), report: report() } });
  }

  #heard(stream: NodeStream, message: ConnectNodeResponse__Output): void {
    if (!("stream" in this.#state) || this.#state.stream !== stream) return;
    const { obeys, log } = this.#deps;
    switch (message.message) {
      case "welcome": {
        const { config, draining, controlPlaneId } = message.welcome!;
        log.info({ controlPlaneId, draining }, "connected to a control plane");
        this.#attempt = 0;
        this.#enter({ name: "connected", stream, reports: { timer: this.#nextReport(stream) } });
        if (config) this.#configure(config);
        obeys.onDrain(draining);
        this.#report(stream);
        this.#tellLeases(stream);
        obeys.onUp();
        return;
      }
      case "drain":
        return obeys.onDrain(message.drain!.draining);
      case "hangUp":
        return obeys.onHangUp(message.hangUp!.callId, message.hangUp!.reason);
      case "reportLeases":
        return this.#tellLeases(stream);
      case "leaseLost":
        return obeys.onLeaseLost(message.leaseLost!.callId, message.leaseLost!.epoch);
      case "credential":
        this.#credential = message.credential!.credential;
        return;
      case "config":
        return this.#configure(message.config!);
      default:
        log.debug({}, "a command of a newer control plane is passed over");
    }
  }

  #ended(stream: NodeStream, error: LumentraError | null): void {
    if (!("stream" in this.#state) || this.#state.stream !== stream) return;
    const { log, obeys } = this.#deps;
    if (error?.code === "NODE_REPLACED") {
      log.error({ err: error }, "another node has registered with this node's id");
      this.#enter({ name: "replaced" });
      return obeys.onReplaced();
    }
    const isRefused = error?.code === "UNAUTHENTICATED" || error?.code === "PERMISSION_DENIED";
    // L3: one that came since the stream was opened has not been tried.
    if (isRefused && this.#credential === this.#streamCredential) this.#credential = null;
    if (this.isUp || this.#attempt === 0) log.warn({ err: error }, "the control plane's stream is gone");
    this.#wait();
  }

  /** L2 */
  #wait(): void {
    const { clock, random } = this.#deps;
    const delayMs = nextBackoffMs(BACKOFF, this.#attempt++, random);
    this.#enter({ name: "waiting", retry: clock.setTimer(delayMs, () => void this.#connect()) });
  }

  /** What the old state held is released. */
  #enter(next: State): void {
    const old = this.#state;
    this.#state = next;
    if (old.name === "greeting") old.deadline.cancel();
    if (old.name === "connected") old.reports.timer.cancel();
    if (old.name === "waiting") old.retry.cancel();
    this.#deps.log.debug({ from: old.name, to: next.name }, "control plane connection");
  }

  // ---- what is told and heard

  #configure({ reportInterval, mediaTokenKeys }: NodeConfig__Output): void {
    if (reportInterval) this.#reportIntervalMs = Math.max(50, fromDuration(reportInterval));
    this.#deps.obeys.onMediaTokenKeys(mediaTokenKeys);
  }

  #nextReport(stream: NodeStream): TimerHandle {
    return this.#deps.clock.setTimer(this.#reportIntervalMs, () => {
      if (this.#state.name !== "connected") return;
      this.#state.reports.timer = this.#nextReport(stream);
      this.#report(stream);
    });
  }

  #report(stream: NodeStream): void {
    stream.write({ report: this.#deps.report() });
  }

  #tellLeases(stream: NodeStream): void {
    let leases: HeldCall[] = [];
    for (const call of this.#deps.held()) {
      leases.push(call);
      if (leases.length < LEASES_PER_MESSAGE) continue;
      stream.write({ leases: { leases, last: false } });
      leases = [];
    }
    stream.write({ leases: { leases, last: true } });
  }
}
