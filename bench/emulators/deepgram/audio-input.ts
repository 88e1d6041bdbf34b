/** A stream's bytes as 8 kHz samples, whatever encoding and rate it was opened with. */
import { type AudioEncoding, Resampler, type SampleRateHz, decodeInto } from "#runtime/media";

export type SttEncoding = "linear16" | "mulaw" | "alaw";

export const STT_ENCODINGS: readonly SttEncoding[] = ["linear16", "mulaw", "alaw"];
export const STT_SAMPLE_RATES: readonly SampleRateHz[] = [8000, 16000, 24000, 48000];

const ENCODINGS: Readonly<Record<SttEncoding, AudioEncoding>> = {
  linear16: "l16le",
  mulaw: "mulaw",
  alaw: "alaw",
};
const HEARD_RATE_HZ = 8000;

export class AudioInput {
  readonly #encoding: AudioEncoding;
  readonly #resampler: Resampler | null;
  // Both grow to the largest piece seen and are written over by the next.
  #decoded = new Int16Array(0);
  #resampled = new Int16Array(0);
  #sampleCount = 0;
  /** linear16: the first half of a sample whose other half is still to come; -1 without one. */
  #oddByte = -1;

  constructor(encoding: SttEncoding, sampleRateHz: SampleRateHz) {
    this.#encoding = ENCODINGS[encoding];
    this.#resampler = sampleRateHz === HEARD_RATE_HZ ? null : new Resampler(sampleRateHz, HEARD_RATE_HZ);
  }

  get positionMs(): number {
    return (this.#sampleCount * 1000) / HEARD_RATE_HZ;
  }

  /** A view that the next call writes over. */
  decode(bytes: Uint8Array): Int16Array {
    const whole = this.#encoding === "l16le" ? this.#wholeSamples(bytes) : bytes;
    if (this.#decoded.length < whole.length) this.#decoded = new Int16Array(whole.length);
    const decodedCount = decodeInto(this.#encoding, whole, 0, whole.length, this.#decoded, 0);
    const heard = this.#toHeardRate(decodedCount);
    this.#sampleCount += heard.length;
    return heard;
  }

  #toHeardRate(decodedCount: number): Int16Array {
    if (this.#resampler === null) return this.#decoded.subarray(0, decodedCount);
    const count = this.#resampler.outputCount(decodedCount);
    if (this.#resampled.length < count) this.#resampled = new Int16Array(count);
    this.#resampler.process(this.#decoded, 0, decodedCount, this.#resampled, 0);
    return this.#resampled.subarray(0, count);
  }

  #wholeSamples(bytes: Uint8Array): Uint8Array {
    if (this.#oddByte === -1 && bytes.length % 2 === 0) return bytes;
    const whole = this.#oddByte === -1 ? bytes : Buffer.concat([Buffer.of(this.#oddByte), bytes]);
    this.#oddByte = whole.length % 2 === 1 ? whole.at(-1)! : -1;
    return whole.subarray(0, whole.length & ~1);
  }
}
