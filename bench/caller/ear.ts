/**
 * What the caller hears: playout in, words out, each with the instant it was played. A word is known when
 * its last sample was heard; one that was cut or damaged on the way counts as not understood.
 *
 * E1 a word with a gap in it is still that word: people understand "par… king". The decoder would take the halves
 *    for two words, so silence that begins in mid-sound waits until it is known what comes after it. Late audio
 *    thus costs no words, only what the phone counts as underruns; a word that was not heard was not played.
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
/** E1: the longest gap that does not part a word; longer than any ring holds, and nobody remembers the first half. */
const GAP_MAX_MS = 3_000;
/** E1: as much of the audio's edge tells sound from silence; twice as long as a tone takes to rise. */
const EDGE_SAMPLES = 5 * SAMPLES_PER_MS;
/** E1: −36 dBFS, half as loud as the faintest voice here. */
const SOUND_AMPLITUDE = 512;
/** Gaps remembered, to tell when a word that has some in it began. */
const GAPS_MAX = 8;

interface Gap {
  /** Where it is, in the decoder's samples. */
  readonly atSample: number;
  /** How far the decoder's clock was behind ours until then. */
  readonly skippedBefore: number;
}

export class Ear {
  readonly #decoder: ToneDecoder;
  readonly #originMs: number;
  /** Samples the decoder was spared: its clock is behind ours by these. */
  #skippedSamples = 0;
  #silentSamples = DECODER_TAIL_SAMPLES;
  /** E1: how long it has been quiet at the end of the audio, and the silence since then that the decoder was not told. */
  #quietSamples = EDGE_SAMPLES;
  #waitingSamples = 0;
  readonly #gaps: Gap[] = [];

  constructor(originMs: number, onWord: (word: HeardWord, understood: boolean) => void) {
    this.#originMs = originMs;
    this.#decoder = new ToneDecoder((word) => {
      const startMs = word.startMs + this.#skippedBefore(word.startMs);
      const endMs = word.endMs + this.#skippedBefore(word.endMs);
      onWord(
        { word: word.word, startMs, endMs, playedAtMs: this.#originMs + startMs },
        word.confidence >= WORD_UNDERSTOOD,
      );
    });
  }

  hear(samples: Int16Array): void {
    if (this.#waitingSamples > 0) this.#joinOverGap();
    this.#silentSamples = 0;
    this.#decoder.push(samples);
    const quiet = quietTail(samples);
    this.#quietSamples = quiet === samples.length ? this.#quietSamples + quiet : quiet;
  }

  hearSilence(sampleCount: number): void {
    if (this.#quietSamples >= EDGE_SAMPLES) return this.#pushSilence(sampleCount);
    this.#waitingSamples += sampleCount;
    if (this.#waitingSamples > GAP_MAX_MS * SAMPLES_PER_MS) this.#endWait();
  }

  /** What was under way is not going on. */
  cut(): void {
    this.#endWait();
  }

  #joinOverGap(): void {
    if (this.#gaps.length === GAPS_MAX) this.#gaps.shift();
    const atSample = this.#decoder.positionMs * SAMPLES_PER_MS;
    this.#gaps.push({ atSample, skippedBefore: this.#skippedSamples });
    this.#skippedSamples += this.#waitingSamples;
    this.#waitingSamples = 0;
  }

  #endWait(): void {
    const waiting = this.#waitingSamples;
    this.#quietSamples = EDGE_SAMPLES;
    this.#waitingSamples = 0;
    this.#pushSilence(waiting);
  }

  #pushSilence(sampleCount: number): void {
    let left = Math.min(sampleCount, DECODER_TAIL_SAMPLES - this.#silentSamples);
    this.#skippedSamples += sampleCount - left;
    this.#silentSamples += left;
    while (left > 0) {
      const count = Math.min(left, SILENCE_SAMPLES);
      this.#decoder.push(count === SILENCE_SAMPLES ? SILENCE : SILENCE.subarray(0, count));
      left -= count;
    }
  }

  /** How far our clock was ahead of the decoder's at this instant of its own. */
  #skippedBefore(decoderMs: number): number {
    const gap = this.#gaps.find(({ atSample }) => decoderMs * SAMPLES_PER_MS <= atSample);
    return (gap?.skippedBefore ?? this.#skippedSamples) / SAMPLES_PER_MS;
  }
}

/** How many samples at its end are quiet, as far as that matters. */
function quietTail(samples: Int16Array): number {
  const from = Math.max(0, samples.length - EDGE_SAMPLES);
  for (let i = samples.length - 1; i >= from; i--) {
    if (Math.abs(samples[i]!) >= SOUND_AMPLITUDE) return samples.length - 1 - i;
  }
  return samples.length - from;
}

const SILENCE = new Int16Array(SILENCE_SAMPLES);
