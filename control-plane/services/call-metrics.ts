/** Metrics of placement, sweeper and nodes' streams, read from their own counts when the page is asked for. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Placer, Sweeper } from "../placement/index.js";

export interface CallMetricsSources {
  readonly placer: Pick<Placer, "stats">;
  readonly sweeper: Pick<Sweeper, "stats">;
  readonly connectedNodes: () => number;
}

export function registerCallMetrics(registry: Registry, sources: CallMetricsSources): void {
  const { placer, sweeper, connectedNodes } = sources;
  const counts = (
    name: string,
    help: string,
    label: string,
    read: () => Readonly<Record<string, number>>,
  ): void => {
    registry.registerMetric(
      new Counter({
        name: `lumentra_${name}_total`,
        help,
        labelNames: [label],
        registers: [],
        collect() {
          this.reset();
          for (const [value, count] of Object.entries(read())) this.inc({ [label]: value }, count);
        },
      }),
    );
  };
  counts("placements", "Calls that wanted a place, by what they got.", "answer", () => {
    const { placed, existing, ended, refused } = placer.stats;
    return { placed, existing, ended, ...refused };
  });
  counts(
    "placement_directory",
    "What placement asked the directory, and how often that failed.",
    "question",
    () => {
      const { rounds, refreshes, refreshFailures } = placer.stats;
      return { rounds, refreshes, refreshFailures };
    },
  );
  counts("sweeper", "What nobody owned any more.", "found", () => ({ ...sweeper.stats }));
  registry.registerMetric(
    new Gauge({
      name: "lumentra_connected_nodes",
      help: "Nodes whose stream is here.",
      registers: [],
      collect() {
        this.set(connectedNodes());
      },
    }),
  );
}
