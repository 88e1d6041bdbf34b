/**
 * Hears tone speech: audio in, at any pace and cut anywhere; words out, each as its last symbol sounds.
 *
 * It hunts for a preamble, finds the instant at which it gives way to the first symbol, and from there on
 * looks at the middle of each symbol; the preamble says how many there are, the last one whether they fit.
 *
 * D1 A preamble wins over everything: a word under way ends when one appears, for part of it was lost.
 * D2 A word that a louder speaker talks over is dropped; one that merely breaks off is reported, with a
 *    confidence below WORD_UNDERSTOOD.
 * D3 A word counts as understood only if its last 20 ms were heard: exactly the words whose `endMs` was
 *    reached. The history of a call that was cut is compared with what was heard on this ground.
 * D4 Nothing is allocated but the reported word, and nothing grows: symbols live in a fixed array.
 */
import { MAX_WORD_SYMBOLS, checkSymbol, decodeSymbols } from "./alphabet.js";
import {
  GROUP_SIZE,
  NO_PREAMBLE,
  PREAMBLE_SAMPLES,
  RAMP_SAMPLES,
  SAMPLES_PER_MS,
  SHORT_WORD_SYMBOLS,
  SYMBOL_COUNT,
  SYMBOL_SAMPLES,
  TONE_COUNT,
  preambleLength,
  preambleOfTones,
  preambleTones,
} from "./signal.js";
import { BLOCK_SAMPLES, KEPT_WINDOWS, ToneBank } from "./tone-bank.js";

export interface DecodedWord {
  readonly word: string;
  /** Milliseconds of audio pushed since the start or `reset()`. */
  readonly startMs: number;
  readonly endMs: number;
  /** 0 to 1. Below WORD_UNDERSTOOD the check failed or the word broke off: `word` is then a guess. */
  readonly confidence: number;
  /** RMS of the tones, dBFS. */
  readonly levelDb: number;
}

/** Confidence from which a word is what was said: of damaged words one in thousands passes. */
export const WORD_UNDERSTOOD = 0.5;

/** Share of the band's energy in the two strongest tones. A clean preamble has over 0.95, two meeting symbols 0.5. */
const CLEAN_SHARE = 0.7;
/** The weaker tone of a pair against the stronger, in energy: 10 dB, more than any line tilts 350 Hz. */
const PAIR_BALANCE = 0.1;
/** D2: amplitude from which the newcomer is a louder speaker: +6 dB. */
const LOUDER_RATIO = 2;
/** Presence of a tone in a window that is half over its edge. */
const EDGE = 0.5;
/** Between its edges a preamble is this long, give or take: otherwise part of it was lost. */
const PREAMBLE_TOLERANCE_SAMPLES = 8 * SAMPLES_PER_MS;
/** The leading edge is looked for this far back: further than a preamble is long. */
const MAX_PREAMBLE_WINDOWS = KEPT_WINDOWS - 4;
/** Amplitude of a symbol against its preamble, below which nothing was there: −14 dB. */
const ERASED_RATIO = 0.2;
/** 120 ms without a tone: the speaker was cut off. A lost frame erases one symbol, rarely two. */
const CUT_OFF_SYMBOLS = 3;
/** D3: amplitude in the last 20 ms of the word against its preamble. A cut 20 ms early leaves a quarter. */
const TAIL_RATIO = 0.6;
/** A symbol whose two tones hold less than this share of the energy straddled an edge or was drowned. */
const UNSURE_SHARE = 0.5;

/** One for the length of a long word, one for the check. */
const MAX_SYMBOLS = MAX_WORD_SYMBOLS + 2;

/** Costs 0.4 us for a 20 ms frame of silence, 2.1 us for one of speech, and 10 KB of memory. */
export class ToneDecoder {
  readonly #onWord: (word: DecodedWord) => void;
  readonly #bank = new ToneBank();
  #sampleCount = 0;

  // The preamble being heard: NO_PREAMBLE while hunting.
  #candidate = NO_PREAMBLE;
  #firstPeak = 0;
  #secondPeak = 0;
  // The clean pair of the window before, not yet a candidate.
  #lastPair = NO_PREAMBLE;

  // The word being heard: NO_PREAMBLE between words.
  #preamble = NO_PREAMBLE;
  /** Where the first symbol begins, in samples since the start. */
  #originSample = 0;
  /** Amplitude of its two tones together. */
  #peak = 0;
  readonly #symbols = new Uint8Array(MAX_SYMBOLS);
  #symbolCount = 0;
  /** Check included; 0 while the symbol that says so is awaited. */
  #expectedCount = 0;
  #dueWindow = 0;
  #erasedRun = 0;
  #damaged = false;
  #shareSum = 0;

  constructor(onWord: (word: DecodedWord) => void) {
    this.#onWord = onWord;
  }

  /** Milliseconds of audio pushed since the start or `reset()`. */
  get positionMs(): number {
    return this.#sampleCount / SAMPLES_PER_MS;
  }

