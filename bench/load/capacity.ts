/**
 * How many calls a node carries before an objective breaks, and what ran out. The search grows by halves, or comes down by
 * them when its first step broke one, and then closes in; each step is a load of its own on the same node. Pure but for
 * what it is given to measure with.
 */
import { availableParallelism, totalmem } from "node:os";
import type { Figure } from "./figures.js";
import type { LoadResult } from "./results.js";

/** Kept while the figure is at most this. */
export interface Objective {
  readonly figure: string;
  readonly most: number;
  readonly unit: string;
}

export const OBJECTIVES: readonly Objective[] = [
  { figure: "pacing error p99, at most", most: 5, unit: "ms" },
  { figure: "added p99", most: 20, unit: "ms" },
  { figure: "webhook to first greeting audio p95", most: 50, unit: "ms" },
  { figure: "records dropped by rings", most: 0, unit: "" },
  { figure: "calls refused", most: 0, unit: "" },
  { figure: "turns that were wrong", most: 0, unit: "" },
];

/** Figures that somebody may hold to what his callers put up with, ms. Nobody is held to `voice` unless it is asked for. */
export const OWN_OBJECTIVES = {
  pacing: "pacing error p99, at most",
  added: "added p99",
  greeting: "webhook to first greeting audio p95",
  voice: "voice to voice p95",
} as const;
export type OwnObjectives = Readonly<Partial<Record<keyof typeof OWN_OBJECTIVES, number>>>;

/** The objectives, with one's own in the place of those of the same figure. */
export function objectivesWith(own: OwnObjectives): readonly Objective[] {
  const given = Object.entries(own).map(
    ([name, most]): Objective => ({
      figure: OWN_OBJECTIVES[name as keyof OwnObjectives],
      most,
      unit: "ms",
    }),
  );
  const isGiven = ({ figure }: Objective): boolean => given.some((objective) => objective.figure === figure);
  return [...given, ...OBJECTIVES.filter((objective) => !isGiven(objective))];
}

const GROWTH = 1.5;
/** The search comes down to so many: with fewer, one late turn is the p99. */
const CALLS_MIN = 10;
/** Near enough: a machine differs by more from run to run. */
const CLOSE = 1.1;
/** A thread that has used so much of its core has no time left for what comes in bursts. */
export const THREAD_FULL = 0.85;
/** All cores together; what else runs on them is not counted here. */
const MACHINE_FULL = 0.8;
const MEMORY_FULL = 0.85;
/** A generator that is late by more at p99 measures itself. */
const GENERATOR_LATE_MS = 15;

export interface Step {
  readonly calls: number;
  readonly broken: readonly string[];
  readonly evidence: Evidence;
  readonly figures: readonly Figure[];
  readonly failureCount: number;
}

/** Means over the steady windows, but for the memory. */
export interface Evidence {
  readonly edgeCores: number;
  readonly worstShardCores: number;
  readonly nodeCores: number;
  readonly generatorCores: number;
  readonly emulatorCores: number;
  readonly generatorLateP99Ms: number;
  readonly rssMiB: number;
  readonly nodeCalls: number;
}

export interface Capacity {
  /** The most that kept every objective; 0 when none did down to CALLS_MIN, or to the first step if it was of fewer. */
  readonly calls: number;
  readonly steps: readonly Step[];
  /** Null when nothing broke up to the most that was asked for. */
  readonly ranOut: string | null;
}

