/**
 * Voices by Cartesia: replies are contexts, many of them on few sockets that stay open.
 *
 * Invariants:
 * T1  At most `socketsMax` sockets, opening ones included, and at most `contextsPerSocket` replies on each.
 * T2  A reply that finds no open socket with room waits for one being opened; when that fails, it fails with
 *     the same reason. While a failed dial backs off, a new reply fails at once: the caller is better
 *     served by what comes next than by a wait.
 */
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import { backoffMs } from "../backoff.js";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { Network } from "../network.js";
import type { CartesiaSettings } from "../settings.js";
import { AudioScratch } from "./audio-scratch.js";
import { CartesiaSocket, type CartesiaSocketOwner } from "./cartesia-socket.js";
import { CartesiaStream, type CartesiaStreamDeps } from "./cartesia-stream.js";
import type { TtsEvents, TtsProvider, TtsRequest, TtsStream } from "./provider.js";

/** Cartesia closes a socket idle for 5 minutes; ours is replaced before, so that nobody finds it closing. */
const SOCKET_IDLE_MAX_MS = 240_000;
/** Between looks at idle sockets. */
const TEND_INTERVAL_MS = 10_000;
/** A socket lost sooner than this after it opened is no sign that the next dial will do better. */
const UPTIME_MIN_MS = 1_000;
/** Another socket is opened when the least busy one is this full. */
const OPEN_NEXT_AT = 0.75;

export interface CartesiaDeps {
  readonly settings: CartesiaSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

export class CartesiaProvider implements TtsProvider, CartesiaSocketOwner, Due {
  readonly name = "cartesia";
  dueAtMs: number;
  readonly #deps: CartesiaDeps;
  readonly #streamDeps: CartesiaStreamDeps;
  readonly #sockets = new Set<CartesiaSocket>();
  readonly #streams = new Set<CartesiaStream>();
  readonly #wanting = new Set<CartesiaStream>();
  readonly #warmers: (() => void)[] = [];
  #contextNumber = 0;
  /** Of dials, in a row; with the last one's failure. */
  #failureCount = 0;
  #lastFailure: Failure | null = null;
  #redialTimer: TimerHandle | null = null;
  #closed = false;
  #whenGone: (() => void) | null = null;

  constructor(deps: CartesiaDeps) {
    this.#deps = deps;
    this.#streamDeps = {
      ...deps,
      scratch: new AudioScratch(),
      wantSocket: (stream) => this.#wantSocket(stream),
      nextContextId: (callId) => `${callId}.${++this.#contextNumber}`,
      onEnded: (stream) => {
        this.#streams.delete(stream);
        this.#wanting.delete(stream);
      },
    };
    this.dueAtMs = deps.clock.nowMs() + TEND_INTERVAL_MS;
    deps.sweep.add(this);
  }

  get socketCount(): number {
    return this.#sockets.size;
  }

