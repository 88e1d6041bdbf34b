/** What a load run leaves behind: the JSON beside its report, and what `--compare` reads. */
import type { MachineFacts } from "#bench/report";
import type { Figure } from "./figures.js";

/** Of the JSON; another one is not compared. */
export const RESULT_FORMAT = 1;

/** One window of the run. Null where nothing could be measured. */
export interface LoadWindow {
  /** Seconds since the first call was due. */
  readonly atS: number;
  readonly phase: "ramp" | "steady" | "end";
  /** Calls up at its end, as the callers see it. */
  readonly up: number;
  readonly turns: number;
  readonly wrong: number;
  readonly refused: number;
  readonly failed: number;
  readonly voiceToVoiceMs: Percentiles | null;
  readonly addedMs: Percentiles | null;
  readonly pacingP99Ms: number | null;
  readonly edgeLoopP99Ms: number | null;
  readonly worstLoopP99Ms: number | null;
  readonly nodeCores: number | null;
  readonly edgeCores: number | null;
  readonly shardCores: readonly number[];
  readonly nodeRssMiB: number | null;
  readonly nodeFds: number | null;
  readonly nodeTimers: number | null;
  readonly nodeCalls: number | null;
  readonly generatorCores: number;
  readonly emulatorCores: number | null;
  readonly generatorLateP99Ms: number;
  readonly drops: number | null;
  readonly underruns: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface LoadResult {
  readonly format: typeof RESULT_FORMAT;
  readonly machine: MachineFacts;
  readonly startedAt: string;
  readonly mix: string;
  readonly calls: number;
  readonly rampS: number;
  readonly seconds: number;
  readonly processes: number;
  readonly target: string;
  readonly figures: readonly Figure[];
  readonly windows: readonly LoadWindow[];
  readonly notes: readonly string[];
  /** What was wrong: the figures then do not count. */
  readonly failures: readonly string[];
  readonly failureCount: number;
}
