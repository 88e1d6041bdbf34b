/**
 * The shape of tone speech: which frequencies, how long, which pair of tones means what. The voice and the
 * decoder share this file and nothing else.
 *
 * ```
 *  word  |<- preamble ->|<- symbol ->|<- symbol ->| … |<- check ->|<- gap ->|
 *  ms    0             60          100          140                        +20 (+20 more after , . ? !)
 *
 *  tones   group A: 2600 2650 … 2950 Hz     group B: 3000 3050 … 3350 Hz
 *  symbol   one of A and one of B  -> 64 pairs, 61 used (a prime, for the check)
 *  preamble two of A or two of B,  -> 42 pairs: letter case x length of the word
 *           not neighbours
 * ```
 *
 * S1 Tones are multiples of 50 Hz, so they are orthogonal over 20 ms, and any table of them repeats after
 *    160 samples.
 * S2 A preamble pair never occurs as a symbol, nor where two symbols meet: there four tones share the
 *    energy. So a listener who lost the thread finds it at the next word.
 * S3 The preamble says how many symbols follow, so a word is known complete with its last sample.
 */
import { strict as assert } from "node:assert";

export const SPEECH_RATE_HZ = 8000;
export const SAMPLES_PER_MS = SPEECH_RATE_HZ / 1000;

/** The top of the telephone band: leaves 300–2400 Hz to a voice, and survives G.711 and its filters. */
export const LOWEST_TONE_HZ = 2600;
const TONE_SPACING_HZ = 50;
export const TONE_COUNT = 16;
export const GROUP_SIZE = TONE_COUNT / 2;
/** Samples after which every tone is back at phase zero. */
export const TONE_PERIOD_SAMPLES = SPEECH_RATE_HZ / TONE_SPACING_HZ;

/** 60 rather than 40: one 20 ms frame may be lost in it and enough is left to recognise it. */
export const PREAMBLE_SAMPLES = 60 * SAMPLES_PER_MS;
/** Twice the 20 ms the decoder looks at, so that it may be 10 ms out of step. */
export const SYMBOL_SAMPLES = 40 * SAMPLES_PER_MS;
export const WORD_GAP_SAMPLES = 20 * SAMPLES_PER_MS;
/** Added after a comma or a full stop. Short: an utterance must stay whole to a speech detector. */
export const PAUSE_SAMPLES = 20 * SAMPLES_PER_MS;

/**
 * Raised-cosine ends of preamble and symbols: enough that nothing splatters below the band and no edge
 * clicks. A listener who finds an edge by half the amplitude finds it half a ramp inside.
 */
export const RAMP_SAMPLES = 2.5 * SAMPLES_PER_MS;

/** Symbol values run from 0 to this, exclusive. The largest prime below 64: see `checkSymbol`. */
export const SYMBOL_COUNT = 61;

export function toneHz(tone: number): number {
  return LOWEST_TONE_HZ + tone * TONE_SPACING_HZ;
}

/** Tone of group A that, with `symbolToneB`, means this symbol. */
export function symbolToneA(symbol: number): number {
  return symbol >> 3;
}

export function symbolToneB(symbol: number): number {
  return GROUP_SIZE + (symbol & 7);
}

/** How the letters of a word are written; SHIFT inside a word flips one letter. */
export const LetterCase = { Lower: 0, Capitalised: 1, Upper: 2 } as const;
export type LetterCase = (typeof LetterCase)[keyof typeof LetterCase];

/** Words up to this many symbols say their length in the preamble; longer ones in the symbol after it. */
export const SHORT_WORD_SYMBOLS = 13;
const LENGTHS_PER_CASE = SHORT_WORD_SYMBOLS + 1;
export const PREAMBLE_COUNT = 3 * LENGTHS_PER_CASE;

/** `symbolCount` above SHORT_WORD_SYMBOLS gives the code that says "length follows". */
export function preambleCode(letterCase: LetterCase, symbolCount: number): number {
  return letterCase * LENGTHS_PER_CASE + Math.min(symbolCount - 1, SHORT_WORD_SYMBOLS);
}

export function preambleCase(code: number): LetterCase {
  return Math.floor(code / LENGTHS_PER_CASE) as LetterCase;
}

/** Zero when the length follows as a symbol. */
export function preambleLength(code: number): number {
  const length = (code % LENGTHS_PER_CASE) + 1;
  return length > SHORT_WORD_SYMBOLS ? 0 : length;
}

/** The two tones of each preamble code: `[2 * code]` and `[2 * code + 1]`. */
export const preambleTones = new Uint8Array(2 * PREAMBLE_COUNT);
/** Preamble code of two tones, `[first * TONE_COUNT + second]`; NO_PREAMBLE when they are none. */
export const preambleOfTones = new Uint8Array(TONE_COUNT * TONE_COUNT);
export const NO_PREAMBLE = 255;

preambleOfTones.fill(NO_PREAMBLE);
let code = 0;
for (let group = 0; group < 2; group++) {
  for (let i = 0; i < GROUP_SIZE; i++) {
    // Not i + 1: neighbours beat once in 20 ms, and the edge of such a pair cannot be told to the millisecond.
    for (let j = i + 2; j < GROUP_SIZE; j++) {
      const first = group * GROUP_SIZE + i;
      const second = group * GROUP_SIZE + j;
      preambleTones[2 * code] = first;
      preambleTones[2 * code + 1] = second;
      preambleOfTones[first * TONE_COUNT + second] = code;
      preambleOfTones[second * TONE_COUNT + first] = code;
      code++;
    }
  }
}
assert.equal(code, PREAMBLE_COUNT);
