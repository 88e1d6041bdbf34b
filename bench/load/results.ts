/** What a load run leaves behind: the JSON beside its report, and what `--compare` reads. */
import type { MachineFacts } from "#bench/report";
import type { Distribution } from "./distribution.js";
import type { Figure } from "./figures.js";
import type { NodeWindow } from "./sampler.js";

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
  /** Of a front door, which has no turns: right answers, and what they took. */
  readonly answers?: number;
  readonly answerMs?: Percentiles | null;
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
  /** None of a front door. */
  readonly calls: number;
  /** Requests a front door was to answer. */
  readonly ratePerSecond?: number;
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

/** What a window says of the node; nothing where it could not be asked. */
export function nodePart(node: NodeWindow | null) {
  return {
    pacingP99Ms: node?.pacingP99Ms ?? null,
    edgeLoopP99Ms: rounded(node?.edgeLoopP99Ms),
    worstLoopP99Ms: rounded(node?.eventLoopP99Ms),
    nodeCores: rounded(node?.cores),
    edgeCores: rounded(node?.edgeCores),
    shardCores: Object.values(node?.shardCores ?? {}).map((cores) => round(cores, 3)),
    nodeRssMiB: node === null ? null : round(node.rssBytes / 2 ** 20, 1),
    nodeFds: node?.fds ?? null,
    nodeTimers: node?.timers ?? null,
    nodeCalls: node?.calls ?? null,
    drops: node?.drops ?? null,
  };
}

export function percentilesOf(distribution: Distribution): Percentiles | null {
  if (distribution.count === 0) return null;
  const at = (percentile: number): number => round(distribution.percentileMs(percentile), 2);
  return { p50: at(50), p95: at(95), p99: at(99) };
}

export function rounded(value: number | null | undefined): number | null {
  return value === undefined || value === null ? null : round(value, 3);
}

export function round(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

/** What a result is called, and its files: by calls, or by what a front door was offered. */
export function loadNameOf({ mix, calls, ratePerSecond }: LoadResult): string {
  return `load-${mix}-${ratePerSecond ?? calls}`;
}
