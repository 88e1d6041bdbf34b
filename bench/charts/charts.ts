/**
 * Which charts there are to draw from some results. Several loads of one mix belong together, and so do runs of the edge;
 * every other file is a chart of its own. Of loads that belong together one is drawn over its time: the one with the most
 * calls among those that were right.
 *
 * C1 two runs of the same load are refused: which of them is drawn would be somebody's choice.
 */
import { LumentraError } from "#runtime/errors";
import { capacityCharts, loadCharts } from "./by-calls.js";
import { type Chart, known } from "./chart.js";
import { edgeChart } from "./edge.js";
import { doorChart, runChart, soakChart } from "./over-time.js";
import { agentCapacityChart, sideBySideChart } from "./side-by-side.js";
import type { EdgeSource, LoadSource, Source } from "./source.js";

/** @throws LumentraError BENCH_MIX_INVALID when two would be the same chart. */
export function chartsOf(sources: readonly Source[]): readonly Chart[] {
  const loads = new Map<string, LoadSource[]>();
  const edges: EdgeSource[] = [];
  const charts: Chart[] = [];
  for (const source of sources) {
    switch (source.kind) {
      case "load":
        if (source.ratePerSecond !== undefined) {
          charts.push(doorChart({ ...source, ratePerSecond: source.ratePerSecond }));
          break;
        }
        loads.set(source.mix, [...(loads.get(source.mix) ?? []), source]);
        break;
      case "soak":
        charts.push(soakChart(source));
        break;
      case "capacity":
        charts.push(...capacityCharts(source));
        break;
      case "side-by-side":
        charts.push(sideBySideChart(source));
        break;
      case "side-by-side-capacity":
        charts.push(agentCapacityChart(source));
        break;
      case "edge":
        edges.push(source);
        break;
    }
  }
  for (const runs of loads.values()) {
    charts.push(runChart(largestOf(runs)));
    if (runs.length > 1) charts.push(...loadCharts(runs));
    assertDistinct(runs.map(({ mix, calls }) => `${calls} calls of ${mix}`));
  }
  if (edges.length > 0) charts.push(edgeChart(edges));
  assertDistinct(charts.map(({ name }) => name));
  assertDistinct(edges.map(({ options: { calls, shards, speak } }) => `edge ${calls} ${shards} ${speak}`));
  return charts.map(known).filter((chart) => chart !== null);
}

function largestOf(runs: readonly LoadSource[]): LoadSource {
  const sorted = [...runs].sort((a, b) => a.calls - b.calls);
  return sorted.findLast(({ failureCount }) => failureCount === 0) ?? sorted.at(-1)!;
}

/** C1 */
function assertDistinct(names: readonly string[]): void {
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice === undefined) return;
  throw new LumentraError(
    "BENCH_MIX_INVALID",
    `Two of the files are runs of the same: ${twice}; give one of them`,
  );
}
