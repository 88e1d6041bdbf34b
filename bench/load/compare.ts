/**
 * What moved between two runs, beyond what either varied by itself. A figure of a run is also known for each fifth of
 * it; their standard deviation is that run's noise. A figure has moved when it differs by more than twice both noises
 * together, by more than 5 %, and by more than its unit's grain. The noise of a share (of turns, of calls) is that of so
 * many throws of a coin. Figures without slices (counts) moved when they differ. It is a rule of thumb and no proof: two runs on a machine that others use differ by more than their slices do.
 */
import type { Figure } from "./figures.js";
import type { LoadResult } from "./results.js";

const NOISES = 2;
const SHARE_MIN = 0.05;
/** Differences below are of the clocks and counters, whatever the spread says. */
const GRAIN: Readonly<Record<string, number>> = { ms: 0.02, KiB: 4, "": 0 };
/** Points of a share: one call in a hundred. */
const SHARE_POINTS_MIN = 1;
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

/** What people read of a comparison: what moved, how much did not, and of what there was too little. */
export interface Told {
  /** Which run that was. */
  readonly earlier: string;
  readonly differs: readonly string[];
  readonly moved: readonly Movement[];
  readonly rest: readonly string[];
}

export function toldOfRuns(old: LoadResult, now: LoadResult): Told {
  const movements = compareRuns(old, now);
  const differs = incomparable(old, now);
  const named = (verdict: Movement["verdict"]): readonly string[] =>
    movements.filter((movement) => movement.verdict === verdict).map(({ name }) => name);
  const [same, unknown] = [named("same"), named("unknown")];
  const moved = movements.filter(({ verdict }) => verdict !== "same" && verdict !== "unknown");
  const { commit, node } = old.machine;
  return {
    earlier: `commit ${commit}, Node ${node}, ${old.startedAt.slice(0, 16).replace("T", " ")} UTC`,
    differs:
      differs.length === 0 ? [] : [`Not the same load, so what follows says little: ${differs.join("; ")}.`],
    moved,
    rest: [
      `${same.length} figures did not move beyond noise: twice both runs' spread over their fifths, and 5 %.`,
      ...(unknown.length === 0
        ? []
        : [`Too few observations to tell (longer runs have more): ${unknown.join("; ")}.`]),
    ],
  };
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
  const base = { name, unit, old: toldOf(old.value), new: now.value };
  const difference = base.new - base.old;
  // Of what is beyond a histogram's last bucket both times there is no difference at all.
  if (difference === 0 || Number.isNaN(difference)) return { ...base, noise: null, verdict: "same" };
  const direction = difference < 0 === (better === "lower") ? "better" : "worse";
  const verdict = better === "none" ? "moved" : direction;
  if (unit === "") {
    return { ...base, noise: null, verdict: better === "none" ? "same" : verdict };
  }
  if (unit === "%" && old.count !== undefined && now.count !== undefined) {
    const noise = shareDeviationOf(old.value, old.count) + shareDeviationOf(now.value, now.count);
    const least = Math.max(NOISES * noise, SHARE_POINTS_MIN);
    return { ...base, noise, verdict: Math.abs(difference) > least ? verdict : "same" };
  }
  if (old.slices.length < SLICES_MIN || now.slices.length < SLICES_MIN) {
    return { ...base, noise: null, verdict: "unknown" };
  }
  const noise = deviationOf(old.slices) + deviationOf(now.slices);
  const least = Math.max(
    NOISES * noise,
    SHARE_MIN * (Number.isFinite(base.old) ? Math.abs(base.old) : 0),
    GRAIN[unit] ?? 0,
  );
  return { ...base, noise, verdict: Math.abs(difference) > least ? verdict : "same" };
}

/** JSON has no word for what is beyond the last bucket. */
function toldOf(value: number | null): number {
  return value ?? Number.POSITIVE_INFINITY;
}

/** Of a share of so many, in points; even of all or none it is not zero, for the next one may be otherwise. */
function shareDeviationOf(percent: number, count: number): number {
  const share = ((percent / 100) * count + 1) / (count + 2);
  return 100 * Math.sqrt((share * (1 - share)) / count);
}

/** Without what is beyond the last bucket, which is too far from all others to be their noise. */
function deviationOf(slices: readonly number[]): number {
  const values = slices.filter((slice) => Number.isFinite(slice));
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
