/**
 * Hears one stream: audio bytes in, words with the instant their audio had arrived, and where speech
 * stands. Both protocol versions sit on it; they decide when to tell.
 *
 * Positions (`…Ms`) count audio since the stream's first byte; instants (`…AtMs`) are the clock's.
 */
import { EnergyDetector, ToneDecoder } from "#bench/speech";
import type { Clock } from "#runtime/actor";
import type { SampleRateHz } from "#runtime/media";
import { AudioInput, type SttEncoding } from "./audio-input.js";

export interface HeardWord {
  /** As it was spoken: case and punctuation included. */
  readonly word: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly confidence: number;
  /** When the audio holding its end had arrived and been worked through. */
  readonly receivedAtMs: number;
}

export interface RecognizerEvents {
  onWord(word: HeardWord): void;
  /** Speech began at this position. */
  onSpeechStart(atMs: number): void;
}

/**
 * Pieces of audio whose arrival is remembered: a word is known at most a few pieces after its end, and
 * 512 pieces of 20 ms are ten seconds.
 */
const ARRIVALS_KEPT = 512;
/** A piece this long may be live audio, sent when it was full, and is worked through as it comes; more is a backlog. */
const LIVE_PIECE_MAX_MS = 250;
/** The energy detector cuts in pieces of 10 ms: within two of a word's end, the word's end is meant. */
const ENERGY_STEP_MS = 20;

export class Recognizer {
  readonly #clock: Clock;
  readonly #input: AudioInput;
  readonly #decoder: ToneDecoder;
  readonly #energy: EnergyDetector;
  readonly #maxRealtimeFactor: number;
  // Position at the end of each piece, and when it was worked through. Written round and round.
  readonly #pieceEndMs = new Float64Array(ARRIVALS_KEPT);
  readonly #pieceAtMs = new Float64Array(ARRIVALS_KEPT);
  #pieceCount = 0;
  #workedThroughAtMs: number;
  #lastWordEndMs = -1;
  #lastWordReceivedAtMs = 0;

  constructor(
    encoding: SttEncoding,
    sampleRateHz: SampleRateHz,
    clock: Clock,
    maxRealtimeFactor: number,
    events: RecognizerEvents,
  ) {
    this.#clock = clock;
    this.#workedThroughAtMs = clock.nowMs();
    this.#input = new AudioInput(encoding, sampleRateHz);
    this.#maxRealtimeFactor = maxRealtimeFactor;
    this.#decoder = new ToneDecoder((word) => {
      // Taken now: the decoder's estimate of the end may lie a hair past the piece that holds it.
      this.#lastWordReceivedAtMs = this.#receivedAtMs(word.endMs);
      this.#lastWordEndMs = word.endMs;
      events.onWord({
        word: word.word,
        // The decoder puts the start of a word that the stream's first byte cuts before that byte.
        startMs: Math.max(0, word.startMs),
        endMs: word.endMs,
        confidence: word.confidence,
        receivedAtMs: this.#lastWordReceivedAtMs,
      });
    });
    this.#energy = new EnergyDetector({ onSpeechStart: (atMs) => events.onSpeechStart(atMs) });
  }

  /** Audio heard so far. */
  get positionMs(): number {
    return this.#input.positionMs;
  }

  /** Where speech last stopped, or stands while it goes on; -1 before any. */
  get speechEndMs(): number {
    return this.#endsWithWord ? this.#lastWordEndMs : this.#energy.speechEndMs;
  }

  /** When the audio up to there had arrived and been worked through. */
  get speechEndAtMs(): number {
    return this.#endsWithWord ? this.#lastWordReceivedAtMs : this.#receivedAtMs(this.#energy.speechEndMs);
  }

  get #endsWithWord(): boolean {
    return this.#energy.speechEndMs <= this.#lastWordEndMs + ENERGY_STEP_MS;
  }

  /** Audio since speech last stopped. */
  get silenceMs(): number {
    return this.positionMs - Math.max(0, this.speechEndMs);
  }

  /** When the latest audio had arrived and been worked through: nothing that waits for audio is due before. */
  get heardAtMs(): number {
    return this.#workedThroughAtMs;
  }

  push(bytes: Uint8Array): void {
    const samples = this.#input.decode(bytes);
    const nowMs = this.#clock.nowMs();
    const audioMs = samples.length / 8;
    const beganAtMs = Math.max(this.#workedThroughAtMs, nowMs - LIVE_PIECE_MAX_MS);
    this.#workedThroughAtMs = Math.max(nowMs, beganAtMs + audioMs / this.#maxRealtimeFactor);
    const slot = this.#pieceCount % ARRIVALS_KEPT;
    this.#pieceEndMs[slot] = this.#input.positionMs;
    this.#pieceAtMs[slot] = this.#workedThroughAtMs;
    this.#pieceCount += 1;
    this.#energy.push(samples);
    this.#decoder.push(samples);
  }

  /** When the audio up to this position had arrived; for what is still to come, the latest arrival. */
  #receivedAtMs(positionMs: number): number {
    const oldest = Math.max(0, this.#pieceCount - ARRIVALS_KEPT);
    let index = this.#pieceCount - 1;
    while (index > oldest && this.#pieceEndMs[(index - 1) % ARRIVALS_KEPT]! >= positionMs) index -= 1;
    return index < 0 ? this.#clock.nowMs() : this.#pieceAtMs[index % ARRIVALS_KEPT]!;
  }
}
