/** Reads a node's metrics page: counters, and quantiles of its histograms. */

export interface MetricsPage {
  /** Sum over all label sets of this name; 0 when it is not there. */
  total(name: string): number;
  /** By the value of one label, or of several joined by "/"; summed over the others. */
  byLabel(name: string, label: string): ReadonlyMap<string, number>;
  byLabels(name: string, labels: readonly string[]): ReadonlyMap<string, number>;
  /** Cumulative counts by upper bound, all label sets together. */
  buckets(name: string): ReadonlyMap<number, number>;
}

export async function scrapeMetrics(adminUrl: string): Promise<MetricsPage> {
  const response = await fetch(new URL("/metrics", adminUrl));
  if (!response.ok) throw new Error(`GET /metrics was answered with ${response.status}`);
  return parseMetrics(await response.text());
}

export function parseMetrics(text: string): MetricsPage {
  const samples: { name: string; labels: string; value: number }[] = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match !== null) samples.push({ name: match[1]!, labels: match[2] ?? "", value: Number(match[3]) });
  }
  const byLabels = (name: string, labels: readonly string[]): ReadonlyMap<string, number> => {
    const sums = new Map<string, number>();
    for (const sample of samples) {
      if (sample.name !== name) continue;
      const values = labels.map((label) => new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(sample.labels)?.[1]);
      const key = values.map((value) => value ?? "").join("/");
      sums.set(key, (sums.get(key) ?? 0) + sample.value);
    }
    return sums;
  };
  return {
    byLabels,
    byLabel: (name, label) => byLabels(name, [label]),
    total(name) {
      let sum = 0;
      for (const sample of samples) if (sample.name === name) sum += sample.value;
      return sum;
    },
    buckets(name) {
      const counts = new Map<number, number>();
      for (const sample of samples) {
        if (sample.name !== `${name}_bucket`) continue;
        const bound = /le="([^"]+)"/.exec(sample.labels)?.[1];
        if (bound === undefined) continue;
        const upper = bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound);
        counts.set(upper, (counts.get(upper) ?? 0) + sample.value);
      }
      return counts;
    },
  };
}

/**
 * The bound of the bucket that holds this quantile of what was observed between two scrapes: the true figure is
 * at most that. Null when nothing was.
 */
export function quantileBound(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
  quantile: number,
): number | null {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const count = (bound: number): number => (after.get(bound) ?? 0) - (before.get(bound) ?? 0);
  const all = count(Number.POSITIVE_INFINITY);
  if (all === 0) return null;
  return bounds.find((bound) => count(bound) >= quantile * all) ?? null;
}
