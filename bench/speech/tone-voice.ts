/**
 * The bare voice: text as tones, nothing else. Cheap enough to speak for hundreds of calls in one process:
 * a symbol is the sum of two rendered tables.
 */
import { type EncodedWord, encodeText } from "./alphabet.js";
import {
  PAUSE_SAMPLES,
  PREAMBLE_SAMPLES,
  RAMP_SAMPLES,
  SAMPLES_PER_MS,
  SPEECH_RATE_HZ,
  SYMBOL_SAMPLES,
  TONE_COUNT,
  WORD_GAP_SAMPLES,
  preambleTones,
  symbolToneA,
  symbolToneB,
  toneHz,
} from "./signal.js";

export interface SpeechWord {
  /** As the decoder will report it: one of `normalizeWords(text)`. */
  readonly word: string;
  readonly startMs: number;
  /** Once audio up to here was heard the decoder knows the word; up to 20 ms earlier, it does not. */
  readonly endMs: number;
}

export interface SynthesizedSpeech {
  /** 8 kHz, whole 20 ms frames. */
  readonly samples: Int16Array;
  readonly words: readonly SpeechWord[];
}

export interface Voice {
  readonly name: "tones" | "spoken";
  /** Empty for a text without words. */
  synthesize(text: string): SynthesizedSpeech;
}

/** −18 dBFS RMS, the level telephone speech is usually normalised to, with 12 dB left for peaks. */
export const TONE_LEVEL_DBFS = -18;

export const toneVoice: Voice = {
  name: "tones",
  synthesize(text: string): SynthesizedSpeech {
    const encoded = encodeText(text);
    let sampleCount = 0;
    for (const word of encoded) sampleCount += toneSamples(word) + gapSamples(word);
    const samples = new Int16Array(sampleCount);
    const words: SpeechWord[] = [];
    let at = 0;
    for (const word of encoded) {
      const length = toneSamples(word);
      addTones(samples, at, word, TONE_LEVEL_DBFS);
      words.push({
        word: word.word,
        startMs: at / SAMPLES_PER_MS,
        endMs: (at + length) / SAMPLES_PER_MS,
      });
      at += length + gapSamples(word);
    }
    return { samples, words };
  },
};

/** Samples from the preamble's first to the check symbol's last: whole 20 ms frames. */
export function toneSamples(word: EncodedWord): number {
  return PREAMBLE_SAMPLES + word.symbols.length * SYMBOL_SAMPLES;
}

/** Silence after the word; longer at punctuation. */
export function gapSamples(word: EncodedWord): number {
  return /[.,;:?!]$/.test(word.word) ? WORD_GAP_SAMPLES + PAUSE_SAMPLES : WORD_GAP_SAMPLES;
}

/** Adds the tones of one word to what is there, clipping at full scale. `levelDbfs` is their RMS. */
export function addTones(target: Int16Array, offset: number, word: EncodedWord, levelDbfs: number): void {
  // Two tones of amplitude a have the RMS a.
  const amplitude = 32767 * 10 ** (levelDbfs / 20);
  const first = preambleTones[2 * word.preamble]!;
  const second = preambleTones[2 * word.preamble + 1]!;
  addPair(target, offset, preambleTables[first]!, preambleTables[second]!, amplitude);
  let at = offset + PREAMBLE_SAMPLES;
  for (const symbol of word.symbols) {
    addPair(target, at, symbolTables[symbolToneA(symbol)]!, symbolTables[symbolToneB(symbol)]!, amplitude);
    at += SYMBOL_SAMPLES;
  }
}

function addPair(
  target: Int16Array,
  offset: number,
  first: Float64Array,
  second: Float64Array,
  amplitude: number,
): void {
  for (let i = 0; i < first.length; i++) {
    const value = target[offset + i]! + Math.round(amplitude * (first[i]! + second[i]!));
    target[offset + i] = value > 32767 ? 32767 : value < -32768 ? -32768 : value;
  }
}

const preambleTables = renderTones(PREAMBLE_SAMPLES);
const symbolTables = renderTones(SYMBOL_SAMPLES);

function renderTones(sampleCount: number): Float64Array[] {
  return Array.from({ length: TONE_COUNT }, (_, tone) =>
    Float64Array.from({ length: sampleCount }, (_, i) => {
      const edge = Math.min(i + 0.5, sampleCount - i - 0.5);
      const ramp = edge < RAMP_SAMPLES ? 0.5 - 0.5 * Math.cos((Math.PI * edge) / RAMP_SAMPLES) : 1;
      return ramp * Math.sin((2 * Math.PI * toneHz(tone) * i) / SPEECH_RATE_HZ);
    }),
  );
}
