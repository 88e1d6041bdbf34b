/** A latency distribution: an HDR histogram in microseconds, shown in milliseconds. */
import {
  type Histogram,
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
} from "hdr-histogram-js";

/** A histogram as text, to cross processes whole. */
export interface EncodedDistribution {
  readonly what: string;
  readonly base64: string;
}

/** A minute; whatever takes longer has failed and is counted as that. */
const HIGHEST_US = 60_000_000;

export class Distribution {
  readonly what: string;
  readonly #histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
  });

  constructor(what: string) {
    this.what = what;
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** Below zero counts as zero: two clocks read one after the other may disagree by microseconds. */
  record(ms: number): void {
    this.#histogram.recordValue(Math.min(HIGHEST_US, Math.max(0, Math.round(ms * 1000))));
  }

  /** Adds another's observations: percentiles are taken of the whole, never averaged. */
  add(other: Distribution): void {
    this.#histogram.add(other.#histogram);
  }

  encode(): EncodedDistribution {
    return { what: this.what, base64: encodeIntoCompressedBase64(this.#histogram) };
  }

  /** Adds what another process observed. */
  addEncoded({ base64 }: EncodedDistribution): void {
    this.#histogram.add(decodeFromCompressedBase64(base64));
  }

  reset(): void {
    this.#histogram.reset();
  }

  get maxMs(): number {
    return this.count === 0 ? 0 : this.#histogram.maxValue / 1000;
  }

  percentileMs(percentile: number): number {
    return this.#histogram.getValueAtPercentile(percentile) / 1000;
  }

  row(decimals: number): Record<string, number | string> {
    if (this.count === 0) return { what: this.what, count: 0 };
    const at = (percentile: number): number => Number(this.percentileMs(percentile).toFixed(decimals));
    return {
      what: this.what,
      p50: at(50),
      p95: at(95),
      p99: at(99),
      max: Number((this.#histogram.maxValue / 1000).toFixed(decimals)),
      count: this.count,
    };
  }
}
