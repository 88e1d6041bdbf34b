/** A clock whose timers end together: what `close()` needs so that nothing is left waiting. */
import type { Clock, TimerHandle } from "#runtime/actor";

export class OwnedClock implements Clock {
  readonly #clock: Clock;
  readonly #pending = new Set<TimerHandle>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  unixMs(): number {
    return this.#clock.unixMs();
  }

  setTimer(delayMs: number, callback: () => void): TimerHandle {
    const inner = this.#clock.setTimer(delayMs, () => {
      this.#pending.delete(handle);
      callback();
    });
    const handle: TimerHandle = {
      cancel: () => {
        this.#pending.delete(handle);
        inner.cancel();
      },
    };
    this.#pending.add(handle);
    return handle;
  }

  /** Timers waiting now. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  cancelAll(): void {
    for (const handle of this.#pending) handle.cancel();
  }
}
