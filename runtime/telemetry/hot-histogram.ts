/**
 * A histogram for the audio path: fixed buckets in a typed array, no labels, no allocation per sample.
 * prom-client's own hashes its labels and makes two objects for every sample, fifty times a second and
 * call.
 *
 *   counts: | <= b[0] | <= b[1] | … | <= b[n-1] | above |
 */
import type { MetricSnapshot } from "./merge.js";

export class HotHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #upperBounds: Float64Array;
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;
  #max = 0;
  /** As of the last takeWindow: what came since is the difference. */
  readonly #windowCounts: Float64Array;
  #windowMax = 0;

  constructor(name: string, help: string, upperBounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#upperBounds = Float64Array.from(upperBounds);
    this.#counts = new Float64Array(upperBounds.length + 1);
    this.#windowCounts = new Float64Array(upperBounds.length + 1);
  }

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  record(value: number): void {
    const bounds = this.#upperBounds;
    let index = 0;
    while (index < bounds.length && value > bounds[index]!) index++;
    this.#counts[index]! += 1;
    this.#sum += value;
    this.#count++;
    if (value > this.#max) this.#max = value;
    if (value > this.#windowMax) this.#windowMax = value;
  }

  /** The upper bound of the bucket that holds the quantile; the largest value seen when above all bounds. */
  quantile(fraction: number): number {
    const rank = fraction * this.#count;
    let seen = 0;
    for (let index = 0; index < this.#upperBounds.length; index++) {
      seen += this.#counts[index]!;
      if (seen >= rank) return this.#upperBounds[index]!;
    }
    return this.#max;
  }

  /**
   * The quantile of what was recorded since the last call of this, read as `quantile` does; 0 when nothing was.
   * There is one window: for one reader.
   */
  takeWindow(fraction: number): number {
    let count = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      const since = this.#counts[index]! - this.#windowCounts[index]!;
      this.#windowCounts[index] = since;
      count += since;
    }
    let quantile = this.#windowMax;
    let seen = 0;
    for (let index = 0; index < this.#upperBounds.length; index++) {
      seen += this.#windowCounts[index]!;
      if (seen < fraction * count) continue;
      // No sample was above the largest, whatever its bucket's bound.
      quantile = Math.min(this.#upperBounds[index]!, this.#windowMax);
      break;
    }
    this.#windowCounts.set(this.#counts);
    this.#windowMax = 0;
    return quantile;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#windowCounts.fill(0);
    this.#windowMax = 0;
    this.#sum = 0;
    this.#count = 0;
    this.#max = 0;
  }

  /** What prom-client asks a metric for. */
  get(): Promise<MetricSnapshot> {
    const values: MetricSnapshot["values"][number][] = [];
    let cumulated = 0;
    for (let index = 0; index < this.#upperBounds.length; index++) {
      cumulated += this.#counts[index]!;
      const le = this.#upperBounds[index]!;
      values.push({ metricName: `${this.name}_bucket`, labels: { le }, value: cumulated });
    }
    values.push(
      { metricName: `${this.name}_bucket`, labels: { le: "+Inf" }, value: this.#count },
      { metricName: `${this.name}_sum`, labels: {}, value: this.#sum },
      { metricName: `${this.name}_count`, labels: {}, value: this.#count },
    );
    const { name, help, type, aggregator } = this;
    return Promise.resolve({ name, help, type, aggregator, values });
  }
}
