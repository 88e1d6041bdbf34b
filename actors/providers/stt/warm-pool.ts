/**
 * Sessions opened ahead, so that a call's first word does not wait for a handshake.
 *
 * Deepgram closes a socket that had no audio for 10 s, and KeepAlive alone does not count until some audio
 * was there: so each waiting session is given a moment of silence when it opens (Flux: again and again) and
 * KeepAlives after it. That silence is subtracted from the transcripts' times later.
 *
 * Everything about a session but its call is in its address: model, language, format, keyterms. That is a
 * `kind`. A kind is refilled while it is in use; one that was not asked for in a while is let go.
 *
 * Invariants:
 * P1  For a kind, ready and opening sessions together never exceed `warmPerKind`; over all, `warmMax`.
 * P2  A session given out is the pool's no more: never given twice, never taken back.
 * P3  After failures a kind is dialled by its backoff, not by demand.
 * P4  Only a call makes room for its kind. Warming ahead fills what is free: with more tenants than kinds it
 *     would otherwise open sockets only to close them for the next tenant's.
 */
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import { bytesPerMs, silenceByte } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import { backoffMs } from "../backoff.js";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import type { SessionOwner, SttSession } from "./stt-dialect.js";
import type { SttRequest } from "./provider.js";

export type WarmRequest = Omit<SttRequest, "callId">;

/** Well inside Deepgram's 10 s; it asks for every 3 to 5. */
export const KEEP_ALIVE_INTERVAL_MS = 4_000;
/** One frame of the vendor's recommended size; a recogniser hears nothing in it. */
const LEAD_IN_MS = 80;
/** A session is renewed at this age: load balancers drain and sessions have a longest life we do not know. */
const WARM_MAX_AGE_MS = 120_000;
/** A kind nobody asked for this long is let go: a tenant's quiet quarter of an hour. */
const KIND_IDLE_MS = 900_000;
/** Refills wait a random moment up to this: the shards of a node, and the call itself, come first. */
const REFILL_SPREAD_MS = 150;

export interface WarmPoolOptions {
  readonly warmPerKind: number;
  readonly warmMax: number;
  readonly leadInRepeats: boolean;
  readonly open: (request: WarmRequest, owner: SessionOwner) => SttSession;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
}

