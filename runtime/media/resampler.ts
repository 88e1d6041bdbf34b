/**
 * Changes the sample rate of one stream of audio, piece by piece, between 8, 16, 24 and 48 kHz, and from
 * 22.05 and 44.1 kHz to these. However the
 * stream is cut into pieces, the output is the same to the bit. The filter and its measured error are in
 * resampler-filter.ts.
 *
 * ```
 *   carried over: tapsPerPhase - 1 samples      this piece
 *   |-------------------------------------------|---------------------------|
 *                          |== phase of taps ==>|                              first output
 *                                  |== next phase ==>|                         …
 * ```
 */
import assert from "node:assert/strict";
import type { SampleRateHz, VoiceRateHz } from "./format.js";
import { FILTER_HALF_WIDTH, polyphaseFilter, TAP_LANES } from "./resampler-filter.js";

/** Longer pieces are worked through in blocks of this size: 20 ms at 48 kHz. */
const BLOCK_SAMPLES = 960;
/** The longest filter, 48 to 8 kHz, carries over 195 samples. */
const MAX_CARRIED_SAMPLES = 195;
/** Shared by the resamplers of a thread: nothing is kept in it between calls. */
const work = new Float64Array(MAX_CARRIED_SAMPLES + BLOCK_SAMPLES);

export class Resampler {
  readonly fromHz: VoiceRateHz;
  readonly toHz: SampleRateHz;
  /** How long the filter holds a sound back: 0 to 2 ms. */
  readonly delayMs: number;
  readonly #up: number;
  readonly #down: number;
  readonly #tapsPerPhase: number;
  readonly #coefficients: Float64Array;
  readonly #carried: Int16Array;
  /** Where the next output lies after the next input sample, in units of 1 / up input samples. */
  #position = 0;

  constructor(fromHz: VoiceRateHz, toHz: SampleRateHz) {
    const { up, down, tapsPerPhase, coefficients } = polyphaseFilter(fromHz, toHz);
    assert(tapsPerPhase - 1 <= MAX_CARRIED_SAMPLES);
    this.fromHz = fromHz;
    this.toHz = toHz;
    this.delayMs = fromHz === toHz ? 0 : (FILTER_HALF_WIDTH * 1000) / Math.min(fromHz, toHz);
    this.#up = up;
    this.#down = down;
    this.#tapsPerPhase = tapsPerPhase;
    this.#coefficients = coefficients;
    this.#carried = new Int16Array(fromHz === toHz ? 0 : tapsPerPhase - 1);
  }

  /** Samples that process() will write for the next `sampleCount`. */
  outputCount(sampleCount: number): number {
    return Math.max(Math.ceil((sampleCount * this.#up - this.#position) / this.#down), 0);
  }

  /**
   * Resamples `sampleCount` samples into `target` and returns how many it wrote, outputCount(sampleCount).
   * Too small a target is a bug and throws. `source` and `target` must not overlap.
   */
  process(
    source: Int16Array,
    sourceOffset: number,
    sampleCount: number,
    target: Int16Array,
    targetOffset: number,
  ): number {
    const outputCount = this.outputCount(sampleCount);
    assert(sourceOffset >= 0 && sourceOffset + sampleCount <= source.length, "source is too short");
    assert(targetOffset >= 0 && targetOffset + outputCount <= target.length, "target is too short");
    if (this.#up === this.#down) {
      for (let n = 0; n < sampleCount; n++) target[targetOffset + n] = source[sourceOffset + n]!;
      return sampleCount;
    }
    let written = 0;
    for (let done = 0; done < sampleCount; done += BLOCK_SAMPLES) {
      const blockCount = Math.min(BLOCK_SAMPLES, sampleCount - done);
      written += this.#processBlock(source, sourceOffset + done, blockCount, target, targetOffset + written);
    }
    return written;
  }

  /** Forgets the stream so far: the next piece begins a new one. */
  reset(): void {
    this.#carried.fill(0);
    this.#position = 0;
  }

  #processBlock(
    source: Int16Array,
    sourceOffset: number,
    blockCount: number,
    target: Int16Array,
    targetOffset: number,
  ): number {
    const carried = this.#carried;
    const carriedCount = carried.length;
    for (let n = 0; n < carriedCount; n++) work[n] = carried[n]!;
    for (let n = 0; n < blockCount; n++) work[carriedCount + n] = source[sourceOffset + n]!;
    const outputCount = this.outputCount(blockCount);
    filterInto(
      target,
      targetOffset,
      outputCount,
      work,
      this.#coefficients,
      this.#tapsPerPhase,
      this.#up,
      this.#down,
      this.#position,
    );
    this.#position += outputCount * this.#down - blockCount * this.#up;
    for (let n = 0; n < carriedCount; n++) carried[n] = work[blockCount + n]!;
    return outputCount;
  }
}

function filterInto(
  target: Int16Array,
  targetOffset: number,
  outputCount: number,
  source: Float64Array,
  coefficients: Float64Array,
  tapsPerPhase: number,
  up: number,
  down: number,
  position: number,
): void {
  let sourceAt = Math.floor(position / up);
  let phase = position - sourceAt * up;
  for (let n = 0; n < outputCount; n++) {
    const first = phase * tapsPerPhase;
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    for (let tap = 0; tap < tapsPerPhase; tap += TAP_LANES) {
      sum0 += source[sourceAt + tap]! * coefficients[first + tap]!;
      sum1 += source[sourceAt + tap + 1]! * coefficients[first + tap + 1]!;
      sum2 += source[sourceAt + tap + 2]! * coefficients[first + tap + 2]!;
      sum3 += source[sourceAt + tap + 3]! * coefficients[first + tap + 3]!;
    }
    target[targetOffset + n] = toSample(sum0 + sum1 + (sum2 + sum3));
    phase += down;
    while (phase >= up) {
      phase -= up;
      sourceAt++;
    }
  }
}

/** Rounds to nearest; a filter overshoots at steps of full scale, and 16 bits would wrap. */
function toSample(value: number): number {
  const rounded = Math.floor(value + 0.5);
  return rounded > 32767 ? 32767 : rounded < -32768 ? -32768 : rounded;
}
