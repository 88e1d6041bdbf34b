/**
 * Tells a shard that hangs from one that is busy, and from a process that was stopped as a whole.
 *
 * A busy shard still beats between two callbacks; a hung one does not beat at all. So what counts is how
 * long a shard has been silent *while we were looking*: each look adds the time since the last one, but no
 * more than two look intervals. When the main thread itself was held up (a stopped process, a suspended
 * machine, a starved container), the shards had no time to beat either, and the gap is not held against
 * them.
 */
export interface HangDetectorOptions {
  /** How often `look` is called. */
  readonly lookEveryMs: number;
  readonly hungAfterMs: number;
}

export class HangDetector {
  readonly #options: HangDetectorOptions;
  #lastBeat: number;
  #lookedAtMs: number;
  #silentMs = 0;

  constructor(options: HangDetectorOptions, beat: number, nowMs: number) {
    this.#options = options;
    this.#lastBeat = beat;
    this.#lookedAtMs = nowMs;
  }

  /** True once the shard has been silent for hungAfterMs. */
  look(beat: number, nowMs: number): boolean {
    const sinceLookMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    if (beat !== this.#lastBeat) {
      this.#lastBeat = beat;
      this.#silentMs = 0;
      return false;
    }
    this.#silentMs += Math.min(sinceLookMs, 2 * this.#options.lookEveryMs);
    return this.#silentMs >= this.#options.hungAfterMs;
  }

  get silentMs(): number {
    return this.#silentMs;
  }
}