  get usage(): number {
    const { socketsMax, contextsPerSocket } = this.#deps.settings;
    return Math.min(1, this.#streams.size / (socketsMax * contextsPerSocket));
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    const stream = new CartesiaStream(request, events, this.#streamDeps);
    this.#streams.add(stream);
    if (this.#closed)
      queueMicrotask(() => stream.fail({ reason: "CLOSED", what: "is closed on this shard" }));
    else this.#openAhead();
    return stream;
  }

  warm(): Promise<void> {
    this.#openAhead();
    if (this.#closed || this.#redialTimer !== null || this.#hasOpen()) return Promise.resolve();
    return new Promise((resolve) => this.#warmers.push(resolve));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#redialTimer?.cancel();
    this.#redialTimer = null;
    this.#settleWarmers();
    await Promise.resolve(); // no event runs inside a call of theirs
    for (const stream of this.#streams) stream.fail({ reason: "CLOSED", what: "is closed on this shard" });
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenGone = resolve;
      for (const socket of this.#sockets) socket.close();
    });
  }

  // CartesiaSocketOwner

  onOpen(): void {
    this.#failureCount = 0;
    this.#lastFailure = null;
    this.#settleWarmers();
    this.#serveWanting();
    // The sockets it stands in for.
    for (const socket of this.#sockets) {
      if (socket.retiring && socket.contextCount === 0) socket.close();
    }
  }

  onGone(socket: CartesiaSocket, failure: Failure | null): void {
    this.#sockets.delete(socket);
    if (this.#closed) {
      if (this.#sockets.size === 0) this.#whenGone?.();
      return;
    }
    if (failure !== null) this.#onSocketFailed(socket, failure);
    this.#settleWarmers();
    if (this.#wanting.size > 0) this.#serveWanting();
    this.#openAhead();
  }

  onHandlerThrew(contextId: string, error: unknown): void {
    logThrown(this.#deps.log, this.name, contextId, error);
  }

  // Due

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + TEND_INTERVAL_MS;
    for (const socket of this.#sockets) {
      const idle = socket.isOpen && socket.contextCount === 0;
      if (!idle || socket.retiring || nowMs - socket.idleSinceMs < SOCKET_IDLE_MAX_MS) continue;
      socket.retiring = true;
      // One too many is closed now; one that is wanted stays until its successor is open.
      const { socketsAhead, socketsMax } = this.#deps.settings;
      if (this.#lastingCount() >= socketsAhead || this.#sockets.size >= socketsMax) socket.close();
    }
    this.#openAhead();
  }

  #onSocketFailed(socket: CartesiaSocket, failure: Failure): void {
    this.#failureCount += 1;
    const fields = this.#deps.failures.count(failure);
    this.#deps.log.warn({ ...fields, failureCount: this.#failureCount }, "a voice socket was lost");
    // One that served for a while is replaced at once; one that never did, or not for long, is a failed dial.
    if (this.#deps.clock.nowMs() - socket.openedAtMs >= UPTIME_MIN_MS) return;
    this.#lastFailure = failure;
    const delayMs = backoffMs(this.#failureCount, this.#deps.random);
    this.#redialTimer ??= this.#deps.clock.setTimer(delayMs, () => {
      this.#redialTimer = null;
      this.#openAhead();
    });
  }

  #wantSocket(stream: CartesiaStream): void {
    const socket = this.#leastBusy();
    if (socket !== null) {
      stream.onSocket(socket);
      this.#openAhead();
      return;
    }
    this.#wanting.add(stream);
    this.#openAhead();
    if (this.#openingCount() > 0) return;
    this.#wanting.delete(stream);
    const failure = this.#lastFailure ?? { reason: "OVERFLOW", what: "speaks as many replies as we allow" };
    queueMicrotask(() => stream.fail(failure)); // T2
  }

  /** Those that wait get a context each, or fail when nothing is being opened for them. */
  #serveWanting(): void {
    for (const stream of this.#wanting) {
      const socket = this.#leastBusy();
      if (socket === null) break;
      this.#wanting.delete(stream);
      stream.onSocket(socket);
    }
    this.#openAhead();
    if (this.#wanting.size === 0 || this.#openingCount() > 0) return;
    const failure = this.#lastFailure ?? { reason: "OVERFLOW", what: "speaks as many replies as we allow" };
    for (const stream of this.#wanting) stream.fail(failure);
  }

  /** T1. Opens what is missing: the sockets kept ahead, and one more when those there fill up. */
  #openAhead(): void {
    if (this.#closed || this.#redialTimer !== null) return;
    const { socketsAhead, socketsMax, contextsPerSocket } = this.#deps.settings;
    let missing = Math.max(0, socketsAhead - this.#lastingCount());
    if (missing === 0 && this.#openingCount() === 0) {
      const leastBusy = this.#leastBusy();
      if (leastBusy === null || leastBusy.contextCount >= contextsPerSocket * OPEN_NEXT_AT) missing = 1;
    }
    for (let count = 0; count < missing && this.#sockets.size < socketsMax; count++) {
      const { settings, clock, sweep, network } = this.#deps;
      this.#sockets.add(new CartesiaSocket(this, settings, clock, sweep, network));
    }
  }

  #leastBusy(): CartesiaSocket | null {
    let best: CartesiaSocket | null = null;
    for (const socket of this.#sockets) {
      if (socket.hasRoom && (best === null || socket.contextCount < best.contextCount)) best = socket;
    }
    return best;
  }

  #hasOpen(): boolean {
    for (const socket of this.#sockets) if (socket.isOpen) return true;
    return false;
  }

  #openingCount(): number {
    let count = 0;
    for (const socket of this.#sockets) if (!socket.isOpen && !socket.retiring) count += 1;
    return count;
  }

  /** Open or opening, and not on its way out. */
  #lastingCount(): number {
    let count = 0;
    for (const socket of this.#sockets) if (!socket.retiring) count += 1;
    return count;
  }

  #settleWarmers(): void {
    for (const resolve of this.#warmers.splice(0)) resolve();
  }
}
