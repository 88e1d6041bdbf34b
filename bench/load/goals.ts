/** What figures are held to: the objectives of `capacity`, and the budgets that break nothing when they are missed. */
import { OBJECTIVES } from "./capacity.js";
import { VOICE_TO_VOICE_MS_MOST } from "./objective.js";

export interface FigureGoal {
  readonly figure: string;
  /** It is met while the figure is at most this. */
  readonly most: number;
  readonly unit: string;
}

const VOICE_TO_VOICE_P50_MS = 350;
const ADDED_P50_MS = 5;
/** Of one call, KiB; the design's budget. */
export const CALL_MEMORY_KIB = 128;
/** Of an idle line, and of any other mix: a conversation is the most that is said to cost. */
const IDLE_CPU_MS = 0.6;
const CONVERSATION_CPU_MS = 1;
const CPU = "node CPU per call and second";

const GOALS: readonly FigureGoal[] = [
  { figure: "voice to voice p50", most: VOICE_TO_VOICE_P50_MS, unit: "ms" },
  { figure: "voice to voice p95", most: VOICE_TO_VOICE_MS_MOST, unit: "ms" },
  { figure: "added p50", most: ADDED_P50_MS, unit: "ms" },
  { figure: "node memory per call", most: CALL_MEMORY_KIB, unit: "KiB" },
  ...OBJECTIVES,
];

/** Null where nothing is aimed at. */
export function goalOf(figure: string, mix: string): FigureGoal | null {
  if (figure === CPU) return { figure, most: mix === "idle" ? IDLE_CPU_MS : CONVERSATION_CPU_MS, unit: "ms" };
  return GOALS.find((goal) => goal.figure === figure) ?? null;
}
