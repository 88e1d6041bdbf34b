/** How long to wait before dialling again: doubling, bounded, and never the same on two shards. */
import type { Random } from "#runtime/actor";

/** First wait after a failure: a restarted load balancer is back by then. */
const BACKOFF_FIRST_MS = 250;
/** Longest wait: a provider that comes back is in use again within half a minute. */
export const BACKOFF_MAX_MS = 30_000;

/** `failureCount` in a row, 1 or more. Half of the wait is drawn, so that a fleet does not knock in step. */
export function backoffMs(failureCount: number, random: Random): number {
  const fullMs = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(failureCount - 1, 16), BACKOFF_MAX_MS);
  return fullMs / 2 + (random.next() * fullMs) / 2;
}