  /** 8 kHz. Calls `onWord` for each word that ends in here. */
  push(samples: Int16Array, offset = 0, length = samples.length - offset): void {
    const end = Math.min(offset + length, samples.length);
    let at = offset;
    while (at < end) {
      const before = this.#bank.blockCount;
      const taken = this.#bank.take(samples, at, end);
      at += taken;
      this.#sampleCount += taken;
      if (this.#bank.blockCount !== before) this.#onWindow(before);
    }
  }

  /** Forgets a word under way and starts counting from zero. */
  reset(): void {
    this.#bank.reset();
    this.#sampleCount = 0;
    this.#candidate = NO_PREAMBLE;
    this.#lastPair = NO_PREAMBLE;
    this.#preamble = NO_PREAMBLE;
  }

  #onWindow(window: number): void {
    if (this.#preamble !== NO_PREAMBLE && window >= this.#dueWindow) this.#takeSymbol();
    if (this.#candidate !== NO_PREAMBLE) this.#followCandidate(window);
    if (this.#bank.silent) this.#lastPair = NO_PREAMBLE;
    else this.#hunt(window);
  }

  /** Two windows in a row with the same clean pair make a candidate. */
  #hunt(window: number): void {
    const pair = cleanPair(this.#bank.energies, windowOffset(window));
    const isNew = pair !== NO_PREAMBLE && pair !== this.#candidate;
    const confirmed = isNew && pair === this.#lastPair;
    this.#lastPair = isNew ? pair : NO_PREAMBLE;
    if (!confirmed) return;
    this.#candidate = pair;
    this.#firstPeak = this.#amplitudeOf(this.#first, window);
    this.#secondPeak = this.#amplitudeOf(this.#second, window);
    if (this.#preamble === NO_PREAMBLE) return;
    const talkedOver = this.#firstPeak + this.#secondPeak > LOUDER_RATIO * this.#peak;
    if (!talkedOver) this.#report(true); // D1
    this.#preamble = NO_PREAMBLE; // D2
  }

  /** Until either tone of the pair fades: there the first symbol begins. */
  #followCandidate(window: number): void {
    this.#firstPeak = Math.max(this.#firstPeak, this.#amplitudeOf(this.#first, window));
    this.#secondPeak = Math.max(this.#secondPeak, this.#amplitudeOf(this.#second, window));
    if (this.#presence(window) >= EDGE) return;
    const endSample = this.#fallingEdge(window) + RAMP_SAMPLES / 2;
    const startSample = this.#risingEdge(window) - RAMP_SAMPLES / 2;
    // The leading edge is the sharper one, as silence is before it; but of a damaged preamble only the
    // trailing edge tells where the symbols begin.
    const whole = Math.abs(endSample - startSample - PREAMBLE_SAMPLES) <= PREAMBLE_TOLERANCE_SAMPLES;
    this.#beginWord(whole ? startSample + PREAMBLE_SAMPLES : endSample);
  }

  #beginWord(originSample: number): void {
    this.#preamble = this.#candidate;
    this.#peak = this.#firstPeak + this.#secondPeak;
    this.#candidate = NO_PREAMBLE;
    this.#originSample = originSample;
    this.#symbolCount = 0;
    const length = preambleLength(this.#preamble);
    this.#expectedCount = length === 0 ? 0 : length + 1;
    this.#erasedRun = 0;
    this.#damaged = false;
    this.#shareSum = 0;
    this.#scheduleSymbol();
  }

  /** A symbol is read from the window in its middle and its neighbours; due once the later one is complete. */
  #scheduleSymbol(): void {
    const middle = this.#originSample + (this.#symbolCount + 0.5) * SYMBOL_SAMPLES;
    this.#dueWindow = Math.round(middle / BLOCK_SAMPLES) + 2;
  }

  #takeSymbol(): void {
    const energies = this.#bank.energies;
    const late = windowOffset(this.#dueWindow);
    const middle = windowOffset(this.#dueWindow - 1);
    const early = windowOffset(this.#dueWindow - 2);
    let toneA = 0;
    let toneB = 0;
    let energyA = -1;
    let energyB = -1;
    let total = 0;
    for (let tone = 0; tone < TONE_COUNT; tone++) {
      const energy = energies[early + tone]! + energies[middle + tone]! + energies[late + tone]!;
      total += energy;
      if (tone < GROUP_SIZE) {
        if (energy > energyA) {
          energyA = energy;
          toneA = tone;
        }
      } else if (energy > energyB) {
        energyB = energy;
        toneB = tone;
      }
    }
    const amplitude = Math.sqrt(energyA / 3) + Math.sqrt(energyB / 3);
    if (amplitude > LOUDER_RATIO * this.#peak) {
      this.#preamble = NO_PREAMBLE; // D2
      return;
    }
    const erased = amplitude < ERASED_RATIO * this.#peak;
    const share = total > 0 ? (energyA + energyB) / total : 0;
    const symbol = toneA * GROUP_SIZE + toneB - GROUP_SIZE;
    this.#erasedRun = erased ? this.#erasedRun + 1 : 0;
    if (erased || share < UNSURE_SHARE || symbol >= SYMBOL_COUNT) this.#damaged = true;
    this.#shareSum += share;
    this.#symbols[this.#symbolCount++] = symbol;
    if (this.#expectedCount === 0) {
      this.#expectedCount = Math.min(SHORT_WORD_SYMBOLS + 1 + symbol + 2, MAX_SYMBOLS);
    }
    if (this.#erasedRun === CUT_OFF_SYMBOLS) {
      this.#symbolCount -= CUT_OFF_SYMBOLS;
      this.#report(true);
    } else if (this.#symbolCount === this.#expectedCount) {
      this.#report(pairAmplitude(energies, late, toneA, toneB) < TAIL_RATIO * this.#peak); // D3
    } else {
      this.#scheduleSymbol();
    }
  }

  #report(brokenOff: boolean): void {
    const preamble = this.#preamble;
    this.#preamble = NO_PREAMBLE;
    const count = this.#symbolCount;
    const checkIndex = brokenOff && count < this.#expectedCount ? count : count - 1;
    const from = preambleLength(preamble) === 0 ? 1 : 0;
    const word = decodeSymbols(preamble, this.#symbols, from, checkIndex);
    if (word === "") return;
    const fits =
      !brokenOff &&
      !this.#damaged &&
      this.#symbols[checkIndex] === checkSymbol(preamble, this.#symbols, checkIndex);
    const share = this.#shareSum / count;
    this.#onWord({
      word,
      startMs: Math.round((this.#originSample - PREAMBLE_SAMPLES) / SAMPLES_PER_MS),
      endMs: Math.round((this.#originSample + count * SYMBOL_SAMPLES) / SAMPLES_PER_MS),
      confidence: fits ? WORD_UNDERSTOOD + (1 - WORD_UNDERSTOOD) * share : 0.8 * WORD_UNDERSTOOD * share,
      // Two tones of amplitude a, which add up to the peak, have the RMS a.
      levelDb: 20 * Math.log10(this.#peak / 2 / 32768),
    });
  }

  get #first(): number {
    return preambleTones[2 * this.#candidate]!;
  }

  get #second(): number {
    return preambleTones[2 * this.#candidate + 1]!;
  }

  #amplitudeOf(tone: number, window: number): number {
    return Math.sqrt(this.#bank.energies[windowOffset(window) + tone]!);
  }

  /**
   * How much of the window the candidate's tones fill, 0 to 1: the lesser of the two, as one of them may
   * well go on in the symbol that follows, but never both (S2).
   */
  #presence(window: number): number {
    return Math.min(
      this.#amplitudeOf(this.#first, window) / this.#firstPeak,
      this.#amplitudeOf(this.#second, window) / this.#secondPeak,
    );
  }

  /** Presence fell below the edge between the window before and this one. */
  #fallingEdge(window: number): number {
    const before = this.#presence(window - 1);
    const after = this.#presence(window);
    return windowCentre(window - 1) + (BLOCK_SAMPLES * (before - EDGE)) / (before - after);
  }

  #risingEdge(window: number): number {
    const oldest = Math.max(0, window - MAX_PREAMBLE_WINDOWS);
    let later = window - 1;
    let after = this.#presence(later);
    while (later > oldest) {
      const before = this.#presence(later - 1);
      if (before < EDGE) return windowCentre(later) - (BLOCK_SAMPLES * (after - EDGE)) / (after - before);
      after = before;
      later--;
    }
    return windowCentre(later);
  }
}

function windowOffset(window: number): number {
  return (window % KEPT_WINDOWS) * TONE_COUNT;
}

/** In samples since the start. */
function windowCentre(window: number): number {
  return (window - 1) * BLOCK_SAMPLES;
}

function pairAmplitude(energies: Float64Array, at: number, first: number, second: number): number {
  return Math.sqrt(energies[at + first]!) + Math.sqrt(energies[at + second]!);
}

/** The preamble whose two tones hold nearly all of a window's energy, or NO_PREAMBLE. */
function cleanPair(energies: Float64Array, at: number): number {
  let first = 0;
  let second = 0;
  let firstEnergy = -1;
  let secondEnergy = -1;
  let total = 0;
  for (let tone = 0; tone < TONE_COUNT; tone++) {
    const energy = energies[at + tone]!;
    total += energy;
    if (energy > firstEnergy) {
      second = first;
      secondEnergy = firstEnergy;
      first = tone;
      firstEnergy = energy;
    } else if (energy > secondEnergy) {
      second = tone;
      secondEnergy = energy;
    }
  }
  if (firstEnergy + secondEnergy < CLEAN_SHARE * total) return NO_PREAMBLE;
  if (secondEnergy < PAIR_BALANCE * firstEnergy) return NO_PREAMBLE;
  return preambleOfTones[first * TONE_COUNT + second]!;
}
