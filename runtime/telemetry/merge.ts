/**
 * One /metrics page from many threads: each thread hands over a snapshot of its registry, and this
 * merges them with prom-client's aggregator, by the `aggregator` each metric names.
 *
 * M1  A total never falls. When a shard dies its counters and histograms as last seen are kept in
 *     `retired`; without that the sum over threads would drop, and a Prometheus server would take the drop
 *     for a restart of the process and count everything again.
 * M2  Gauges of a dead shard go with it: they say what is, not what was.
 */
import { AggregatorRegistry, type Registry } from "prom-client";

/** One metric as plain data: structured-cloneable, so that it crosses threads. */
export interface MetricSnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly {
    readonly value: number;
    readonly labels: Readonly<Record<string, string | number>>;
    readonly metricName?: string;
  }[];
}
export type MetricsSnapshot = readonly MetricSnapshot[];

export class MetricsMerge {
  readonly #latest = new Map<string, MetricsSnapshot>();
  readonly #retired = new Map<string, MetricSnapshot>();

  /** Replaces what is known of one thread. `source` is a fixed name: `main`, `shard-0`. */
  update(source: string, snapshot: MetricsSnapshot): void {
    this.#latest.set(source, snapshot);
  }

  /** The thread is gone: its totals stay, its gauges go (M1, M2). */
  retire(source: string): void {
    for (const metric of this.#latest.get(source) ?? []) {
      if (metric.type === "gauge") continue;
      const before = this.#retired.get(metric.name);
      this.#retired.set(metric.name, before === undefined ? metric : addValues(before, metric));
    }
    this.#latest.delete(source);
  }

  /** The page in Prometheus' text format. */
  async text(): Promise<string> {
    return this.#aggregate().metrics();
  }

  /** The same as plain data: for a merge of several processes' figures. */
  async snapshot(): Promise<MetricsSnapshot> {
    return (await this.#aggregate().getMetricsAsJSON()) as unknown as MetricsSnapshot;
  }

  #aggregate(): Registry {
    const snapshots: object[] = [[...this.#retired.values()], ...this.#latest.values()];
    return AggregatorRegistry.aggregate(snapshots);
  }
}

/** Every value with one more label. */
export function labelled(snapshot: MetricsSnapshot, name: string, value: string): MetricsSnapshot {
  return snapshot.map((metric) => ({
    ...metric,
    values: metric.values.map((each) => ({ ...each, labels: { ...each.labels, [name]: value } })),
  }));
}

/** Sums value by value; buckets, sums and counts of a histogram are values like any other. */
function addValues(first: MetricSnapshot, second: MetricSnapshot): MetricSnapshot {
  const byKey = new Map(first.values.map((value) => [keyOf(value), value]));
  for (const value of second.values) {
    const key = keyOf(value);
    const before = byKey.get(key)?.value ?? 0;
    byKey.set(key, { ...value, value: before + value.value });
  }
  return { ...first, values: [...byKey.values()] };
}

function keyOf(value: MetricSnapshot["values"][number]): string {
  const labels = Object.entries(value.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([value.metricName ?? "", labels]);
}