/** `measure`: null ends the search with what it has. */
export async function findCapacity(
  from: number,
  to: number,
  slots: number | null,
  processes: number,
  measure: (calls: number) => Promise<LoadResult | null>,
  objectives = OBJECTIVES,
): Promise<Capacity> {
  const steps: Step[] = [];
  let good = 0;
  let bad = Number.POSITIVE_INFINITY;
  for (let calls = from; ; ) {
    const result = await measure(calls);
    if (result === null) break;
    const step = stepOf(calls, result, objectives);
    steps.push(step);
    if (step.broken.length === 0) good = calls;
    else bad = calls;
    if (good >= to || good * CLOSE >= bad || bad <= CALLS_MIN) break;
    if (bad === Number.POSITIVE_INFINITY) calls = Math.min(to, Math.ceil(calls * GROWTH));
    else if (good === 0) calls = Math.max(CALLS_MIN, Math.floor(calls / GROWTH));
    else calls = Math.round((good + bad) / 2);
    if (calls === good || calls === bad) break;
  }
  const broken = steps.find(({ calls }) => calls === bad);
  return {
    calls: good,
    steps,
    ranOut: broken === undefined ? null : resourceOf(broken.evidence, slots, processes),
  };
}

function stepOf(calls: number, result: LoadResult, objectives = OBJECTIVES): Step {
  const broken = objectives.flatMap(({ figure, most, unit }) => {
    const value = result.figures.find(({ name }) => name === figure)?.value;
    return value === undefined || value <= most
      ? []
      : [`${figure} ${value} ${unit} (${most})`.replace("  ", " ")];
  });
  if (result.failureCount > 0) broken.push(`${result.failureCount} failures: ${result.failures[0] ?? ""}`);
  const steady = result.windows.filter(({ phase }) => phase === "steady");
  const mean = (of: (window: (typeof steady)[number]) => number | null): number => {
    const known = steady.map(of).filter((value) => value !== null);
    return known.length === 0 ? 0 : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return {
    calls,
    broken,
    figures: result.figures,
    failureCount: result.failureCount,
    evidence: {
      edgeCores: mean((window) => window.edgeCores),
      worstShardCores: mean((window) => Math.max(0, ...window.shardCores)),
      nodeCores: mean((window) => window.nodeCores),
      generatorCores: mean((window) => window.generatorCores),
      emulatorCores: mean((window) => window.emulatorCores),
      generatorLateP99Ms:
        result.figures.find(({ name }) => name === "generator's frames late p99")?.value ?? 0,
      rssMiB: Math.max(0, ...steady.map((window) => window.nodeRssMiB ?? 0)),
      nodeCalls: Math.max(0, ...steady.map((window) => window.nodeCalls ?? 0)),
    },
  };
}

/** Named in the order of what would explain the others: a full machine makes every thread late. */
export function resourceOf(
  evidence: Evidence,
  slots: number | null,
  processes: number,
  cores: number = availableParallelism(),
): string {
  const { edgeCores, worstShardCores, nodeCores, generatorCores, emulatorCores, rssMiB } = evidence;
  const of = (name: string, used: number): string => `${name}: ${used.toFixed(2)} of a core`;
  if (slots !== null && evidence.nodeCalls >= slots) return `slots: ${evidence.nodeCalls} of ${slots} taken`;
  if (edgeCores >= THREAD_FULL) return of("the edge's thread", edgeCores);
  if (worstShardCores >= THREAD_FULL) return of("a shard's thread", worstShardCores);
  if (generatorCores / processes >= THREAD_FULL)
    return of("the generator (--processes)", generatorCores / processes);
  if (emulatorCores >= THREAD_FULL) return of("the emulators", emulatorCores);
  const all = nodeCores + generatorCores + emulatorCores;
  if (all >= MACHINE_FULL * cores) {
    return `the machine: ${all.toFixed(2)} of ${cores} cores, of them callers ${generatorCores.toFixed(2)} and emulators ${emulatorCores.toFixed(2)}`;
  }
  if (rssMiB * 2 ** 20 >= MEMORY_FULL * totalmem()) return `memory: ${rssMiB.toFixed(0)} MiB`;
  if (evidence.generatorLateP99Ms > GENERATOR_LATE_MS) {
    return `the generator's timeliness: late by ${evidence.generatorLateP99Ms.toFixed(1)} ms at p99`;
  }
  return `no resource was full (edge ${edgeCores.toFixed(2)}, worst shard ${worstShardCores.toFixed(2)}, all ${all.toFixed(2)} of ${cores} cores): bursts, or what else ran on the machine`;
}
