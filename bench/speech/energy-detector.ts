/**
 * Speech or silence, by energy alone: what an emulated recogniser needs to know where an utterance began
 * and when it was over. Cheap, and deaf to what is said; the decoder tells words.
 *
 * Audio is judged in pieces of 10 ms against a threshold that rides on the line's noise. Speech begins
 * with the first of a few loud pieces in a row and ends with the last loud one before enough quiet; both
 * are known later than they happened, so positions are given as well as callbacks.
 */
import { SAMPLES_PER_MS } from "./signal.js";

export interface EnergyDetectorOptions {
  /** Nothing below counts as speech, dBFS RMS. @default −50: an echo at −38 is heard, a codec's hiss is not */
  readonly floorDbfs?: number;
  /** How far above the noise speech must be. @default 9 */
  readonly aboveNoiseDb?: number;
  /** Loud audio in a row before it counts. @default 30, longer than a click */
  readonly onsetMs?: number;
  /** Quiet audio after which speech is over. @default 200, longer than any gap inside a spoken phrase */
  readonly hangoverMs?: number;
  /** `atMs`: where speech began. */
  readonly onSpeechStart?: (atMs: number) => void;
  /** `atMs`: where the last loud piece ended, `hangoverMs` ago. */
  readonly onSpeechEnd?: (atMs: number) => void;
}

const PIECE_MS = 10;
const PIECE_SAMPLES = PIECE_MS * SAMPLES_PER_MS;
/**
 * The noise is the quietest piece of the last 1.6 s, kept as four minima of 0.4 s: speech is never that
 * long without a gap, and a line that turns noisy is known for it by then. Until the first 0.4 s are over
 * the line is taken to be quiet, so a call that begins with speech is heard, and one that begins with loud
 * noise counts as speech for that long.
 */
const NOISE_BUCKET_PIECES = 40;
const NOISE_BUCKETS = 4;

export class EnergyDetector {
  /** Whether speech is going on; false only once `hangoverMs` of quiet have passed. */
  speaking = false;
  /** Where the present or the latest speech began; −1 before any. */
  speechStartMs = -1;
  /** Where the latest loud piece ended; −1 before any. */
  speechEndMs = -1;

  readonly #floorEnergy: number;
  readonly #aboveNoise: number;
  readonly #onsetMs: number;
  readonly #hangoverMs: number;
  readonly #onSpeechStart: ((atMs: number) => void) | null;
  readonly #onSpeechEnd: ((atMs: number) => void) | null;

  #noiseEnergy: number;
  readonly #minima = new Float64Array(NOISE_BUCKETS);
  #bucketMinimum = Number.POSITIVE_INFINITY;
  #pieceCount = 0;
  #pieceEnergy = 0;
  #pieceFilled = 0;
  #pieceEndMs = 0;
  #loudMs = 0;

  constructor(options: EnergyDetectorOptions = {}) {
    this.#floorEnergy = (32768 * 10 ** ((options.floorDbfs ?? -50) / 20)) ** 2;
    this.#aboveNoise = 10 ** ((options.aboveNoiseDb ?? 9) / 10);
    this.#onsetMs = options.onsetMs ?? 30;
    this.#hangoverMs = options.hangoverMs ?? 200;
    this.#onSpeechStart = options.onSpeechStart ?? null;
    this.#onSpeechEnd = options.onSpeechEnd ?? null;
    this.#noiseEnergy = this.#floorEnergy / this.#aboveNoise;
    this.#minima.fill(Number.POSITIVE_INFINITY);
  }

  /** Milliseconds of audio pushed. */
  get positionMs(): number {
    return this.#pieceEndMs + this.#pieceFilled / SAMPLES_PER_MS;
  }

  /** How long it has been quiet: since the last loud piece, or since the start. */
  get silenceMs(): number {
    return this.positionMs - Math.max(0, this.speechEndMs);
  }

  /** 8 kHz. */
  push(samples: Int16Array, offset = 0, length = samples.length - offset): void {
    const end = Math.min(offset + length, samples.length);
    let energy = this.#pieceEnergy;
    let filled = this.#pieceFilled;
    for (let i = offset; i < end; i++) {
      const sample = samples[i]!;
      energy += sample * sample;
      if (++filled === PIECE_SAMPLES) {
        this.#pieceFilled = 0;
        this.#pieceEndMs += PIECE_MS;
        this.#judge(energy / PIECE_SAMPLES);
        energy = 0;
        filled = 0;
      }
    }
    this.#pieceEnergy = energy;
    this.#pieceFilled = filled;
  }

  #judge(energy: number): void {
    const loud = energy > Math.max(this.#floorEnergy, this.#noiseEnergy * this.#aboveNoise);
    this.#trackNoise(energy);
    if (loud) {
      this.#loudMs += PIECE_MS;
      if (this.speaking) {
        this.speechEndMs = this.#pieceEndMs;
      } else if (this.#loudMs >= this.#onsetMs) {
        this.speaking = true;
        this.speechStartMs = this.#pieceEndMs - this.#loudMs;
        this.speechEndMs = this.#pieceEndMs;
        this.#onSpeechStart?.(this.speechStartMs);
      }
      return;
    }
    this.#loudMs = 0;
    if (this.speaking && this.#pieceEndMs - this.speechEndMs >= this.#hangoverMs) {
      this.speaking = false;
      this.#onSpeechEnd?.(this.speechEndMs);
    }
  }

  #trackNoise(energy: number): void {
    if (energy < this.#bucketMinimum) this.#bucketMinimum = energy;
    if (energy < this.#noiseEnergy) this.#noiseEnergy = energy;
    if (++this.#pieceCount % NOISE_BUCKET_PIECES !== 0) return;
    this.#minima[(this.#pieceCount / NOISE_BUCKET_PIECES) % NOISE_BUCKETS] = this.#bucketMinimum;
    this.#bucketMinimum = Number.POSITIVE_INFINITY;
    let minimum = this.#minima[0]!;
    for (let i = 1; i < NOISE_BUCKETS; i++) minimum = Math.min(minimum, this.#minima[i]!);
    this.#noiseEnergy = minimum;
  }
}
