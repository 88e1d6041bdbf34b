/**
 * What of one reply the caller heard: its words with the instants at which they end, counted in
 * milliseconds from the reply's first sample.
 *
 *   text      Sure,   I  can  book  that.
 *   ends       340   420 610   890  1240     from the voice's word times, estimated where there are none
 *   position           ^ 500                 heard: "Sure, I"
 *
 * Invariants
 * H1 A word was heard when its end is at or before the position, not a millisecond earlier.
 * H2 Ends never decrease: what was heard is always a beginning of the text.
 * H3 A word without a time of its own is taken to end no earlier than its share of the audio, so text is
 *    rather left out than claimed.
 */
import { comparableWord } from "./words.js";

export interface TimedWord {
  readonly word: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** A slow voice: estimates err towards later (H3). */
const ESTIMATE_MS_PER_CHAR = 75;
/** A voice may write a word otherwise than the text ("Doctor" for "Dr."): it is looked for this far ahead. */
const MATCH_AHEAD_WORDS = 4;
/**
 * Marks are asked for at most this often: below the shortest word, so that each has its own. At 250 a short
 * word had to be told by the clock, which does not know how much the carrier still played after a pause.
 */
const MARK_INTERVAL_MS = 60;

interface HeardWord {
  text: string;
  comparable: string;
  /** From the voice; null until it says. */
  endMs: number | null;
}

export class HeardText {
  readonly #words: HeardWord[] = [];
  /** The next piece may go on with the last word. */
  #lastIsOpen = false;
  /** Words before this index have been matched with the voice's times, or passed over. */
  #matchedCount = 0;
  #audioMs = 0;
  #audioDone = false;
  /** What `#ends` found, until something changes: playout asks again with every record. */
  #knownEnds: readonly number[] | null = null;
  #knownWords: readonly string[] | null = null;

  /** Text handed to the voice, verbatim; words may be split between pieces. */
  addText(piece: string): void {
    const [first = "", ...rest] = piece.split(/\s+/);
    if (this.#lastIsOpen && first !== "") this.#extendLast(first);
    else this.#addWord(first);
    for (const word of rest) this.#addWord(word);
    this.#lastIsOpen = this.#words.length > 0 && !/\s$/.test(piece) && (piece !== "" || this.#lastIsOpen);
  }

  /** No more text follows: the last word is whole. */
  finishText(): void {
    this.#lastIsOpen = false;
  }

  /** Times from the voice, in order, relative to the reply's first sample. */
  addWords(words: readonly TimedWord[]): void {
    this.#knownEnds = null;
    for (const word of words) this.#match(comparableWord(word.word), word.endMs);
  }

  /** Audio of the reply so far; bounds the estimates of words without times. */
  addAudio(durationMs: number): void {
    if (this.#audioDone) this.#knownEnds = null;
    this.#audioMs += durationMs;
  }

  /** All audio is there: a word without a time ends with it at the latest. */
  finishAudio(): void {
    this.#knownEnds = null;
    this.#audioDone = true;
  }

  /** Milliseconds of audio so far. */
  get audioMs(): number {
    return this.#audioMs;
  }

  /** Everything handed to the voice; the same array until there is more. */
  get words(): readonly string[] {
    return (this.#knownWords ??= this.#words.map((word) => word.text));
  }

  /** The words heard when playout stands at `positionMs`. H1 */
  heardWords(positionMs: number): string {
    const heard = this.#words.slice(0, this.heardCount(positionMs));
    return heard.map((word) => word.text).join(" ");
  }

  /** How many words that is. */
  heardCount(positionMs: number): number {
    const firstUnheard = this.#ends().findIndex((endMs) => endMs > positionMs);
    return firstUnheard === -1 ? this.#words.length : firstUnheard;
  }

  /**
   * Where to put the next mark after one at `afterMs` (0 for none yet): the end of a word at least
   * MARK_INTERVAL_MS later. Null when no such word is known yet.
   */
  nextMarkMs(afterMs: number): number | null {
    return this.#ends().find((endMs) => endMs >= afterMs + MARK_INTERVAL_MS) ?? null;
  }

  #addWord(text: string): void {
    if (text === "") return;
    this.#knownEnds = null;
    this.#knownWords = null;
    this.#words.push({ text, comparable: comparableWord(text), endMs: null });
  }

  #extendLast(text: string): void {
    const last = this.#words.at(-1)!;
    this.#knownEnds = null;
    this.#knownWords = null;
    last.text += text;
    last.comparable = comparableWord(last.text);
  }

  #match(comparable: string, endMs: number): void {
    if (comparable === "") return;
    const last = Math.min(this.#matchedCount + MATCH_AHEAD_WORDS, this.#words.length);
    for (let index = this.#matchedCount; index < last; index += 1) {
      const word = this.#words[index]!;
      if (word.comparable !== comparable) continue;
      word.endMs = endMs;
      this.#matchedCount = index + 1;
      return;
    }
  }

  /** An end for each word: its own time, or its share of the stretch between the known ones around it. H2 H3 */
  #ends(): readonly number[] {
    if (this.#knownEnds !== null) return this.#knownEnds;
    const ends: number[] = [];
    let knownMs = 0;
    for (let index = 0; index < this.#words.length; ) {
      let next = index;
      while (next < this.#words.length && this.#words[next]!.endMs === null) next += 1;
      const isLast = next === this.#words.length;
      const stretch = this.#words.slice(index, isLast ? next : next + 1);
      const endMs = isLast
        ? this.#estimateEndMs(stretch, knownMs)
        : Math.max(knownMs, this.#words[next]!.endMs!);
      spread(ends, stretch, knownMs, endMs);
      knownMs = endMs;
      index = next + 1;
    }
    this.#knownEnds = ends;
    return ends;
  }

  #estimateEndMs(stretch: readonly HeardWord[], fromMs: number): number {
    if (this.#audioDone) return Math.max(fromMs, this.#audioMs);
    const chars = stretch.reduce((sum, word) => sum + word.text.length + 1, 0);
    return fromMs + chars * ESTIMATE_MS_PER_CHAR;
  }
}

function spread(ends: number[], stretch: readonly HeardWord[], fromMs: number, toMs: number): void {
  const total = stretch.reduce((sum, word) => sum + word.text.length + 1, 0);
  let chars = 0;
  for (const word of stretch) {
    chars += word.text.length + 1;
    ends.push(fromMs + ((toMs - fromMs) * chars) / total);
  }
}
