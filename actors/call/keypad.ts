/** Keys that the caller presses, put together to numbers: `#` or a pause ends one. */
import type { Clock, TimerHandle } from "#runtime/actor";
import { DtmfCollector } from "#actors/speech";

export interface KeypadDeps {
  readonly clock: Clock;
  readonly guard: (body: () => void) => void;
  /** A number is whole; never empty. */
  readonly onTyped: (digits: string) => void;
}

export class Keypad {
  readonly #deps: KeypadDeps;
  readonly #collector = new DtmfCollector();
  #timer: TimerHandle | null = null;

  constructor(deps: KeypadDeps) {
    this.#deps = deps;
  }

  /** Somebody is in the middle of a number. */
  get isTyping(): boolean {
    return this.#collector.dueAtMs !== null;
  }

  /** Of a number that is not whole yet. */
  get digits(): string {
    return this.#collector.digits;
  }

  press(digit: string, atMs: number): void {
    this.#timer?.cancel();
    const typed = this.#collector.push(digit, atMs);
    if (typed !== null) return this.#onTyped(typed);
    const { dueAtMs } = this.#collector;
    if (dueAtMs === null) return;
    const { clock, guard } = this.#deps;
    this.#timer = clock.setTimer(Math.max(0, dueAtMs - clock.nowMs()) + 1, () =>
      guard(() => {
        const typedSoFar = this.#collector.poll(clock.nowMs());
        if (typedSoFar !== null) this.#onTyped(typedSoFar);
      }),
    );
  }

  close(): void {
    this.#timer?.cancel();
  }

  #onTyped(digits: string): void {
    if (digits !== "") this.#deps.onTyped(digits);
  }
}
