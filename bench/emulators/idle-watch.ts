/** Calls back when nothing has happened for so long. One timer, moved only when it fires. */
import type { Clock, TimerHandle } from "#runtime/actor";

export class IdleWatch {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onIdle: () => void;
  #lastActiveAtMs: number;
  #timer: TimerHandle;

  constructor(clock: Clock, limitMs: number, onIdle: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onIdle = onIdle;
    this.#lastActiveAtMs = clock.nowMs();
    this.#timer = clock.setTimer(limitMs, () => this.#look());
  }

  /** Something happened. */
  touch(): void {
    this.#lastActiveAtMs = this.#clock.nowMs();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #look(): void {
    const leftMs = this.#lastActiveAtMs + this.#limitMs - this.#clock.nowMs();
    if (leftMs <= 0) this.#onIdle();
    else this.#timer = this.#clock.setTimer(leftMs, () => this.#look());
  }
}
