/**
 * The placement simulator: how evenly calls lie, what is refused though there was room, and what a placement costs,
 * while calls come in bursts, views are stale, nodes and a region go and come. See docs/BENCHMARKS.md.
 */
import type { Choosing } from "./placement-cluster.js";
import { PHASES } from "./placement-scenario.js";
import { type PhaseFigures, type SimulationResult, simulate } from "./placement-simulation.js";
import { quantile, threeFigures } from "./stopwatch.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export interface PlacementOptions extends SuiteOptions {
  /** @default 1,000 */
  readonly nodes?: number;
  /** Calls offered over all phases. @default 1,000 per node */
  readonly calls?: number;
  /** @default 1 */
  readonly seed?: number;
}

const DEFAULT_NODES = 1_000;
/** Fourteen generations of calls: each phase lasts long enough to settle. */
const CALLS_PER_NODE = 1_000;
/** The comparison needs a steady state alone. */
const STEADY_PHASES = PHASES.findIndex(({ name }) => name === "steady") + 1;
/**
 * A slot given back within the last 25 ms may be missed, the age of view by which placers refuse. More room than this
 * share of all slots at a refusal means that it was not looked for.
 */
const ROOM_MISSED_MAX = 0.01;

export async function run(options: PlacementOptions): Promise<SuiteResult> {
  const nodes = options.nodes ?? DEFAULT_NODES;
  const calls = options.calls ?? nodes * CALLS_PER_NODE;
  const seed = options.seed ?? 1;
  const simulated = (choosing: Choosing, phaseCount = PHASES.length): SimulationResult =>
    simulate({ nodes, calls, seed, choosing, phaseCount });
  const steady = (choosing: Choosing): PhaseFigures => simulated(choosing, STEADY_PHASES).phases.at(-1)!;
  const result = simulated("placement");
  const refused = result.phases.reduce((sum, figures) => sum + figures.refused, 0);
  const withRoom = result.phases.reduce((sum, figures) => sum + figures.refusedWithRoom, 0);
  const mostRoom = Math.max(...result.phases.map(({ mostRoomAtRefusal }) => mostRoomAtRefusal));
  return {
    name: "placement",
    rows: [
      { phase: "any node with room, steady", ...row(steady("random")) },
      { phase: "two sampled, none preferred, steady", ...row(steady("noPreference")) },
      ...result.phases.map((figures) => ({ phase: figures.phase.name, ...row(figures) })),
    ],
    notes: [
      `${nodes} nodes, ${calls} calls, ${Math.round(result.virtualMs / 1_000)} s of virtual time, seed ${seed}`,
      timeNote(result),
      `${refused} refused, ${withRoom} of them while a slot was free somewhere: at most ${mostRoom} of ${result.slots}`,
      "load is calls over slots, per node; sampled each virtual second over the nodes that are up",
      `digest ${result.digest}`,
    ],
    failures: result.phases
      .filter(({ mostRoomAtRefusal }) => mostRoomAtRefusal > ROOM_MISSED_MAX * result.slots)
      .map(({ phase, mostRoomAtRefusal }) => `${phase.name}: refused with ${mostRoomAtRefusal} slots free`),
  };
}

function row(figures: PhaseFigures): Record<string, number | string> {
  const { meanLoad, maxOverMean, stdev } = figures;
  return {
    offered: figures.offered,
    meanLoadPct: percent(mean(meanLoad)),
    maxOverMeanP50: threeFigures(quantile(maxOverMean.toSorted(ascending), 0.5)),
    maxOverMeanMost: threeFigures(Math.max(...maxOverMean)),
    stdevPct: percent(mean(stdev)),
    refused: figures.refused,
    withRoom: figures.refusedWithRoom,
    resumed: figures.resumed,
    ontoDead: figures.placedOnDead,
    elsewhere: figures.elsewhere,
  };
}

function timeNote({ placementNs, asked }: SimulationResult): string {
  const us = (share: number): number =>
    threeFigures(quantile(placementNs as unknown as readonly number[], share) / 1e3);
  const sum = placementNs.reduce((total, ns) => total + ns, 0);
  return (
    `time per placement, choosing and the model's answer: mean ${threeFigures(sum / placementNs.length / 1e3)}, ` +
    `p50 ${us(0.5)}, p99 ${us(0.99)}, p99.9 ${us(0.999)} µs; ${threeFigures(asked / placementNs.length)} questions each`
  );
}

function percent(share: number): number {
  return threeFigures(share * 100);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function ascending(a: number, b: number): number {
  return a - b;
}
