/**
 * How loud a stream of a leg's own bytes is, frame by frame, without decoding it into a buffer.
 *
 * Feed it records of any length; it adds them up and stops at each full frame:
 *
 *   records   |-------------|------|------------------|
 *   frames    |--------|--------|--------|--------|---
 *                      ^ feed() returns here, `frameDone` is true, `levelDb` and `crossings` are of this frame
 *
 * At rates above 8 kHz only every second, third or sixth sample is read: speech below 4 kHz folded onto
 * itself has the same energy, and a frame costs the same at each rate.
 */
import {
  type AudioFormat,
  FRAME_MS,
  alawSamples,
  bytesPerMs,
  bytesPerSample,
  mulawSamples,
} from "#runtime/media";

/** What digital silence reads as; also the lowest level there is. */
export const SILENCE_DB = -100;

const FULL_SCALE_POWER = 32_768 * 32_768;
const READ_RATE_HZ = 8_000;
const HALF_SAMPLES = ((READ_RATE_HZ / 1_000) * FRAME_MS) / 2;

export class FrameMeter {
  /** Bytes of one frame. */
  readonly frameBytes: number;
  /** Whether the last `feed` ended at the end of a frame. */
  frameDone = false;
  /** Level of the last full frame: dB below a full-scale square wave, DC removed. */
  levelDb = SILENCE_DB;
  /** Level of the quieter of its two halves: finds gaps of 20 ms wherever they fall, which a whole frame may miss. */
  quietHalfDb = SILENCE_DB;
  /** Zero crossings of the last full frame, 0 to 159: a measure of pitch and hiss that loudness does not move. */
  crossings = 0;

  readonly #companded: Readonly<Int16Array> | null;
  readonly #littleEndian: boolean;
  readonly #strideBytes: number;
  #filledBytes = 0;
  #firstHalfPower = 0;
  #firstHalfCrossed = 0;
  #sum = 0;
  #squares = 0;
  #crossed = 0;
  #last = 0;

  constructor(format: AudioFormat) {
    this.frameBytes = bytesPerMs(format) * FRAME_MS;
    this.#companded =
      format.encoding === "mulaw" ? mulawSamples : format.encoding === "alaw" ? alawSamples : null;
    this.#littleEndian = format.encoding === "l16le";
    this.#strideBytes = (format.sampleRateHz / READ_RATE_HZ) * bytesPerSample(format.encoding);
  }

  /** Bytes of the frame being filled; 0 at a frame boundary. */
  get filledBytes(): number {
    return this.#filledBytes;
  }

  /** Reads from `offset` up to the end of a frame or to `end`, whichever comes first, and says where it stopped. */
  feed(bytes: Uint8Array, offset: number, end: number): number {
    const halfBytes = this.frameBytes / 2;
    this.frameDone = false;
    let at = offset;
    while (at < end && !this.frameDone) {
      const filled = this.#filledBytes % halfBytes;
      const stop = Math.min(end, at + halfBytes - filled);
      const phase = filled % this.#strideBytes;
      const first = phase === 0 ? at : at + this.#strideBytes - phase;
      if (this.#companded === null) this.#addLinear(bytes, first, stop);
      else this.#addCompanded(this.#companded, bytes, first, stop);
      this.#filledBytes += stop - at;
      at = stop;
      if (this.#filledBytes === halfBytes) this.#closeFirstHalf();
      else if (this.#filledBytes === this.frameBytes) this.#closeFrame();
    }
    return at;
  }

  /** Forgets the frame being filled. */
  reset(): void {
    this.#filledBytes = 0;
    this.#clearSums();
  }

  #addCompanded(table: Readonly<Int16Array>, bytes: Uint8Array, first: number, stop: number): void {
    const stride = this.#strideBytes;
    let sum = 0;
    let squares = 0;
    let crossed = 0;
    let last = this.#last;
    for (let at = first; at < stop; at += stride) {
      const sample = table[bytes[at]!]!;
      sum += sample;
      squares += sample * sample;
      crossed += (sample ^ last) >>> 31;
      last = sample;
    }
    this.#add(sum, squares, crossed, last);
  }

  // A sample split between two records is skipped: one in 160 at most, and carriers do not split them.
  #addLinear(bytes: Uint8Array, first: number, stop: number): void {
    const stride = this.#strideBytes;
    const high = this.#littleEndian ? 1 : 0;
    let sum = 0;
    let squares = 0;
    let crossed = 0;
    let last = this.#last;
    for (let at = first; at + 1 < stop; at += stride) {
      const sample = ((bytes[at + high]! << 24) >> 16) | bytes[at + 1 - high]!;
      sum += sample;
      squares += sample * sample;
      crossed += (sample ^ last) >>> 31;
      last = sample;
    }
    this.#add(sum, squares, crossed, last);
  }

  #add(sum: number, squares: number, crossed: number, last: number): void {
    this.#sum += sum;
    this.#squares += squares;
    this.#crossed += crossed;
    this.#last = last;
  }

  #closeFirstHalf(): void {
    this.#firstHalfPower = this.#halfPower();
    this.#firstHalfCrossed = this.#crossed;
    this.#clearSums();
  }

  #closeFrame(): void {
    const secondHalfPower = this.#halfPower();
    this.levelDb = decibels((this.#firstHalfPower + secondHalfPower) / 2);
    this.quietHalfDb = decibels(Math.min(this.#firstHalfPower, secondHalfPower));
    this.crossings = this.#firstHalfCrossed + this.#crossed;
    this.frameDone = true;
    this.reset();
  }

  #halfPower(): number {
    const mean = this.#sum / HALF_SAMPLES;
    return this.#squares / HALF_SAMPLES - mean * mean;
  }

  #clearSums(): void {
    this.#sum = 0;
    this.#squares = 0;
    this.#crossed = 0;
  }
}

function decibels(power: number): number {
  return power <= 0 ? SILENCE_DB : Math.max(SILENCE_DB, 10 * Math.log10(power / FULL_SCALE_POWER));
}
