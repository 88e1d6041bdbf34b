/** Waits between attempts: doubling, bounded, and with full jitter, so that many nodes do not come back as one. */
import type { Random } from "#runtime/actor";

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** `attempt` counts from 0. Between half of the step and the whole of it. */
export function nextBackoffMs({ firstMs, maxMs }: Backoff, attempt: number, random: Random): number {
  const stepMs = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
  return stepMs * (0.5 + 0.5 * random.next());
}
