/** What figures are held to, as lines in a chart. */
import { goalOf } from "#bench/load";
import type { ColourName } from "#bench/report";
import type { Goal } from "./chart.js";

/** In every panel the same. */
export const PERCENTILE_COLOURS: Readonly<Record<string, ColourName>> = { p50: "c0", p95: "c1", p99: "c2" };

/** What is aimed at of figures that are the same for every mix; a percentile's is in its colour. */
export function goalsOf(figures: readonly string[]): readonly Goal[] {
  return figures
    .flatMap((name) => goalOf(name, "") ?? [])
    .map(({ figure, most, unit }, at): Goal => {
      const percentile = percentileOf(figure);
      const colour = percentile === null ? undefined : PERCENTILE_COLOURS[percentile];
      const words = [at === 0 ? "goal:" : "", figures.length > 1 ? percentile : "", String(most), unit];
      return {
        label: words.filter((word) => word !== null && word !== "").join(" "),
        value: most,
        ...(figures.length > 1 && colour !== undefined && { colour }),
      };
    });
}

export function cpuGoal(mix: string): Goal {
  const value = goalOf("node CPU per call and second", mix)!.most;
  return { label: `goal: ${value.toFixed(1)} ms`, value };
}

/** The last that its name has: the p50 of what is the p99 of a second. */
export function percentileOf(figure: string): string | null {
  return figure.match(/\bp\d+\b/g)?.at(-1) ?? null;
}
