/**
 * One timer for all phones on a clock. A frame is due every 20 ms per phone; phones are spread over four
 * phases 5 ms apart, so that hundreds of them neither wake the process hundreds of times nor all speak at
 * the same instant, as a thousand real callers would not.
 *
 *   origin  +5   +10  +15  +20  …
 *     |  A  |  B  |  C  |  D  |  A  …       tick n serves phase n mod 4
 *
 * T1 ticks follow the frame clock: lateness of one never delays the next.
 * T2 after a stall every phase is served once; what a phone missed it catches up by its own clock.
 */
import type { Clock } from "#runtime/actor";
import { FrameClock } from "#runtime/media";

const TICK_MS = 5;
const PHASE_COUNT = 4;

export interface TickListener {
  /** Every 20 ms, at the phone's phase. */
  onTick(nowMs: number): void;
  /** Every 5 ms, for phones whose line holds messages back. */
  onFineTick?(nowMs: number): void;
}

export class LineTicker {
  readonly #clock: Clock;
  readonly #frames: FrameClock;
  readonly #phases: readonly Set<TickListener>[] = Array.from({ length: PHASE_COUNT }, () => new Set());
  readonly #fine = new Set<TickListener>();
  #nextTick = 0;
  /** Told after each tick how late it was: what a load generator must know of itself. */
  onTickLate: ((lateMs: number) => void) | null = null;

  /** The ticker of a clock; one each. */
  static of(clock: Clock): LineTicker {
    let ticker = tickers.get(clock);
    if (ticker === undefined) {
      ticker = new LineTicker(clock);
      tickers.set(clock, ticker);
    }
    return ticker;
  }

  private constructor(clock: Clock) {
    this.#clock = clock;
    this.#frames = new FrameClock(clock, TICK_MS, (nowMs) => this.#serve(nowMs));
  }

  /** Serves the listener in the emptiest phase; the latest boundary of that phase, at or before now. */
  add(listener: TickListener): number {
    let phase = 0;
    for (let i = 1; i < PHASE_COUNT; i++) {
      if (this.#phases[i]!.size < this.#phases[phase]!.size) phase = i;
    }
    const { grid } = this.#frames;
    const nowTick = grid.indexAt(this.#clock.nowMs());
    if (this.#isIdle) {
      this.#nextTick = nowTick + 1;
      this.#frames.tickAt(grid.deadlineMs(this.#nextTick));
    }
    this.#phases[phase]!.add(listener);
    if (listener.onFineTick !== undefined) this.#fine.add(listener);
    const behind = (((nowTick - phase) % PHASE_COUNT) + PHASE_COUNT) % PHASE_COUNT;
    return grid.deadlineMs(nowTick - behind);
  }

  /** Idempotent. */
  remove(listener: TickListener): void {
    for (const phase of this.#phases) phase.delete(listener);
    this.#fine.delete(listener);
    if (this.#isIdle) this.#frames.stop();
  }

  get #isIdle(): boolean {
    return this.#phases.every((phase) => phase.size === 0);
  }

  #serve(nowMs: number): void {
    const { grid } = this.#frames;
    const dueTick = grid.indexAt(nowMs);
    this.onTickLate?.(nowMs - grid.deadlineMs(this.#nextTick));
    const first = Math.max(this.#nextTick, dueTick - PHASE_COUNT + 1); // T2
    this.#nextTick = dueTick + 1;
    this.#frames.tickAt(grid.deadlineMs(this.#nextTick));
    for (let tick = first; tick <= dueTick; tick++) {
      for (const listener of this.#phases[tick % PHASE_COUNT]!) listener.onTick(nowMs);
    }
    for (const listener of this.#fine) listener.onFineTick!(nowMs);
  }
}

const tickers = new WeakMap<Clock, LineTicker>();
