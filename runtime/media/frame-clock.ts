/**
 * Wakes whoever paces something on a grid of deadlines. It sleeps unless it was asked: one timer, set for
 * the earliest deadline that anybody waits for.
 *
 * F1  Deadlines come from the grid, never from the previous tick: a late tick delays what was due, and
 *     nothing after it.
 * F2  No tick comes before the deadline it was asked for.
 * F3  After a stall there is one tick, not a flood; the grid says which deadlines went by, and whoever must
 *     make up for them does so at its own pace.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { FrameGrid } from "./frame-grid.js";

export class FrameClock {
  /** Its origin is the instant at which the clock was made. */
  readonly grid: FrameGrid;
  readonly #clock: Clock;
  readonly #onTick: (nowMs: number) => void;
  /** Made once, not per tick. */
  readonly #onTimer = (): void => this.#tick();
  #timer: TimerHandle | null = null;
  #armedForMs = Number.POSITIVE_INFINITY;

  /** `onTick` asks for the next tick, when there is to be one. */
  constructor(clock: Clock, periodMs: number, onTick: (nowMs: number) => void) {
    this.#clock = clock;
    this.#onTick = onTick;
    this.grid = new FrameGrid(clock.nowMs(), periodMs);
  }

  /** A deadline of the grid at which to tick. A tick that is due sooner comes in its place. */
  tickAt(deadlineMs: number): void {
    if (deadlineMs < this.#armedForMs) this.#arm(deadlineMs, this.#clock.nowMs());
  }

  /** Ticks now if a tick is due: for whoever is awake at a deadline and need not wait for the timer. */
  tickIfDue(nowMs: number): void {
    if (nowMs < this.#armedForMs) return;
    this.stop();
    this.#onTick(nowMs);
  }

  /** Idempotent, also from within a tick; none comes until it is asked for again. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#armedForMs = Number.POSITIVE_INFINITY;
  }

  #arm(deadlineMs: number, nowMs: number): void {
    this.#timer?.cancel();
    this.#armedForMs = deadlineMs;
    this.#timer = this.#clock.setTimer(Math.max(0, deadlineMs - nowMs), this.#onTimer);
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#armedForMs) {
      // F2: a timer of whole milliseconds can be a fraction early.
      this.#arm(this.#armedForMs, nowMs);
      return;
    }
    this.#timer = null;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    this.#onTick(nowMs);
  }
}
