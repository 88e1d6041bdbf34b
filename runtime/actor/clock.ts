/**
 * Time, passed in: every actor, turn and provider takes a Clock, so that a call can run on virtual time.
 */

export interface TimerHandle {
  /** Idempotent; after it returns the callback will not run. */
  cancel(): void;
}

export interface Clock {
  /**
   * Monotonic milliseconds with a fraction. All threads and processes of one machine share its origin
   * (CLOCK_MONOTONIC), so instants may be compared across them. Elapsed time is always a difference of these.
   */
  nowMs(): number;
  /** Wall clock, for people and journals only. */
  unixMs(): number;
  /** Runs `callback` once, `delayMs` from now or a little later. Never earlier, never synchronously. */
  setTimer(delayMs: number, callback: () => void): TimerHandle;
}
