/**
 * The figures of a run: each over the whole of its steady part, and over slices of it, so that a later run can be
 * compared with what this one varied by itself.
 */
import { Distribution } from "./distribution.js";

/** Enough for a spread, few enough that each holds turns to take a percentile of. */
export const SLICE_COUNT = 5;
/** Of fewer observations in a slice no tail is taken. */
const TAIL_COUNT_MIN = 20;

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** The same over each slice of the steady part; fewer where one had nothing to measure. */
  readonly slices: readonly number[];
  /** What would be an improvement; `none` for what merely says how the run was. */
  readonly better: "lower" | "higher" | "none";
  readonly count?: number;
}

/** Observations of one kind, over all and by slice. */
export class Sliced {
  readonly all: Distribution;
  readonly slices: readonly Distribution[];

  constructor(what: string) {
    this.all = new Distribution(what);
    this.slices = Array.from({ length: SLICE_COUNT }, () => new Distribution(what));
  }

  record(ms: number, slice: number): void {
    this.all.record(ms);
    this.slices[Math.min(SLICE_COUNT - 1, Math.max(0, slice))]!.record(ms);
  }

  figures(percentiles: readonly number[], better: Figure["better"] = "lower"): Figure[] {
    if (this.all.count === 0) return [];
    return percentiles.map((percentile) => ({
      name: `${this.all.what} p${percentile}`,
      unit: "ms",
      value: this.all.percentileMs(percentile),
      slices: this.slices
        .filter(({ count }) => count >= (percentile > 90 ? TAIL_COUNT_MIN : 1))
        .map((slice) => slice.percentileMs(percentile)),
      better,
      count: this.all.count,
    }));
  }
}

/** A value once a window: its mean over all, and over each slice. */
export class Averaged {
  readonly #name: string;
  readonly #unit: string;
  readonly #sums = new Float64Array(SLICE_COUNT);
  readonly #weights = new Float64Array(SLICE_COUNT);

  constructor(name: string, unit: string) {
    this.#name = name;
    this.#unit = unit;
  }

  /** `weight`: how much of what it is a mean over (call seconds, say) this window had. */
  add(total: number, weight: number, slice: number): void {
    const at = Math.min(SLICE_COUNT - 1, Math.max(0, slice));
    this.#sums[at]! += total;
    this.#weights[at]! += weight;
  }

  figures(better: Figure["better"] = "lower"): Figure[] {
    const sum = this.#sums.reduce((all, value) => all + value, 0);
    const weight = this.#weights.reduce((all, value) => all + value, 0);
    if (weight === 0) return [];
    const slices = [...this.#sums].flatMap((value, i) =>
      this.#weights[i]! > 0 ? [value / this.#weights[i]!] : [],
    );
    return [{ name: this.#name, unit: this.#unit, value: sum / weight, slices, better }];
  }
}

/** Of observations in buckets: bounds, so the true figure is at most that. */
export class Bucketed {
  readonly #slices = Array.from({ length: SLICE_COUNT }, () => new Map<number, number>());

  add(counts: ReadonlyMap<number, number>, slice: number): void {
    const kept = this.#slices[Math.min(SLICE_COUNT - 1, Math.max(0, slice))]!;
    for (const [bound, count] of counts) kept.set(bound, (kept.get(bound) ?? 0) + count);
  }

  figures(name: string, percentiles: readonly number[]): Figure[] {
    const all = new Map<number, number>();
    for (const slice of this.#slices) {
      for (const [bound, count] of slice) all.set(bound, (all.get(bound) ?? 0) + count);
    }
    return percentiles.flatMap((percentile) => {
      const value = boundOf(all, percentile / 100);
      if (value === null) return [];
      const slices = this.#slices
        .map((slice) => boundOf(slice, percentile / 100))
        .filter((bound) => bound !== null);
      return [
        { name: `${name} p${percentile}, at most`, unit: "ms", value, slices, better: "lower" as const },
      ];
    });
  }
}

function boundOf(cumulative: ReadonlyMap<number, number>, quantile: number): number | null {
  const all = cumulative.get(Number.POSITIVE_INFINITY) ?? 0;
  if (all === 0) return null;
  const bounds = [...cumulative.keys()].sort((a, b) => a - b);
  return bounds.find((bound) => cumulative.get(bound)! >= quantile * all) ?? null;
}
