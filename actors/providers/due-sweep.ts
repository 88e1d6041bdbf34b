/**
 * One timer for every deadline of a shard's providers. A call has half a dozen deadlines that move with
 * every event; setting and clearing a timer each time would cost more than the events. Here moving one is
 * an assignment: whoever waits keeps `dueAtMs` up to date and the sweep looks at all of them now and then.
 *
 * W1  `onDue` never runs before `dueAtMs`, and at most SWEEP_INTERVAL_MS (and the loop's own delay) after; W3 adds one.
 * W2  Nothing waits, no timer: an idle shard is not woken.
 * W3  A sweep that comes late itself judges nobody: the thread stood still, timers run before sockets are read, and what
 *     would have kept a deadline lies in one. The next sweep judges, late or not.
 */
import type { Clock, TimerHandle } from "#runtime/actor";

/** Our deadlines are seconds long and may be this late; 1,000 calls looked at ten times a second cost 0.1 ms. */
export const SWEEP_INTERVAL_MS = 100;

/** W3: a sweep this much late comes after a stall. A busy loop's turn is shorter. */
export const STALL_MS = 100;

/** Not waiting for anything. */
export const NEVER = Number.POSITIVE_INFINITY;

export interface Due {
  /** Instant of the next `onDue`, or NEVER. Assign freely. */
  dueAtMs: number;
  /** Called once `dueAtMs` has passed; must move `dueAtMs` or leave the sweep, else it is called again. */
  onDue(nowMs: number): void;
}

export class DueSweep {
  readonly #clock: Clock;
  readonly #waiting = new Set<Due>();
  readonly #tick = () => this.#sweep();
  #timer: TimerHandle | null = null;
  #expectedAtMs = 0;
  #hasPassed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(due: Due): void {
    this.#waiting.add(due);
    this.#arm();
  }

  remove(due: Due): void {
    this.#waiting.delete(due);
    if (this.#waiting.size > 0 || this.#timer === null) return;
    this.#timer.cancel(); // W2
    this.#timer = null;
  }

  #sweep(): void {
    this.#timer = null;
    const nowMs = this.#clock.nowMs();
    this.#hasPassed = nowMs - this.#expectedAtMs >= STALL_MS && !this.#hasPassed;
    if (this.#hasPassed) return this.#arm(); // W3
    for (const due of this.#waiting) {
      if (due.dueAtMs > nowMs) continue;
      try {
        due.onDue(nowMs);
      } catch (error) {
        // A bug, and it shall be seen as one; but not by stopping the deadlines of every other call.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (this.#waiting.size > 0) this.#arm();
  }

  #arm(): void {
    if (this.#timer !== null) return;
    this.#expectedAtMs = this.#clock.nowMs() + SWEEP_INTERVAL_MS;
    this.#timer = this.#clock.setTimer(SWEEP_INTERVAL_MS, this.#tick);
  }
}
