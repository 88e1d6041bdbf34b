/**
 * How strong each of the sixteen tones is, over a 20 ms window that moves on by 5 ms. Audio enters in
 * blocks of 5 ms; a block is compared with every tone once and a window is the sum of four blocks, so the
 * overlap costs nothing: tones repeat after one window (S1), so block n always meets the same quarter of
 * their cycle.
 *
 * ```
 *  block      | k-3 | k-2 | k-1 |  k  |      window k ends with block k,
 *  window k   |<------- 20 ms ------->|      its centre is the start of block k-1
 * ```
 *
 * A block quieter than the floor is taken as silence and compared with nothing.
 */
import { SPEECH_RATE_HZ, TONE_COUNT, TONE_PERIOD_SAMPLES, toneHz } from "./signal.js";

export const BLOCK_SAMPLES = 40;
const BLOCKS_PER_WINDOW = TONE_PERIOD_SAMPLES / BLOCK_SAMPLES;
/** Windows whose energies are kept: 160 ms, longer than a preamble, whose beginning is looked up at its end. */
export const KEPT_WINDOWS = 32;

/**
 * −62 dBFS RMS. Below the quietest speech we promise to hear (−45), with the 15 dB that a block may fall
 * short where two tones cancel out.
 */
const SILENCE_RMS = 32767 * 10 ** (-62 / 20);
const SILENCE_ENERGY = SILENCE_RMS * SILENCE_RMS * BLOCK_SAMPLES;

const PARTIALS = 2 * TONE_COUNT;

/** Second difference: takes 15 dB and more off everything below 1 kHz, where a voice is loudest. */
function emphasis(hz: number): number {
  return (2 * Math.sin((Math.PI * hz) / SPEECH_RATE_HZ)) ** 2;
}

/** Goertzel's recurrence: 2 cos(w) of each tone. */
const recurrence = new Float64Array(TONE_COUNT);
const sineOf = new Float64Array(TONE_COUNT);
/**
 * What turns a block's two last states into its part of the window's sum, `[(phase * TONE_COUNT + tone) * 2]`
 * real and imaginary; scaled so that a window's energy is amplitude squared.
 */
const rotations = new Float64Array(BLOCKS_PER_WINDOW * PARTIALS);
for (let tone = 0; tone < TONE_COUNT; tone++) {
  const radians = (2 * Math.PI * toneHz(tone)) / SPEECH_RATE_HZ;
  const scale = 2 / (TONE_PERIOD_SAMPLES * emphasis(toneHz(tone)));
  recurrence[tone] = 2 * Math.cos(radians);
  sineOf[tone] = Math.sin(radians);
  for (let phase = 0; phase < BLOCKS_PER_WINDOW; phase++) {
    const angle = -radians * (phase * BLOCK_SAMPLES + BLOCK_SAMPLES - 1);
    rotations[phase * PARTIALS + 2 * tone] = scale * Math.cos(angle);
    rotations[phase * PARTIALS + 2 * tone + 1] = scale * Math.sin(angle);
  }
}

export class ToneBank {
  /** Blocks completed since the start; the latest window is `blockCount - 1`. */
  blockCount = 0;
  /** Whether nothing but silence is in the latest window; its energies are then zero. */
  silent = true;
  /** Squared amplitude of each tone in the kept windows: `[(window % KEPT_WINDOWS) * TONE_COUNT + tone]`. */
  readonly energies = new Float64Array(KEPT_WINDOWS * TONE_COUNT);

  readonly #partials = new Float64Array(BLOCKS_PER_WINDOW * PARTIALS);
  readonly #block = new Float64Array(BLOCK_SAMPLES);
  #filled = 0;
  #blockEnergy = 0;
  #previous = 0;
  #beforePrevious = 0;
  #silentBlocks = BLOCKS_PER_WINDOW;

