/** Charts of one run over its time: a load's delays, and what a soak's node grows by. Pure. */
import { type LoadWindow, type Percentiles, type SoakFinding, shown } from "#bench/load";
import type { ColourName } from "#bench/report";
import { captionOf } from "./caption.js";
import type { Chart, Panel, Point, Series } from "./chart.js";
import { PERCENTILE_COLOURS, goalsOf } from "./goals.js";
import type { LoadSource, SoakSource } from "./source.js";

const PERCENTILES: readonly (keyof Percentiles)[] = ["p50", "p95", "p99"];

/** Seconds are read well up to minutes, minutes up to hours. */
const UNITS = [
  { unit: "s", seconds: 1, upToS: 600 },
  { unit: "min", seconds: 60, upToS: 3 * 3_600 },
  { unit: "h", seconds: 3_600, upToS: Number.POSITIVE_INFINITY },
] as const;

interface Time {
  readonly label: string;
  at(atS: number): number;
}

export function runChart(source: LoadSource): Chart {
  const { mix, calls, windows, seconds, target } = source;
  const time = timeOf(windows);
  return {
    name: `${mix}-${calls}-delay-over-time`,
    title: `Delay over time: ${mix}, ${calls.toLocaleString("en")} calls`,
    subtitle: `percentiles of each window, ${shown(seconds)} s after the ramp; ${target}`,
    columns: 1,
    panels: [
      percentilePanel("Voice to voice", source, time, (window) => window.voiceToVoiceMs, [
        "voice to voice p50",
        "voice to voice p95",
      ]),
      percentilePanel("Added by the node", source, time, (window) => window.addedMs, [
        "added p50",
        "added p99",
      ]),
    ],
    warnings: failuresOf(source),
    caption: captionOf([source]),
  };
}

/** Of a front door: what answers took, and whose CPU that was. */
export function doorChart(source: LoadSource & { readonly ratePerSecond: number }): Chart {
  const { mix, ratePerSecond, windows, seconds, target } = source;
  const time = timeOf(windows, "request");
  return {
    name: `${mix}-${ratePerSecond}-answers-over-time`,
    title: `Answers over time: ${mix}, ${ratePerSecond.toLocaleString("en")} requests a second`,
    subtitle: `percentiles of each window, from the instant a request was due, ${shown(seconds)} s; ${target}`,
    columns: 1,
    panels: [
      percentilePanel("Request to answer", source, time, (window) => window.answerMs ?? null, []),
      {
        title: "CPU",
        x: { label: time.label },
        y: { label: "cores" },
        goals: [],
        series: [
          series("what answers", "c0", windows, time, (window) => window.nodeCores),
          series("of it the main thread", "c1", windows, time, (window) => window.edgeCores),
          series("the generator", "c2", windows, time, (window) => window.generatorCores),
        ],
      },
    ],
    warnings: failuresOf(source),
    caption: captionOf([source]),
  };
}

function percentilePanel(
  title: string,
  { windows }: LoadSource,
  time: Time,
  of: (window: LoadWindow) => Percentiles | null,
  goals: readonly string[],
): Panel {
  const rampEndS = windows.findLast(({ phase }) => phase === "ramp")?.atS;
  return {
    title,
    x: { label: time.label },
    y: { label: "ms" },
    goals: goalsOf(goals),
    ...(rampEndS !== undefined && { aside: { from: 0, to: time.at(rampEndS), label: "ramp" } }),
    series: PERCENTILES.map((percentile) => ({
      name: percentile,
      colour: PERCENTILE_COLOURS[percentile]!,
      kind: "line",
      points: windows.map((window) => [time.at(window.atS), of(window)?.[percentile] ?? null]),
    })),
  };
}

export function soakChart(source: SoakSource): Chart {
  const { mix, calls, windows, findings, callHours } = source;
  const time = timeOf(windows);
  const memory = findings.find(({ what }) => what === "memory");
  return {
    name: `soak-${mix}`,
    title: `Soak: ${mix}, ${calls.toLocaleString("en")} calls, ${shown(callHours)} h of call time`,
    subtitle: findings.map(verdictOf).join(" · "),
    columns: 1,
    panels: [
      {
        title: "Memory of the node, resident",
        x: { label: time.label },
        y: { label: "MiB" },
        goals: [],
        series: [
          series("memory", "c0", windows, time, (window) => window.nodeRssMiB),
          ...(memory === undefined ? [] : [trendSeries(memory, windows, time)]),
        ],
      },
      {
        title: "What else would grow if it leaked",
        x: { label: time.label },
        y: { label: "count" },
        goals: [],
        series: [
          series("descriptors", "c1", windows, time, (window) => window.nodeFds),
          series("timers", "c2", windows, time, (window) => window.nodeTimers),
          series("calls the node counts", "c3", windows, time, (window) => window.nodeCalls),
        ],
      },
    ],
    warnings: failuresOf(source),
    caption: captionOf([source]),
  };
}

function series(
  name: string,
  colour: ColourName,
  windows: readonly LoadWindow[],
  time: Time,
  of: (window: LoadWindow) => number | null,
): Series {
  return { name, colour, kind: "line", points: windows.map((window) => [time.at(window.atS), of(window)]) };
}

/** Through the median at the middle of what was looked at, which is the steady part's end. */
function trendSeries({ trend }: SoakFinding, windows: readonly LoadWindow[], time: Time): Series {
  return {
    name: trend === null ? "slope" : `slope: ${signed(trend.perHour)} MiB an hour`,
    colour: "bad",
    kind: "trend",
    points: trend === null ? [] : trendPoints(trend, windows, time),
  };
}

function trendPoints(
  { perHour, growth, median }: NonNullable<SoakFinding["trend"]>,
  windows: readonly LoadWindow[],
  time: Time,
): readonly Point[] {
  const steady = windows.filter(({ phase }) => phase === "steady");
  const toS = steady.at(-1)?.atS ?? 0;
  const firstS = steady[0]?.atS ?? 0;
  // A flat one says nothing of how long it was looked at.
  const fromS = perHour === 0 ? firstS : Math.max(firstS, toS - (growth / perHour) * 3_600);
  return [
    [time.at(fromS), median - growth / 2],
    [time.at(toS), median + growth / 2],
  ];
}

function verdictOf({ what, unit, trend, leaks }: SoakFinding): string {
  if (trend === null) return `${what}: too short to tell`;
  const per = `${signed(trend.perHour)}${unit === "" ? "" : ` ${unit}`} an hour`;
  return `${what} ${per}: ${leaks ? "leaks" : "flat"}`;
}

function signed(value: number): string {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${shown(Math.abs(value))}`;
}

function failuresOf({ failureCount }: LoadSource | SoakSource): readonly string[] {
  if (failureCount === 0) return [];
  return [`${failureCount.toLocaleString("en")} failures, so the figures do not count`];
}

function timeOf(windows: readonly LoadWindow[], first: "call" | "request" = "call"): Time {
  const lastS = windows.at(-1)?.atS ?? 0;
  const { unit, seconds } = UNITS.find(({ upToS }) => lastS <= upToS)!;
  return { label: `since the first ${first} was due, ${unit}`, at: (atS) => atS / seconds };
}
