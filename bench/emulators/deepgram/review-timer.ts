/**
 * Brings a stream back to look at what is due. One timer, moved only when its instant changes: most audio
 * changes nothing about it.
 */
import type { Clock, TimerHandle } from "#runtime/actor";

export class ReviewTimer {
  readonly #clock: Clock;
  readonly #review: () => void;
  #timer: TimerHandle | null = null;
  /** When the timer fires; Infinity without one. */
  #atMs = Infinity;

  constructor(clock: Clock, review: () => void) {
    this.#clock = clock;
    this.#review = review;
  }

  /** Infinity for not at all. */
  wakeAt(atMs: number): void {
    if (atMs === this.#atMs) return;
    this.#timer?.cancel();
    this.#atMs = atMs;
    if (atMs === Infinity) return;
    this.#timer = this.#clock.setTimer(Math.max(0, atMs - this.#clock.nowMs()), () => {
      this.#atMs = Infinity;
      this.#review();
    });
  }

  stop(): void {
    this.wakeAt(Infinity);
  }
}
