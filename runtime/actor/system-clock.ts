/**
 * The real clock of one thread: CLOCK_MONOTONIC for instants, one timer wheel behind one Node timer for
 * timers. A thousand calls with a dozen timers each would otherwise be a thousand heap operations a tick in
 * Node's own lists, and no two of them would share a wake-up.
 *
 * While a timer is scheduled it keeps the process alive, as a Node timer does; with none scheduled nothing
 * runs at all.
 */
import assert from "node:assert/strict";
import type { Clock, TimerHandle } from "./clock.js";
import { TimerWheel } from "./timer-wheel.js";

/**
 * Timers of the same millisecond share a wake-up; Node's own timers cannot be finer. Coarser would save
 * wake-ups, but playout and endpointing are budgeted in single milliseconds.
 */
const DEFAULT_TICK_MS = 1;
/** Reading two clocks one after the other errs by what happens in between; the tightest of these is kept. */
const OFFSET_SAMPLES = 16;
/** Node turns a longer delay into 1 ms. The wheel asks to be called every 9.3 hours at the latest. */
const MAX_NODE_DELAY_MS = 2_147_483_647;

export class SystemClock implements Clock {
  readonly #tickMs: number;
  /** performance.now() counts from the start of its thread; this leads to the origin all threads share. */
  readonly #offsetMs: number;
  readonly #wheelStartMs: number;
  readonly #wheel: TimerWheel;
  readonly #onNodeTimer = (): void => this.#fire();
  #nodeTimer: NodeJS.Timeout | null = null;
  /** The tick the Node timer waits for; Infinity when there is none. */
  #armedTick = Number.POSITIVE_INFINITY;
  #firing = false;

  constructor(options: { tickMs?: number } = {}) {
    this.#tickMs = options.tickMs ?? DEFAULT_TICK_MS;
    assert(this.#tickMs > 0, "tickMs must be positive");
    this.#offsetMs = measureOffsetMs();
    this.#wheelStartMs = this.nowMs();
    this.#wheel = new TimerWheel(() => this.#park());
  }

  nowMs(): number {
    return performance.now() + this.#offsetMs;
  }

  unixMs(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): TimerHandle {
    assert(Number.isFinite(delayMs), `a timer's delay must be finite (got ${delayMs})`);
    const nowTicks = (this.nowMs() - this.#wheelStartMs) / this.#tickMs;
    // An idle wheel stands where it last fired; bring it to now so that the timer lands on a low level.
    if (this.#wheel.count === 0 && !this.#firing) this.#wheel.advance(Math.floor(nowTicks));
    // Rounded up: late by less than a tick rather than early.
    const dueTick = Math.ceil(nowTicks + Math.max(delayMs, 0) / this.#tickMs);
    const handle = this.#wheel.add(dueTick, callback);
    if (!this.#firing && dueTick < this.#armedTick) this.#arm();
    return handle;
  }

  /** Timers waiting now. */
  get timerCount(): number {
    return this.#wheel.count;
  }

  #fire(): void {
    this.#nodeTimer = null;
    this.#armedTick = Number.POSITIVE_INFINITY;
    this.#firing = true;
    try {
      this.#wheel.advance(Math.floor((this.nowMs() - this.#wheelStartMs) / this.#tickMs));
    } finally {
      // Also after a callback threw: the error goes to the process, the other timers live on.
      this.#firing = false;
      this.#arm();
    }
  }

  #arm(): void {
    const nextTick = this.#wheel.nextTick();
    if (nextTick === this.#armedTick) return;
    this.#park();
    if (nextTick === Number.POSITIVE_INFINITY) return;
    this.#armedTick = nextTick;
    const delayMs = this.#wheelStartMs + nextTick * this.#tickMs - this.nowMs();
    this.#nodeTimer = setTimeout(
      this.#onNodeTimer,
      Math.min(Math.max(Math.ceil(delayMs), 1), MAX_NODE_DELAY_MS),
    );
  }

  #park(): void {
    if (this.#nodeTimer !== null) clearTimeout(this.#nodeTimer);
    this.#nodeTimer = null;
    this.#armedTick = Number.POSITIVE_INFINITY;
  }
}

function measureOffsetMs(): number {
  let best = 0;
  let bestWindowMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < OFFSET_SAMPLES; i++) {
    const before = performance.now();
    const monotonicMs = Number(process.hrtime.bigint()) / 1e6;
    const after = performance.now();
    if (after - before >= bestWindowMs) continue;
    bestWindowMs = after - before;
    best = monotonicMs - (before + after) / 2;
  }
  return best;
}
