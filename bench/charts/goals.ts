/** What figures are held to: the objectives of `capacity`, and the budgets that break nothing when they are missed. */
import { OBJECTIVES, VOICE_TO_VOICE_MS_MOST } from "#bench/load";
import type { ColourName } from "#bench/report";
import type { Goal } from "./chart.js";

const VOICE_TO_VOICE_P50_MS = 350;
const ADDED_P50_MS = 5;
const MEMORY_KIB = 128;
/** Of an idle line, and of any other mix: a conversation is the most that is said to cost. */
const IDLE_CPU_MS = 0.6;
const CONVERSATION_CPU_MS = 1;

/** In every panel the same. */
export const PERCENTILE_COLOURS: Readonly<Record<string, ColourName>> = { p50: "c0", p95: "c1", p99: "c2" };

const BUDGETS: readonly { readonly figure: string; readonly most: number; readonly unit: string }[] = [
  { figure: "voice to voice p50", most: VOICE_TO_VOICE_P50_MS, unit: "ms" },
  { figure: "voice to voice p95", most: VOICE_TO_VOICE_MS_MOST, unit: "ms" },
  { figure: "added p50", most: ADDED_P50_MS, unit: "ms" },
  { figure: "node memory per call", most: MEMORY_KIB, unit: "KiB" },
  ...OBJECTIVES,
];

/** What of them is aimed at; a percentile's is in its colour. */
export function goalsOf(figures: readonly string[]): readonly Goal[] {
  return figures
    .flatMap((name) => BUDGETS.filter(({ figure }) => figure === name))
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
  const value = mix === "idle" ? IDLE_CPU_MS : CONVERSATION_CPU_MS;
  return { label: `goal: ${value.toFixed(1)} ms`, value };
}

/** The last that its name has: the p50 of what is the p99 of a second. */
export function percentileOf(figure: string): string | null {
  return figure.match(/\bp\d+\b/g)?.at(-1) ?? null;
}
