/**
 * What moved between two runs, beyond what either varied by itself. A figure of a run is also known for each fifth of
 * it; their standard deviation is that run's noise. A figure has moved when it differs by more than twice both noises
 * together, by more than 5 %, and by more than its unit's grain. Figures without slices (counts) moved when they differ.
 * It is a rule of thumb and no proof: two runs on a machine that others use differ by more than their slices do.
 */
import type { Figure } from "./figures.js";
import type { LoadResult } from "./results.js";

const NOISES = 2;
const SHARE_MIN = 0.05;
/** Differences below are of the clocks and counters, whatever the spread says. */
const GRAIN: Readonly<Record<string, number>> = { ms: 0.02, KiB: 4, "": 0 };
/** Of fewer slices there is no spread. */
const SLICES_MIN = 3;

export interface Movement {
  readonly name: string;
  readonly unit: string;
  readonly old: number;
  readonly new: number;
  /** Both runs' noises together; null when it is not known. */
  readonly noise: number | null;
  readonly verdict: "better" | "worse" | "moved" | "same" | "unknown";
}

export function compareRuns(old: LoadResult, now: LoadResult): readonly Movement[] {
  const before = new Map(old.figures.map((figure) => [figure.name, figure]));
  return now.figures.flatMap((figure) => {
    const earlier = before.get(figure.name);
    return earlier === undefined ? [] : [movementOf(earlier, figure)];
  });
}

/** Runs that are not of the same load say nothing of each other: in words what differs, or nothing. */
export function incomparable(old: LoadResult, now: LoadResult): readonly string[] {
  const differences: string[] = [];
  for (const key of ["format", "mix", "calls", "ratePerSecond", "seconds", "processes"] as const) {
    if (old[key] !== now[key]) differences.push(`${key} ${old[key]} and ${now[key]}`);
  }
  if (old.machine.cpu !== now.machine.cpu || old.machine.cores !== now.machine.cores) {
    differences.push(
      `machines: ${old.machine.cores} × ${old.machine.cpu} and ${now.machine.cores} × ${now.machine.cpu}`,
    );
  }
  return differences;
}

function movementOf(old: Figure, now: Figure): Movement {
  const { name, unit, better } = now;
  const base = { name, unit, old: old.value, new: now.value };
  const difference = now.value - old.value;
  const direction = difference < 0 === (better === "lower") ? "better" : "worse";
  const verdict = better === "none" ? "moved" : direction;
  if (unit === "") {
    return { ...base, noise: null, verdict: difference === 0 || better === "none" ? "same" : verdict };
  }
  if (old.slices.length < SLICES_MIN || now.slices.length < SLICES_MIN) {
    return { ...base, noise: null, verdict: "unknown" };
  }
  const noise = deviationOf(old.slices) + deviationOf(now.slices);
  const least = Math.max(NOISES * noise, SHARE_MIN * Math.abs(old.value), GRAIN[unit] ?? 0);
  return { ...base, noise, verdict: Math.abs(difference) > least ? verdict : "same" };
}

function deviationOf(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
