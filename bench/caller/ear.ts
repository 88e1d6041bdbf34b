/**
 * What the caller hears: playout in, words out, each with the instant it was played. A word is known when
 * its last sample was heard; one that was cut or damaged on the way counts as not understood.
 */
import { ToneDecoder, WORD_UNDERSTOOD } from "#bench/speech";
import { SAMPLES_PER_MS } from "./playout.js";

export interface HeardWord {
  readonly word: string;
  /** Milliseconds of playout since the media stream began. */
  readonly startMs: number;
  readonly endMs: number;
  /** Clock.nowMs() when its first sample was played. */
  readonly playedAtMs: number;
}

/** Silence is handed to the decoder in pieces of this size. */
const SILENCE_SAMPLES = 160;
/** After this much silence no word can be open any more, and the decoder is left alone until audio comes. */
const DECODER_TAIL_SAMPLES = 1_000 * SAMPLES_PER_MS;

export class Ear {
  readonly #decoder: ToneDecoder;
  readonly #originMs: number;
  /** Samples the decoder was spared: its clock is behind ours by these. */
  #skippedSamples = 0;
  #silentSamples = DECODER_TAIL_SAMPLES;

  constructor(originMs: number, onWord: (word: HeardWord, understood: boolean) => void) {
    this.#originMs = originMs;
    this.#decoder = new ToneDecoder((word) => {
      const skippedMs = this.#skippedSamples / SAMPLES_PER_MS;
      const startMs = word.startMs + skippedMs;
      const endMs = word.endMs + skippedMs;
      onWord(
        { word: word.word, startMs, endMs, playedAtMs: this.#originMs + startMs },
        word.confidence >= WORD_UNDERSTOOD,
      );
    });
  }

  hear(samples: Int16Array): void {
    this.#silentSamples = 0;
    this.#decoder.push(samples);
  }

  hearSilence(sampleCount: number): void {
    let left = Math.min(sampleCount, DECODER_TAIL_SAMPLES - this.#silentSamples);
    this.#skippedSamples += sampleCount - left;
    this.#silentSamples += left;
    while (left > 0) {
      const count = Math.min(left, SILENCE_SAMPLES);
      this.#decoder.push(count === SILENCE_SAMPLES ? SILENCE : SILENCE.subarray(0, count));
      left -= count;
    }
  }
}

const SILENCE = new Int16Array(SILENCE_SAMPLES);
