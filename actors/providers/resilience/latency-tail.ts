/**
 * How long a provider takes to its first word, of late: the delay after which waiting is worse than asking
 * somebody else too. The last SAMPLES of it, sorted when asked: a few times per reply at most, 64 numbers.
 */

/** Enough for a p95, few enough to be about the last minutes. */
export const SAMPLES = 64;
/** Fewer say nothing about a tail. */
export const SAMPLES_MIN = 20;

export class LatencyTail {
  readonly #samples: number[] = [];
  #next = 0;

  add(latencyMs: number): void {
    this.#samples[this.#next] = latencyMs;
    this.#next = (this.#next + 1) % SAMPLES;
  }

  /** Null while too little is known. */
  quantile(share: number): number | null {
    if (this.#samples.length < SAMPLES_MIN) return null;
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  }
}
