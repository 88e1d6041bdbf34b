/**
 * What a chart is before it is drawn: panels with their series, what is aimed at, and what says where it was taken. Pure
 * data, so that what is in a chart is decided apart from how it looks (render.ts).
 */
import type { ColourName } from "#bench/report";

export interface Chart {
  /** Of its file, without what it ends in. */
  readonly name: string;
  readonly title: string;
  readonly subtitle: string;
  readonly columns: 1 | 2 | 3;
  readonly panels: readonly Panel[];
  /** Why some of it does not count; stands above the panels. */
  readonly warnings: readonly string[];
  /** Machine, commit and command; small, at the bottom. */
  readonly caption: readonly string[];
}

export interface Panel {
  readonly title: string;
  readonly x: Axis & { readonly categories?: readonly string[] };
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly goals: readonly Goal[];
  /** A stretch of the run that is not what is measured: its ramp, its warm-up. */
  readonly aside?: { readonly from: number; readonly to: number; readonly label: string };
}

export interface Axis {
  /** With its unit. */
  readonly label: string;
  /** Where it ends, when that is known beforehand. */
  readonly most?: number;
}

/** A dashed line at a value that is aimed at, or that is a bound. */
export interface Goal {
  /** Stands above the panel, for at the line it would lie on what is measured. */
  readonly label: string;
  readonly value: number;
  /** Of the series whose goal it is. @default bad */
  readonly colour?: ColourName;
}

export interface Series {
  readonly name: string;
  readonly colour: ColourName;
  readonly kind: "line" | "bar" | "trend";
  /** Bars of one stack stand on each other, in the order of their series. */
  readonly stack?: string;
  /** By x, or by the category's index. Null where nothing could be measured. */
  readonly points: readonly Point[];
}

export type Point = readonly [x: number, y: number | null];

/** Charts of which nothing is known are not drawn, nor are empty panels and series. */
export function known(chart: Chart): Chart | null {
  const panels = chart.panels
    .map((panel) => ({ ...panel, series: panel.series.filter(hasPoints) }))
    .filter(({ series }) => series.length > 0);
  return panels.length === 0 ? null : { ...chart, panels };
}

function hasPoints({ points }: Series): boolean {
  return points.some(([, y]) => y !== null);
}
