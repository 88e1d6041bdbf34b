/**
 * Calls whose media leg was lost, while the carrier may still ask what comes next. The slot is given back, the lease
 * is kept.
 *
 *   suspended ──the carrier asks in time──▶ taken (resumed, here or elsewhere)
 *       └──grace ran out──▶ expired: nobody goes on with it
 *
 * U1 a call leaves here exactly once: taken, or expired.
 * U2 it is resumed only when its former owner has written its last: `closed` says so, or the wait for it is over.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import type { LiveCall } from "./live-calls.js";

/**
 * How long a resume waits for the shard's last words of the old leg: they are a tick or two away. A shard that hangs
 * must not cost the caller more.
 */
const LAST_WORDS_MS = 500;

export interface SuspendedCall {
  readonly call: LiveCall;
  /** Clock.unixMs() when the caller was last heard of. */
  readonly lostAtUnixMs: number;
}

interface Entry extends SuspendedCall {
  readonly timer: TimerHandle;
  /** Null once the shard has closed the old leg's actor. */
  onClosed: (() => void)[] | null;
}

export class SuspendedCalls {
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #onExpired: (suspended: SuspendedCall) => void;
  /** Bounded by the slots and the grace: each had a slot within the last graceMs. */
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, graceMs: number, onExpired: (suspended: SuspendedCall) => void) {
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#entries.size;
  }

  add(call: LiveCall, lostAtUnixMs: number): void {
    const { callId } = call;
    const timer = this.#clock.setTimer(this.#graceMs, () => {
      const expired = this.take(callId);
      if (expired !== null) this.#onExpired(expired);
    });
    this.#entries.set(callId, { call, lostAtUnixMs, timer, onClosed: [] });
  }

  get(callId: string): SuspendedCall | null {
    return this.#entries.get(callId) ?? null;
  }

  /** Those that wait are few, and a carrier tells the end of a call once. */
  byCarrierId(carrierCallId: string): SuspendedCall | null {
    for (const entry of this.#entries.values()) if (entry.call.carrierCallId === carrierCallId) return entry;
    return null;
  }

  /** U1 */
  take(callId: string): SuspendedCall | null {
    const entry = this.#entries.get(callId);
    if (entry === undefined) return null;
    entry.timer.cancel();
    this.#entries.delete(callId);
    this.#tellClosed(entry);
    return entry;
  }

  /** The shard has written its last of the old leg. */
  closed(callId: string): void {
    const entry = this.#entries.get(callId);
    if (entry !== undefined) this.#tellClosed(entry);
  }

  /** U2: resolves when it is closed, taken, or has been waited for long enough. */
  async lastWords(callId: string): Promise<void> {
    const waiting = this.#entries.get(callId)?.onClosed ?? null;
    if (waiting === null) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(LAST_WORDS_MS, resolve);
      waiting.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  *[Symbol.iterator](): IterableIterator<SuspendedCall> {
    yield* this.#entries.values();
  }

  /** No timer is left. */
  close(): void {
    for (const callId of this.#entries.keys()) this.take(callId);
  }

  #tellClosed(entry: Entry): void {
    const waiting = entry.onClosed;
    entry.onClosed = null;
    for (const resolve of waiting ?? []) resolve();
  }
}
