/**
 * Whether a series grows: robustly, for memory goes up and down with the collector. Pure.
 *
 * The slope is Theil and Sen's (the median of the slopes between any two points: a quarter of them may be wild), whether
 * it is one at all is Mann and Kendall's question (how many later points are above earlier ones, against chance).
 */
export interface Point {
  readonly atS: number;
  readonly value: number;
}

export interface Trend {
  readonly perHour: number;
  /** Over the points' own stretch. */
  readonly growth: number;
  readonly median: number;
  /** Standard deviations by which the order of the points differs from chance. */
  readonly z: number;
  readonly count: number;
}

/** Pairs are as many as points squared: of more points, every so many are merged. */
const POINTS_MAX = 400;

/** Null of fewer than two points. */
export function trendOf(series: readonly Point[]): Trend | null {
  const points = thinned(series);
  if (points.length < 2) return null;
  const slopes: number[] = [];
  let order = 0;
  for (let i = 0; i < points.length; i++) {
    for (let j = i + 1; j < points.length; j++) {
      const rise = points[j]!.value - points[i]!.value;
      slopes.push(rise / (points[j]!.atS - points[i]!.atS));
      order += Math.sign(rise);
    }
  }
  const n = points.length;
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const perSecond = medianOf(slopes);
  return {
    perHour: perSecond * 3_600,
    growth: perSecond * (points.at(-1)!.atS - points[0]!.atS),
    median: medianOf(points.map(({ value }) => value)),
    // Corrected by one towards none, as the sum is of whole numbers.
    z: order === 0 ? 0 : (order - Math.sign(order)) / deviation,
    count: n,
  };
}

/** Each the median of its stretch, so that a peak of the collector's does not decide. */
function thinned(series: readonly Point[]): readonly Point[] {
  const every = Math.ceil(series.length / POINTS_MAX);
  if (every <= 1) return series;
  const points: Point[] = [];
  for (let at = 0; at + every <= series.length; at += every) {
    const stretch = series.slice(at, at + every);
    points.push({
      atS: medianOf(stretch.map(({ atS }) => atS)),
      value: medianOf(stretch.map(({ value }) => value)),
    });
  }
  return points;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