  /** Takes samples up to the next block's end; returns how many. The caller looks at `blockCount` after. */
  take(samples: Int16Array, offset: number, end: number): number {
    const block = this.#block;
    let filled = this.#filled;
    const count = Math.min(end - offset, BLOCK_SAMPLES - filled);
    let energy = this.#blockEnergy;
    let previous = this.#previous;
    let beforePrevious = this.#beforePrevious;
    for (let i = offset; i < offset + count; i++) {
      const sample = samples[i]!;
      energy += sample * sample;
      block[filled++] = sample - 2 * previous + beforePrevious;
      beforePrevious = previous;
      previous = sample;
    }
    this.#previous = previous;
    this.#beforePrevious = beforePrevious;
    if (filled < BLOCK_SAMPLES) {
      this.#filled = filled;
      this.#blockEnergy = energy;
      return count;
    }
    this.#filled = 0;
    this.#blockEnergy = 0;
    this.#finishBlock(energy);
    return count;
  }

  reset(): void {
    this.blockCount = 0;
    this.silent = true;
    this.energies.fill(0);
    this.#partials.fill(0);
    this.#filled = 0;
    this.#blockEnergy = 0;
    this.#previous = 0;
    this.#beforePrevious = 0;
    this.#silentBlocks = BLOCKS_PER_WINDOW;
  }

  #finishBlock(energy: number): void {
    const phase = this.blockCount % BLOCKS_PER_WINDOW;
    const window = (this.blockCount % KEPT_WINDOWS) * TONE_COUNT;
    this.blockCount++;
    if (energy < SILENCE_ENERGY) {
      this.#partials.fill(0, phase * PARTIALS, (phase + 1) * PARTIALS);
      if (this.#silentBlocks < BLOCKS_PER_WINDOW) this.#silentBlocks++;
    } else {
      correlate(this.#block, phase, this.#partials);
      this.#silentBlocks = 0;
    }
    this.silent = this.#silentBlocks === BLOCKS_PER_WINDOW;
    if (this.silent) this.energies.fill(0, window, window + TONE_COUNT);
    else sumWindow(this.#partials, this.energies, window);
  }
}

/**
 * Four tones at a time: each is a chain of dependent additions, and four chains fill the wait. 280 ns a
 * block, against 680 for multiplying with tables of sines and cosines.
 */
function correlate(block: Float64Array, phase: number, partials: Float64Array): void {
  const out = phase * PARTIALS;
  for (let tone = 0; tone < TONE_COUNT; tone += 4) {
    const w0 = recurrence[tone]!;
    const w1 = recurrence[tone + 1]!;
    const w2 = recurrence[tone + 2]!;
    const w3 = recurrence[tone + 3]!;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    let b0 = 0;
    let b1 = 0;
    let b2 = 0;
    let b3 = 0;
    for (let i = 0; i < BLOCK_SAMPLES; i++) {
      const sample = block[i]!;
      const c0 = sample + w0 * a0 - b0;
      const c1 = sample + w1 * a1 - b1;
      const c2 = sample + w2 * a2 - b2;
      const c3 = sample + w3 * a3 - b3;
      b0 = a0;
      b1 = a1;
      b2 = a2;
      b3 = a3;
      a0 = c0;
      a1 = c1;
      a2 = c2;
      a3 = c3;
    }
    rotate(partials, out, tone, a0, b0);
    rotate(partials, out, tone + 1, a1, b1);
    rotate(partials, out, tone + 2, a2, b2);
    rotate(partials, out, tone + 3, a3, b3);
  }
}

/** `last − e^(−iw) · beforeLast` is the block's sum as seen from its last sample; turn it to the window's first. */
function rotate(partials: Float64Array, out: number, tone: number, last: number, beforeLast: number): void {
  const real = last - 0.5 * recurrence[tone]! * beforeLast;
  const imaginary = sineOf[tone]! * beforeLast;
  const c = rotations[out + 2 * tone]!;
  const s = rotations[out + 2 * tone + 1]!;
  partials[out + 2 * tone] = real * c - imaginary * s;
  partials[out + 2 * tone + 1] = real * s + imaginary * c;
}

function sumWindow(partials: Float64Array, energies: Float64Array, at: number): void {
  for (let tone = 0; tone < TONE_COUNT; tone++) {
    const i = 2 * tone;
    const real =
      partials[i]! + partials[i + PARTIALS]! + partials[i + 2 * PARTIALS]! + partials[i + 3 * PARTIALS]!;
    const imaginary =
      partials[i + 1]! +
      partials[i + 1 + PARTIALS]! +
      partials[i + 1 + 2 * PARTIALS]! +
      partials[i + 1 + 3 * PARTIALS]!;
    energies[at + tone] = real * real + imaginary * imaginary;
  }
}
