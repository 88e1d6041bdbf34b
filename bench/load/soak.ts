/**
 * A load for hours, and whether anything of the node grows under it: memory, descriptors, timers, calls it counts.
 *
 * A series leaks when, after the warm-up, its later points are above its earlier ones by more than chance (z above 3)
 * and it grew by more than its grain and its share of its own median, over the time looked at. So what a short soak
 * lets pass a longer one finds: growth adds up, grain and share do not.
 */
import type { LoadWindow } from "./results.js";
import { type Point, type Trend, trendOf } from "./slope.js";

/**
 * Code is compiled, caches are filled, and the collector has been through the old half of each thread's heap: the first
 * fifth, at most so long, unless it is told.
 */
const WARM_UP_SHARE = 0.2;
const WARM_UP_S_MAX = 1_200;
/** One in 740 series without a trend has such an order by chance. */
const Z_MIN = 3;
/** Of fewer points there is no trend to speak of. */
const POINTS_MIN = 8;

interface Watched {
  readonly name: string;
  readonly unit: string;
  readonly of: (window: LoadWindow) => number | null;
  /** Growth below is none. */
  readonly grain: number;
  readonly share: number;
}

const WATCHED: readonly Watched[] = [
  { name: "memory", unit: "MiB", of: (window) => window.nodeRssMiB, grain: 16, share: 0.05 },
  { name: "descriptors", unit: "", of: (window) => window.nodeFds, grain: 4, share: 0.02 },
  { name: "timers", unit: "", of: (window) => window.nodeTimers, grain: 20, share: 0.05 },
  {
    name: "slots beyond calls that are up",
    unit: "",
    of: (window) => (window.nodeCalls === null ? null : window.nodeCalls - window.up),
    grain: 2,
    share: 0,
  },
];

/** What a soak looks at: its steady windows after the warm-up, which is a share of them unless told. */
export function afterWarmUp(windows: readonly LoadWindow[], warmUpS: number | null): readonly LoadWindow[] {
  const steady = windows.filter(({ phase }) => phase === "steady");
  const first = steady[0]?.atS ?? 0;
  const last = steady.at(-1)?.atS ?? 0;
  const from = first + (warmUpS ?? Math.min(WARM_UP_S_MAX, (last - first) * WARM_UP_SHARE));
  return steady.filter(({ atS }) => atS >= from);
}

/** What was carried: calls that were up, for as long as they were, from the run's begin or from `before` on. */
export function callHoursOf(
  windows: readonly LoadWindow[],
  before: Pick<LoadWindow, "atS" | "up"> = { atS: 0, up: 0 },
): number {
  let callSeconds = 0;
  for (const window of windows) {
    callSeconds += ((before.up + window.up) / 2) * (window.atS - before.atS);
    before = window;
  }
  return callSeconds / 3_600;
}

export interface SoakFinding {
  readonly what: string;
  readonly unit: string;
  /** Null when there was too little to tell. */
  readonly trend: Trend | null;
  /** What it may have grown by. */
  readonly allowed: number;
  readonly leaks: boolean;
}

/** `windows`: of the time that is looked at. */
export function leaksOf(windows: readonly LoadWindow[]): readonly SoakFinding[] {
  return WATCHED.map(({ name, unit, of, grain, share }) => {
    const points = windows.flatMap((window): Point[] => {
      const value = of(window);
      return value === null ? [] : [{ atS: window.atS, value }];
    });
    const trend = points.length < POINTS_MIN ? null : trendOf(points);
    const allowed = trend === null ? grain : Math.max(grain, share * Math.abs(trend.median));
    const leaks = trend !== null && trend.z > Z_MIN && trend.growth > allowed;
    return { what: name, unit, trend, allowed, leaks };
  });
}
