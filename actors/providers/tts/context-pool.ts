/**
 * The sockets on which one voice's replies are spoken, as contexts: few, kept open, filled evenly.
 *
 * Invariants:
 * T1  At most as many sockets as the budget gives, opening ones included, and at most `contextsPerSocket`
 *     replies on each. The budget may be shared by several pools.
 * T2  A reply that finds no open socket with room waits for one being opened; when that fails, it fails with
 *     the same reason. While a failed dial backs off, a new reply fails at once: the caller is better
 *     served by what comes next than by a wait.
 */
import type { TimerHandle } from "#runtime/actor";
import { backoffMs } from "../backoff.js";
import { type Due, NEVER } from "../due-sweep.js";
import type { Failure } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { AudioScratch } from "./audio-scratch.js";
import type { ContextDialect } from "./context-dialect.js";
import { ContextSocket, type ContextSocketOwner } from "./context-socket.js";
import { ContextStream, type ContextStreamDeps } from "./context-stream.js";
import type { TtsDeps, TtsEvents, TtsRequest, TtsStream, TtsVoice } from "./provider.js";

/** Between looks at idle sockets. */
const TEND_INTERVAL_MS = 10_000;
/** A socket lost sooner than this after it opened is no sign that the next dial will do better. */
const UPTIME_MIN_MS = 1_000;
/** Another socket is opened when the least busy one is this full. */
const OPEN_NEXT_AT = 0.75;

/** Sockets a shard may hold to one vendor; one that is being given up for another is no longer counted. */
export class SocketBudget {
  readonly #max: number;
  readonly #yieldOne: () => boolean;
  #count = 0;

  /** `yieldOne` gives up a socket nobody needs just now, or says that there is none. */
  constructor(max: number, yieldOne: () => boolean) {
    this.#max = max;
    this.#yieldOne = yieldOne;
  }

  /** Counts one more, or says that there is no room. */
  take(): boolean {
    if (this.#count >= this.#max && !this.#yieldOne()) return false;
    this.#count += 1;
    return true;
  }

  giveBack(): void {
    this.#count -= 1;
  }
}

export interface ContextPoolDeps extends TtsDeps {
  readonly dialect: ContextDialect;
  /** What its sockets are opened for. */
  readonly voice: TtsVoice;
  readonly budget: SocketBudget;
  readonly scratch: AudioScratch;
  readonly nextContextId: (callId: string) => string;
}

export class ContextPool implements ContextSocketOwner, Due {
  dueAtMs: number;
  readonly #deps: ContextPoolDeps;
  readonly #streamDeps: ContextStreamDeps;
  readonly #sockets = new Set<ContextSocket>();
  readonly #streams = new Set<ContextStream>();
  readonly #wanting = new Set<ContextStream>();
  readonly #warmers: (() => void)[] = [];
  /** Of dials, in a row; with the last one's failure. */
  #failureCount = 0;
  #lastFailure: Failure | null = null;
  #redialTimer: TimerHandle | null = null;
  #lastUsedAtMs: number;
  /** Nobody spoke for long, or its socket was needed elsewhere: keeps none open until somebody speaks. */
  #dormant = false;
  #closed = false;
  #whenGone: (() => void) | null = null;

  constructor(deps: ContextPoolDeps) {
    this.#deps = deps;
    this.#streamDeps = {
      ...deps,
      wantSocket: (stream) => this.#wantSocket(stream),
      onEnded: (stream) => {
        this.#streams.delete(stream);
        this.#wanting.delete(stream);
      },
    };
    this.#lastUsedAtMs = deps.clock.nowMs();
    this.dueAtMs = deps.clock.nowMs() + TEND_INTERVAL_MS;
    deps.sweep.add(this);
  }

  /** Neither a socket nor a reply, and none is wanted. */
  get isIdle(): boolean {
    return this.#dormant && this.#sockets.size === 0 && this.#streams.size === 0;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    const stream = new ContextStream(request, events, this.#streamDeps);
    this.#streams.add(stream);
    this.#wake();
    if (this.#closed)
      queueMicrotask(() => stream.fail({ reason: "CLOSED", what: "is closed on this shard" }));
    else this.#openAhead();
    return stream;
  }

  /** Resolves when a socket is open, or will not be for now. */
  warm(): Promise<void> {
    this.#wake();
    this.#openAhead();
    if (this.#closed || this.#hasOpen() || this.#openingCount() === 0) return Promise.resolve();
    return new Promise((resolve) => this.#warmers.push(resolve));
  }

  /** Closes a socket nobody is on, for a pool that has none; false when there is none. */
  yieldSocket(): boolean {
    for (const socket of this.#sockets) {
      if (!socket.isOpen || socket.retiring || socket.contextCount > 0) continue;
      this.#dormant = true;
      socket.retiring = true;
      socket.close();
      return true;
    }
    return false;
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

  // ContextSocketOwner

  onOpen(): void {
    this.#failureCount = 0;
    this.#lastFailure = null;
    this.#settleWarmers();
    this.#serveWanting();
    this.#closeRetired(); // those it stands in for
  }

  onRoom(): void {
    this.#serveWanting();
  }

  onGone(socket: ContextSocket, failure: Failure | null): void {
    this.#sockets.delete(socket);
    this.#deps.budget.giveBack();
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
    logThrown(this.#deps.log, this.#deps.dialect.name, contextId, error);
  }

  // Due

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + TEND_INTERVAL_MS;
    const { socketIdleMaxMs, unusedMaxMs } = this.#deps.dialect;
    if (this.#streams.size === 0 && nowMs - this.#lastUsedAtMs >= unusedMaxMs) this.#dormant = true;
    for (const socket of this.#sockets) {
      socket.tend(nowMs);
      const idle = socket.isOpen && socket.contextCount === 0;
      if (idle && nowMs - socket.idleSinceMs >= socketIdleMaxMs) socket.retiring = true;
    }
    this.#openAhead();
    // One too many is closed now; one that is wanted stays until its successor is open.
    if (this.#openingCount() === 0 && this.#redialTimer === null) this.#closeRetired();
  }

  #wake(): void {
    this.#dormant = false;
    this.#lastUsedAtMs = this.#deps.clock.nowMs();
  }

  #onSocketFailed(socket: ContextSocket, failure: Failure): void {
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

  #wantSocket(stream: ContextStream): void {
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
    const { socketsAhead, contextsPerSocket } = this.#deps.dialect.settings;
    let missing = Math.max(0, (this.#dormant ? 0 : socketsAhead) - this.#lastingCount());
    if (missing === 0 && this.#openingCount() === 0 && this.#isFilling(contextsPerSocket)) missing = 1;
    for (; missing > 0 && this.#deps.budget.take(); missing--) this.#open();
  }

  #isFilling(contextsPerSocket: number): boolean {
    const leastBusy = this.#leastBusy();
    if (leastBusy === null) return this.#lastingCount() > 0;
    return leastBusy.contextCount >= contextsPerSocket * OPEN_NEXT_AT;
  }

  #open(): void {
    const { dialect, voice, clock, sweep, network } = this.#deps;
    this.#sockets.add(new ContextSocket(this, dialect, voice, clock, sweep, network));
  }

  #closeRetired(): void {
    for (const socket of this.#sockets) {
      if (socket.retiring && socket.contextCount === 0) socket.close();
    }
  }

  #leastBusy(): ContextSocket | null {
    let best: ContextSocket | null = null;
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
