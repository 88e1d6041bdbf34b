/**
 * The body of one answer, 16-bit PCM or WAV in pieces of any length, as audio of a leg's format.
 *
 * P1  Samples are carried over pieces: one may end anywhere, in a sample or in the header.
 * P2  A WAV's own header decides its rate; one that says how long it is must be that long.
 */
import { type AudioFormat, Resampler, type VoiceRateHz, encodeInto } from "#runtime/media";

const RATES: ReadonlySet<number> = new Set([8000, 16000, 22050, 24000, 44100, 48000]);
/** A header has a few chunks of metadata before the samples; one longer than this is no WAV of a voice's. */
const HEADER_MAX_BYTES = 4_096;
/** "As long as it lasts", by those who stream. */
const LENGTH_UNKNOWN_MIN = 0x7fff_0000;
/** Samples worked through at once: what fits the scratch below. */
const BLOCK_SAMPLES = 2_048;
const LINEAR_PCM = 1;
/** Says itself what it is in a longer header; with 16 bits it is linear PCM. */
const EXTENSIBLE = 0xfffe;

/** Shared by the bodies of a thread: nothing is kept in them between calls. */
const samples = new Int16Array(BLOCK_SAMPLES);
const quiet = new Int16Array(BLOCK_SAMPLES);
/** From 8 to 48 kHz there are six for one. */
const resampled = new Int16Array(BLOCK_SAMPLES * 6 + 6);
const encoded = new Uint8Array(resampled.length * 2);

/** Takes what was made; the view is only valid during the call. */
export type AudioTaker = (audio: Uint8Array) => void;

/** A leg's side of one reply: keeps the filter's state from one body to the next. */
export class LegAudio {
  readonly #format: AudioFormat;
  readonly #take: AudioTaker;
  #resampler: Resampler | null = null;
  bytes = 0;

  constructor(format: AudioFormat, take: AudioTaker) {
    this.#format = format;
    this.#take = take;
  }

  /** The first `count` of the scratch's samples. */
  push(rateHz: VoiceRateHz, count: number): void {
    let resampler = this.#resampler;
    if (resampler?.fromHz !== rateHz) {
      this.end();
      resampler = new Resampler(rateHz, this.#format.sampleRateHz);
      this.#resampler = resampler;
    }
    this.#emit(resampler.process(samples, 0, count, resampled, 0));
  }

  /** What the filter holds back. */
  end(): void {
    if (this.#resampler === null) return;
    const count = Math.ceil((this.#resampler.delayMs * this.#resampler.fromHz) / 1000);
    this.#emit(this.#resampler.process(quiet, 0, count, resampled, 0));
    this.#resampler = null;
  }

  #emit(count: number): void {
    if (count === 0) return;
    const length = encodeInto(this.#format.encoding, resampled, 0, count, encoded, 0);
    this.bytes += length;
    this.#take(encoded.subarray(0, length));
  }
}

export class PcmBody {
  readonly #leg: LegAudio;
  #rateHz: VoiceRateHz;
  /** Of a WAV, until it is read whole; null when there is none, or no more. */
  #header: Buffer | null;
  /** Bytes of samples still to come; infinite when nobody said. */
  #leftBytes = Number.POSITIVE_INFINITY;
  /** Byte of a sample whose other half is in the next piece; -1 when there is none. */
  #half = -1;
  /** Samples so far. */
  sampleCount = 0;

  constructor(leg: LegAudio, kind: "pcm" | "wav", rateHz: VoiceRateHz) {
    this.#leg = leg;
    this.#rateHz = rateHz;
    this.#header = kind === "wav" ? Buffer.alloc(0) : null;
  }

  /** What is wrong with it, or null. */
  push(piece: Uint8Array): string | null {
    if (this.#header === null) {
      this.#pushSamples(piece);
      return null;
    }
    this.#header = Buffer.concat([this.#header, piece]);
    return this.#readHeader(this.#header);
  }

  /** No more comes: what is missing, or null. */
  end(): string | null {
    if (this.#header !== null) return "ended before its header did";
    if (this.sampleCount === 0) return "has no audio";
    if (this.#half >= 0) return "ended in half a sample";
    const isShort = Number.isFinite(this.#leftBytes) && this.#leftBytes > 0;
    return isShort ? "is shorter than it says" : null;
  }

  #readHeader(header: Buffer): string | null {
    if (header.length < 12) return null;
    if (header.toString("latin1", 0, 4) !== "RIFF" || header.toString("latin1", 8, 12) !== "WAVE") {
      return "is not a WAV";
    }
    for (let at = 12; at + 8 <= header.length; ) {
      const name = header.toString("latin1", at, at + 4);
      const length = header.readUInt32LE(at + 4);
      if (name === "data") {
        this.#header = null; // P2
        if (length > 0 && length < LENGTH_UNKNOWN_MIN) this.#leftBytes = length;
        this.#pushSamples(header.subarray(at + 8));
        return null;
      }
      if (name === "fmt " && at + 24 <= header.length) {
        const problem = this.#readFormat(header, at + 8);
        if (problem !== null) return problem;
      }
      at += 8 + length + (length % 2);
    }
    return header.length > HEADER_MAX_BYTES ? "has no audio in its first 4 KiB" : null;
  }

  #readFormat(header: Buffer, at: number): string | null {
    const tag = header.readUInt16LE(at);
    const channels = header.readUInt16LE(at + 2);
    const rateHz = header.readUInt32LE(at + 4);
    const bits = header.readUInt16LE(at + 14);
    if ((tag !== LINEAR_PCM && tag !== EXTENSIBLE) || channels !== 1 || bits !== 16) {
      return "is not 16-bit PCM of one channel";
    }
    if (!RATES.has(rateHz)) return `has a rate we do not take (${rateHz})`;
    this.#rateHz = rateHz as VoiceRateHz;
    return null;
  }

  /** P1. What comes after the length it said is not audio. */
  #pushSamples(piece: Uint8Array): void {
    const end = Math.min(piece.length, this.#leftBytes);
    this.#leftBytes -= end;
    let at = 0;
    while (at < end) {
      let count = 0;
      if (this.#half >= 0) {
        samples[count++] = toSample(this.#half, piece[at++]!);
        this.#half = -1;
      }
      while (at + 1 < end && count < BLOCK_SAMPLES) {
        samples[count++] = toSample(piece[at]!, piece[at + 1]!);
        at += 2;
      }
      if (at + 1 === end && count < BLOCK_SAMPLES) this.#half = piece[at++]!;
      this.sampleCount += count;
      if (count > 0) this.#leg.push(this.#rateHz, count);
    }
  }
}

function toSample(low: number, high: number): number {
  return ((high << 24) >> 16) | low;
}