export class WarmPool implements Due {
  dueAtMs = NEVER;
  readonly #options: WarmPoolOptions;
  /** In order of last use, the longest unused first. */
  readonly #kinds = new Map<string, WarmKind>();
  #closed = false;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
    options.sweep.add(this);
  }

  get readyCount(): number {
    let count = 0;
    for (const kind of this.#kinds.values()) count += kind.readyCount;
    return count;
  }

  /** A session ready for audio, or null when there is none: open one for the call then. */
  take(request: WarmRequest): SttSession | null {
    const session = this.#use(request)?.take() ?? null;
    this.#trim();
    return session;
  }

  /**
   * Resolves when the first session of this kind is ready or has failed; at once when the pool has no room
   * for another kind (P4).
   */
  warm(request: WarmRequest): Promise<void> {
    if (!this.#kinds.has(kindKey(request)) && this.#kinds.size >= this.#kindsMax) return Promise.resolve();
    return this.#use(request)?.whenFirst() ?? Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    for (const kind of this.#kinds.values()) kind.close();
    this.#kinds.clear();
    this.dueAtMs = NEVER;
    this.#options.sweep.remove(this);
  }

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + KEEP_ALIVE_INTERVAL_MS;
    for (const [key, kind] of this.#kinds) {
      if (nowMs - kind.usedAtMs < KIND_IDLE_MS) kind.tend(nowMs);
      else {
        kind.close();
        this.#kinds.delete(key);
      }
    }
    if (this.#kinds.size === 0) this.dueAtMs = NEVER;
  }

  #use(request: WarmRequest): WarmKind | null {
    if (this.#closed || this.#options.warmPerKind === 0) return null;
    const key = kindKey(request);
    const kind = this.#kinds.get(key) ?? new WarmKind(request, this.#options);
    this.#kinds.delete(key);
    this.#kinds.set(key, kind);
    kind.usedAtMs = this.#options.clock.nowMs();
    kind.refill();
    if (this.dueAtMs === NEVER) this.dueAtMs = kind.usedAtMs + KEEP_ALIVE_INTERVAL_MS;
    return kind;
  }

  /** P1. */
  get #kindsMax(): number {
    return Math.max(1, Math.floor(this.#options.warmMax / this.#options.warmPerKind));
  }

  /** P1: over `warmMax` the kinds longest unused are let go. The one in use stays. */
  #trim(): void {
    for (const [key, kind] of this.#kinds) {
      if (this.#kinds.size <= this.#kindsMax) return;
      kind.close();
      this.#kinds.delete(key);
    }
  }
}

class WarmKind {
  usedAtMs = 0;
  readonly #request: WarmRequest;
  readonly #options: WarmPoolOptions;
  readonly #silence: Buffer;
  readonly #ready: SttSession[] = [];
  readonly #opening = new Set<SttSession>();
  readonly #waiters: (() => void)[] = [];
  #refillTimer: TimerHandle | null = null;
  #failureCount = 0;
  #closed = false;

  constructor(request: WarmRequest, options: WarmPoolOptions) {
    this.#request = request;
    this.#options = options;
    const { format } = request;
    this.#silence = Buffer.alloc(LEAD_IN_MS * bytesPerMs(format), silenceByte(format.encoding));
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  take(): SttSession | null {
    // The youngest: the older ones are nearer to their end.
    const session = this.#ready.pop() ?? null; // P2
    if (session !== null) this.#refillAfter(this.#options.random.next() * REFILL_SPREAD_MS);
    return session;
  }

  whenFirst(): Promise<void> {
    if (this.#ready.length > 0 || this.#closed || this.#failureCount > 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** P1, P3. */
  refill(): void {
    if (this.#closed || this.#refillTimer !== null) return;
    const missing = this.#options.warmPerKind - this.#ready.length - this.#opening.size;
    for (let count = 0; count < missing; count++) this.#openOne();
  }

  /** Called every KEEP_ALIVE_INTERVAL_MS. */
  tend(nowMs: number): void {
    // One a time, so that the others are there meanwhile.
    const old = this.#ready.findIndex((session) => nowMs - session.openedAtMs >= WARM_MAX_AGE_MS);
    if (old >= 0) this.#ready.splice(old, 1)[0]!.release();
    for (const session of this.#ready) {
      if (this.#options.leadInRepeats) session.sendLeadIn(this.#silence, LEAD_IN_MS);
      else session.keepAlive();
    }
    this.refill();
  }

  close(): void {
    this.#closed = true;
    this.#refillTimer?.cancel();
    this.#refillTimer = null;
    for (const session of this.#ready) session.release();
    for (const session of this.#opening) session.release();
    this.#ready.length = 0;
    this.#opening.clear();
    this.#settle();
  }

  #openOne(): void {
    const owner: SessionOwner = {
      onReady: () => {
        this.#opening.delete(session);
        this.#ready.push(session);
        this.#failureCount = 0;
        session.sendLeadIn(this.#silence, LEAD_IN_MS);
        this.#settle();
      },
      onMessage: () => undefined, // results about our own silence
      onEnd: (failure) => this.#onEnd(session, failure),
    };
    const session = this.#options.open(this.#request, owner);
    this.#opening.add(session);
  }

  #onEnd(session: SttSession, failure: Failure): void {
    this.#opening.delete(session);
    const index = this.#ready.indexOf(session);
    if (index >= 0) this.#ready.splice(index, 1);
    if (this.#closed) return;
    this.#failureCount += 1;
    const fields = this.#options.failures.count(failure);
    this.#options.log.warn({ ...fields, failureCount: this.#failureCount }, "a warm socket was lost");
    this.#refillAfter(backoffMs(this.#failureCount, this.#options.random)); // P3
    this.#settle();
  }

  #refillAfter(delayMs: number): void {
    if (this.#closed || this.#refillTimer !== null) return;
    this.#refillTimer = this.#options.clock.setTimer(delayMs, () => {
      this.#refillTimer = null;
      this.refill();
    });
  }

  #settle(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

function kindKey(request: WarmRequest): string {
  const { model, language, format, keyterms } = request;
  return [model, language, format.encoding, format.sampleRateHz, ...keyterms].join("\u0000");
}
