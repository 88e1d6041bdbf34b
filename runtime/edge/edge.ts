/**
 * The edge: carriers' webhooks and media sockets on one port, the operator's pages on another. It lives on
 * the main thread only, since a worker with an open uWebSockets.js socket cannot be terminated.
 *
 * E1  A call is in one place: waiting for its socket (Admissions), or a leg here, or gone.
 * E2  Whatever one connection sends, or however slowly it reads, no other call notices.
 * E3  A slot is found by its EdgeSlot object, which an arena makes once: a bell rung for a slot that has
 *     changed hands reaches the leg that has it now, or nobody.
 */
import {
  App,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from "uWebSockets.js";
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { EdgeSlot, NapFlag, UntoldAudio } from "#runtime/media";
import type { Logger, Metrics } from "#runtime/telemetry";
import { registerAdmin } from "./admin.js";
import { Admissions, type WaitingCall } from "./admissions.js";
import { countBadInput } from "./bad-input.js";
import type { Carrier } from "./carriers/carrier.js";
import { InboundMessage } from "./carriers/inbound-message.js";
import { MediaShapes } from "./carriers/media-shape.js";
import { EdgeCounters } from "./counters.js";
import type { AdminDelegate, EdgeDelegate } from "./delegate.js";
import { route } from "./http-exchange.js";
import { Leg, type LegEnvironment, type LegRest } from "./leg.js";
import { LoopTurns } from "./loop-turns.js";
import { registerMediaSockets } from "./media-sockets.js";
import { MediaTokens } from "./media-token.js";
import { OverflowAudio } from "./overflow-audio.js";
import { type EdgeOptions, type ResolvedEdgeOptions, resolveEdgeOptions } from "./options.js";
import { Pump } from "./pump.js";
import { Webhooks } from "./webhooks.js";

export interface EdgeDependencies {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly delegate: EdgeDelegate;
  readonly admin: AdminDelegate;
  /** By it the shards find this thread when it naps between turns; null: it never does. See loop-turns.ts. */
  readonly nap: NapFlag | null;
}

/** Deadlines of legs are in seconds; the ring fallback poll costs latency only when a bell was lost. */
const SWEEP_INTERVAL_MS = 1_000;
/** For close frames to reach their clients before the sockets are torn down. */
const CLOSE_GRACE_MS = 250;
/**
 * Connections at once on the admin port. A scraper, probes and a few people need a dozen; whoever opens more
 * must not take the descriptors that the carriers' sockets need.
 */
export const ADMIN_SOCKETS_MAX = 256;
/** With SO_REUSEPORT: see EdgeOptions.sharedPort. */
const LISTEN_SHARED = 0;
/** Exclusive: without it two processes could share the port, and each get some of the calls. */
const LISTEN_EXCLUSIVE = 1;
const CLOSE_GOING_AWAY = 1001;

export class Edge {
  /** What refused callers hear instead of the carrier's own voice. */
  readonly overflowAudio = new OverflowAudio(() => this.#publicUrl);
  readonly #options: ResolvedEdgeOptions;
  readonly #dependencies: EdgeDependencies;
  readonly #app: TemplatedApp;
  readonly #adminApp: TemplatedApp;
  readonly #listenSockets: us_listen_socket[] = [];
  readonly #admissions: Admissions;
  readonly #webhooks: Webhooks;
  readonly #pump: Pump;
  readonly #turns: LoopTurns;
  readonly #counters = new EdgeCounters();
  readonly #legEnvironment: LegEnvironment;
  /** All whose socket may be open, those that have ended included. Bounded by `maxSockets`. */
  readonly #legs = new Set<Leg>();
  readonly #legsByCallId = new Map<string, Leg>();
  readonly #legsBySlot = new Map<EdgeSlot, Leg>();
  readonly #tokens: MediaTokens;
  #publicUrl = "";
  #webhookUrl = "";
  #connectionCount = 0;
  #adminConnectionCount = 0;
  #onConnectionsGone: (() => void) | null = null;
  #isDraining = false;
  #isClosed = false;
  #sweepTimer: TimerHandle | null = null;

  constructor(options: EdgeOptions, dependencies: EdgeDependencies) {
    this.#options = resolveEdgeOptions(options);
    this.#dependencies = dependencies;
    const { clock, log, metrics, delegate } = dependencies;
    const { mediaTokenKey, mediaTokenTtlMs, playoutPieceMs, playoutLeadMs, halfOpenMs } = this.#options;
    const { admissionTimeoutMs, afterMediaTimeoutMs } = this.#options;
    const tokens = new MediaTokens(mediaTokenKey);
    this.#tokens = tokens;
    const baseUrls = (): readonly string[] => [this.#webhookUrl, this.#publicUrl];
    this.#pump = new Pump(clock);
    this.#turns = new LoopTurns(clock, dependencies.nap, this.#pump.grid, {
      onPacketsTaken: () => delegate.wakeShards(),
      lookAtBells: () => delegate.pumpRung(),
      pump: (nowMs) => this.#pump.pumpDue(nowMs),
    });
    this.#admissions = new Admissions(clock, mediaTokenTtlMs, (callId) => {
      log.info({ callId }, "no media socket came");
      delegate.mediaExpired(callId);
    });
    this.#webhooks = new Webhooks({
      clock,
      log,
      metrics,
      delegate,
      admissions: this.#admissions,
      tokens,
      turns: this.#turns,
      publicUrl: () => this.#publicUrl,
      webhookUrl: () => this.#webhookUrl,
      baseUrls,
      admissionTimeoutMs,
      afterMediaTimeoutMs,
      endLeg: (callId, carrierCallId, epoch) => this.#endLeg(callId, carrierCallId, epoch),
    });
    this.#legEnvironment = {
      clock,
      metrics,
      delegate,
      counters: this.#counters,
      pump: this.#pump,
      turns: this.#turns,
      inbound: new InboundMessage(),
      shapes: new MediaShapes(),
      playoutPieceMs,
      playoutLeadMs,
      halfOpenMs,
      onSettled: (leg) => this.#forget(leg),
      onClosed: (leg) => this.#legs.delete(leg),
    };

    this.#app = App();
    this.#limitConnections(this.#app);
    for (const carrier of this.#options.carriers) {
      this.#webhooks.register(this.#app, carrier);
      registerMediaSockets(this.#app, carrier, {
        clock,
        log,
        metrics,
        admissions: this.#admissions,
        tokens,
        turns: this.#turns,
        delegate,
        admissionTimeoutMs,
        baseUrls,
        openLeg: (carrier, call) => this.#openLeg(carrier, call),
        onSocketClosed: () => this.#countConnection(-1),
      });
      if (!carrier.verifies) {
        log.warn(
          { carrier: carrier.name },
          "no key to check signatures with: requests are accepted from loopback only",
        );
      }
    }
    this.overflowAudio.register(this.#app, log, metrics);
    registerNotFound(this.#app, dependencies);

    this.#adminApp = App();
    this.#limitAdminConnections(this.#adminApp);
    registerAdmin(this.#adminApp, { log, delegate: dependencies.admin, isDraining: () => this.#isDraining });
    metrics.onCollect(() => this.#collect());
  }

  /** @throws LumentraError EDGE_LISTEN_FAILED */
  async listen(): Promise<{ port: number; adminPort: number }> {
    const { host, port: wantedPort, sharedPort, adminHost, adminPort: wantedAdminPort } = this.#options;
    const port = await this.#listenOn(this.#app, host, wantedPort);
    if (sharedPort !== null) await this.#listenOn(this.#app, host, sharedPort, LISTEN_SHARED);
    const adminPort = await this.#listenOn(this.#adminApp, adminHost, wantedAdminPort);
    this.#publicUrl = this.#options.publicUrl ?? `http://localhost:${port}`;
    this.#webhookUrl = this.#options.webhookUrl ?? this.#publicUrl;
    this.#scheduleSweep();
    return { port, adminPort };
  }

  /** The shard has written to this slot's out-ring, paused it or bumped its epoch: send what is due. */
  pump(side: EdgeSlot): void {
    const leg = this.#legsBySlot.get(side);
    if (leg !== undefined) this.#pump.wake(leg);
  }

  /** How carriers reach this node; known once it listens. */
  get publicUrl(): string {
    return this.#publicUrl;
  }

  /**
   * Keys that every node knows, newest first: the first signs media tokens from now on, all are accepted, and so is
   * the one this edge began with. None: that one signs again.
   */
  setMediaTokenKeys(keys: readonly Uint8Array[]): void {
    const [first, ...rest] = [...keys, this.#options.mediaTokenKey];
    this.#tokens.replaceKeys(first, ...rest);
  }

  /** Closes the call's leg now; whoever asks has waited for the last mark. Unknown calls are ignored. */
  hangUp(callId: string): void {
    this.#legsByCallId.get(callId)?.hangUp();
    this.#admissions.expire(callId);
  }

  /**
   * The call lost its shard: plays this, in the leg's own format, then closes. From now on the call's slot
   * is left alone; `legEnded` follows as ever when the leg is gone.
   */
  playAndClose(callId: string, audio: Uint8Array): void {
    const leg = this.#legsByCallId.get(callId);
    if (leg !== undefined) {
      this.#legsBySlot.delete(leg.side);
      leg.playAndClose(audio);
    }
    this.#admissions.expire(callId);
  }

  /**
   * The call's owner is gone, and another one takes over: what the leg's rings hold for it, and of the caller's audio
   * that was read, what is untold. `rebind` or `playAndClose` follows in the same turn of the event
   * loop. Null: no media flows.
   */
  takeRest(callId: string, untold: UntoldAudio): LegRest | null {
    return this.#legsByCallId.get(callId)?.takeRest(untold) ?? null;
  }

  /** The leg's socket stays; its rings are these from now on, and begin with what was `held`. */
  rebind(callId: string, side: EdgeSlot, ringShard: () => void, { held }: LegRest): void {
    const leg = this.#legsByCallId.get(callId);
    if (leg === undefined) return;
    if (this.#legsBySlot.get(leg.side) === leg) this.#legsBySlot.delete(leg.side);
    leg.rebind(side, ringShard, held);
    this.#legsBySlot.set(side, leg);
  }

  /** Readiness turns false and new calls get an overflow; calls admitted before are not touched. */
  beginDrain(): void {
    this.#isDraining = true;
    this.#webhooks.beginDrain();
  }

  /** Ends every leg with close code 1001, and stops listening. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isDraining = true;
    this.#sweepTimer?.cancel();
    for (const socket of this.#listenSockets.splice(0)) us_listen_socket_close(socket);
    this.#admissions.expireAll();
    const hadLegs = this.#legs.size > 0;
    this.#forEachLeg((leg) => leg.hangUp(CLOSE_GOING_AWAY, "server going away"));
    this.#pump.close();
    this.#turns.close();
    // In real time even where the clock is a virtual one: it is the kernel we wait for. Of a media socket we
    // hear no more once its close frame is written, so that takes the whole grace.
    if (hadLegs) await new Promise((resolve) => setTimeout(resolve, CLOSE_GRACE_MS));
    else if (this.#connectionCount > 0) await this.#connectionsGone();
    this.#app.close();
    this.#adminApp.close();
  }

  /** Connections on the carriers' port, media sockets included. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Calls with a media socket. */
  get legCount(): number {
    return this.#legsByCallId.size;
  }

  /** The carrier says that the media socket is gone; the kernel may take a while longer to notice. */
  #endLeg(callId: string, carrierCallId: string, epoch: number): boolean {
    const leg = this.#legsByCallId.get(callId);
    if (leg?.carrierCallId !== carrierCallId) return true;
    if (epoch > 0 && leg.epoch > epoch) return false;
    leg.lose();
    return true;
  }

  #openLeg(carrier: Carrier, call: WaitingCall): Leg {
    const leg = new Leg(this.#legEnvironment, carrier, call, this.#dependencies.log);
    this.#legs.add(leg);
    this.#legsByCallId.set(leg.callId, leg);
    this.#legsBySlot.set(leg.side, leg);
    return leg;
  }

  /** The leg has settled: its slot may be the next call's from here on. */
  #forget(leg: Leg): void {
    if (this.#legsByCallId.get(leg.callId) === leg) this.#legsByCallId.delete(leg.callId);
    if (this.#legsBySlot.get(leg.side) === leg) this.#legsBySlot.delete(leg.side);
  }

  #countConnection(change: number): void {
    this.#connectionCount += change;
    if (this.#connectionCount === 0) this.#onConnectionsGone?.();
  }

  #limitConnections(app: TemplatedApp): void {
    const { metrics } = this.#dependencies;
    // Told of each connection that opens and closes, but not of the closing of those that were upgraded:
    // these are counted down by onClosed of their socket.
    app.filter((res, change) => {
      this.#countConnection(change);
      if (change < 0 || this.#connectionCount <= this.#options.maxSockets) return;
      countBadInput(metrics, "tooManySockets");
      refuseConnection(res);
    });
  }

  #limitAdminConnections(app: TemplatedApp): void {
    const { metrics } = this.#dependencies;
    app.filter((res, change) => {
      this.#adminConnectionCount += change;
      if (change < 0 || this.#adminConnectionCount <= ADMIN_SOCKETS_MAX) return;
      countBadInput(metrics, "tooManyAdminSockets");
      refuseConnection(res);
    });
  }

  /** When the last is closed, or after CLOSE_GRACE_MS. */
  #connectionsGone(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, CLOSE_GRACE_MS);
      this.#onConnectionsGone = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #listenOn(app: TemplatedApp, host: string, port: number, options = LISTEN_EXCLUSIVE): Promise<number> {
    return new Promise((resolve, reject) => {
      // The package's types lack this form; the binary has it.
      const listen = app.listen.bind(app) as unknown as (
        host: string,
        port: number,
        options: number,
        callback: (socket: us_listen_socket | false) => void,
      ) => void;
      listen(host, port, options, (socket) => {
        if (socket === false) {
          const message = `cannot listen on ${host}:${port}: the port is taken or the address is not ours`;
          reject(new LumentraError("EDGE_LISTEN_FAILED", message));
          return;
        }
        this.#listenSockets.push(socket);
        resolve(us_socket_local_port(socket));
      });
    });
  }

  #scheduleSweep(): void {
    this.#sweepTimer = this.#dependencies.clock.setTimer(SWEEP_INTERVAL_MS, () => {
      const nowMs = this.#dependencies.clock.nowMs();
      this.#forEachLeg((leg) => leg.sweep(nowMs));
      this.#scheduleSweep();
    });
  }

  /** Legs may leave the set on the way. What one throws is its own end, not the others' (E2). */
  #forEachLeg(visit: (leg: Leg) => void): void {
    for (const leg of this.#legs) {
      try {
        visit(leg);
      } catch (error) {
        this.#dependencies.log.error({ error, callId: leg.callId }, "a leg threw");
        leg.abandon();
      }
    }
  }

  #collect(): void {
    const { metrics } = this.#dependencies;
    this.#counters.moveInto(metrics);
    metrics.edgeSockets.set(this.#legs.size);
    let maxBytes = 0;
    for (const leg of this.#legs) maxBytes = Math.max(maxBytes, leg.bufferedBytes());
    metrics.edgeBufferedMaxBytes.set(maxBytes);
  }
}

function registerNotFound(app: TemplatedApp, { log, metrics }: EdgeDependencies): void {
  app.any(
    "/*",
    route(log, (exchange) => {
      metrics.edgeHttpRequests.inc({ carrier: "none", kind: "unknown", status: 404 });
      exchange.respondError(404, "EDGE_REQUEST_INVALID", "there is nothing at this path");
    }),
  );
}

/** Answered before anything was read, and closed: an idle connection past the limit costs nothing more. */
function refuseConnection(res: HttpResponse): void {
  res.writeStatus("503 Service Unavailable").end('{"code":"EDGE_SOCKETS_EXHAUSTED"}\n', true);
}
