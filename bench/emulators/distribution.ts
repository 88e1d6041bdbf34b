/**
 * Latencies as distributions: a median and the farthest a draw strays from it to either side. Draws are
 * bell-shaped, symmetric (so the median is the mean) and bounded, and come from a seeded Random.
 */
import type { Random } from "#runtime/actor";

export interface Distribution {
  readonly medianMs: number;
  /** No draw is farther than this from the median; 0 draws exactly the median. */
  readonly jitterMs: number;
}

/** Share of the median a default latency may stray to either side. */
const DEFAULT_JITTER_SHARE = 0.1;

/** `median` with the default jitter. */
export function around(medianMs: number, jitterShare: number = DEFAULT_JITTER_SHARE): Distribution {
  return { medianMs, jitterMs: medianMs * jitterShare };
}

/** Always `ms`. */
export function exactly(ms: number): Distribution {
  return { medianMs: ms, jitterMs: 0 };
}

/** One draw, never below 0. The mean of three uniforms: bell-shaped, and never outside the bounds. */
export function drawMs(distribution: Distribution, random: Random): number {
  if (distribution.jitterMs === 0) return distribution.medianMs;
  const bell = ((random.next() + random.next() + random.next()) * 2) / 3 - 1;
  return Math.max(0, distribution.medianMs + bell * distribution.jitterMs);
}
