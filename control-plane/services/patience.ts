/** A bound on waiting for the store where somebody is on the line meanwhile. */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";

/** @throws LumentraError STORE_UNAVAILABLE when the store did not answer in time; what it does then is not undone */
export function storeWithin<Result>(work: Promise<Result>, timeoutMs: number, clock: Clock): Promise<Result> {
  return new Promise((resolve, reject) => {
    const fail = (): void =>
      reject(new LumentraError("STORE_UNAVAILABLE", `the store did not answer in ${timeoutMs} ms`));
    // Timers come before sockets in a turn of the loop, and immediates after both: an answer that came while this
    // process stood still is taken.
    const timer = clock.setTimer(timeoutMs, () => setImmediate(fail));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
