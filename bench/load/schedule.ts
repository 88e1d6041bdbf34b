/**
 * When calls come: instants fixed before the first of them, so that a node which does not keep up is asked as often
 * as one that does. Pure.
 */
import type { Random } from "#runtime/actor";

export type ArrivalCurve = "constant" | "poisson" | "ramp";

/** Milliseconds after the start, in order: `count` arrivals within `rampMs`. */
export function arrivals(
  curve: ArrivalCurve,
  count: number,
  rampMs: number,
  burst: number,
  random: Random,
): readonly number[] {
  const single = instantsOf(curve, Math.ceil(count / burst), rampMs, random);
  return Array.from({ length: count }, (_, index) => single[Math.floor(index / burst)]!);
}

function instantsOf(curve: ArrivalCurve, count: number, rampMs: number, random: Random): readonly number[] {
  const evenly = Array.from({ length: count }, (_, index) => index / count);
  // The rate grows from nothing in a straight line: the count with the square of time.
  if (curve === "ramp") return evenly.map((share) => Math.sqrt(share) * rampMs);
  if (curve === "constant") return evenly.map((share) => share * rampMs);
  // A Poisson process of which the count is known is as many independent draws, put in order.
  return evenly.map(() => random.next() * rampMs).sort((a, b) => a - b);
}
