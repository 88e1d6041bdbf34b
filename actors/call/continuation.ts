/**
 * An answer that one model began and another ends. The second is shown what was said and told to begin with the end of it,
 * the anchor, and to go on from there; what it repeats is left out: the caller hears no word twice, and loses none.
 *
 *   said          We are open until five, and on Saturdays
 *   it answers    "and on Saturdays until noon."   as told: leave out the anchor, and no more
 *                 "on Saturdays until noon."       the end again: leave out "on Saturdays"
 *                 "We are open until five, and on Saturdays until noon."    all of it again: leave that out
 *                 "until noon."                    without it
 *
 * Whoever is told not to repeat anything, and begins with the words that were said last, may mean them: of a number, "five
 * five five, five five five, one two" broken off after its first group, the second would be lost. Asked for the anchor, he
 * has said it once, and means what he says again.
 */
import type { LlmRequest } from "#actors/providers";
import { comparableWord } from "#actors/speech";

function noteOf(anchor: string): string {
  return (
    "You were cut off in the middle of your answer. The caller has heard your words above. " +
    `Begin with the last of them, exactly: "${anchor}" Go on right after them with the rest of the answer. ` +
    "Do not repeat anything else, do not apologise."
  );
}

/** Enough to be known again, and soon said: they cost as many tokens before the first that is new. */
const ANCHOR_WORDS_MIN = 3;
/** One that stands twice in what was said is no place; where even so many do, it is left at that. */
const ANCHOR_WORDS_MAX = 12;
/** Of what was not asked for: words at the seam may be new ones ("no, no"); two different ones in a row are a repetition. */
const REPEATED_WORDS_MIN = 2;

export interface Continuation {
  /** What of the text so far is new; it may hold some back until it can tell. */
  push(delta: string): string;
  finish(): string;
}

export function continueAfter(
  request: LlmRequest,
  said: string,
): { readonly request: LlmRequest; readonly seam: Continuation } {
  const tokens = said.split(/\s+/).filter(Boolean);
  const anchor = tokens.slice(-anchorCount(wordsOf(said)));
  const messages = [
    ...request.messages,
    { role: "assistant", content: said.trim() } as const,
    { role: "system", content: noteOf(anchor.join(" ")) } as const,
  ];
  return { request: { ...request, messages }, seam: new Seam(wordsOf(said), anchor.length) };
}

class Seam implements Continuation {
  readonly #said: readonly string[];
  readonly #anchor: readonly string[];
  /** Text that may be a repetition; null once that is decided. */
  #held: string | null = "";

  constructor(said: readonly string[], anchorCount: number) {
    this.#said = said;
    this.#anchor = said.slice(-anchorCount);
  }

  push(delta: string): string {
    if (this.#held === null) return delta;
    this.#held += delta;
    // The last word may go on with the next piece.
    const whole = this.#held.replace(/\S+$/, "");
    if (this.#mayRepeat(wordsOf(whole))) return "";
    return this.#release();
  }

  finish(): string {
    return this.#held === null ? "" : this.#release();
  }

  /** These words may still be the beginning of a repetition. */
  #mayRepeat(words: readonly string[]): boolean {
    if (words.length > this.#said.length) return false;
    // After a single word it may be a beginning of its own.
    if (words.length > 1 && startsWith(words, this.#anchor)) return false;
    return this.#said.some((_, from) => startsWith(this.#said.slice(from), words));
  }

  #release(): string {
    const held = this.#held ?? "";
    this.#held = null;
    const tokens = [...held.matchAll(/\S+/g)];
    const words = tokens.map(([token]) => comparableWord(token));
    const repeated = this.#repeatedCount(words);
    if (repeated === 0) return held;
    const last = tokens[repeated - 1]!;
    return held.slice(last.index + last[0].length).trimStart();
  }

  /** The anchor; else the longest end of what was said that these words begin with. */
  #repeatedCount(words: readonly string[]): number {
    const said = this.#said;
    // Nothing but the one word: an answer of its own.
    if (startsWith(words, this.#anchor)) return words.length === 1 ? 0 : this.#anchor.length;
    for (let count = Math.min(words.length, said.length); count > 0; count -= 1) {
      const end = said.slice(-count);
      if (new Set(end).size >= REPEATED_WORDS_MIN && startsWith(words, end)) return count;
    }
    return 0;
  }
}

/** So many words of the end of what was said as tell the place. */
function anchorCount(said: readonly string[]): number {
  for (let count = ANCHOR_WORDS_MIN; count < ANCHOR_WORDS_MAX && count < said.length; count += 1) {
    const end = said.slice(-count);
    // Nor one word over and over, which may well go on.
    if (
      new Set(end).size > 1 &&
      said.findIndex((_, from) => startsWith(said.slice(from), end)) === said.length - count
    )
      return count;
  }
  return Math.min(said.length, ANCHOR_WORDS_MAX);
}

function startsWith(words: readonly string[], beginning: readonly string[]): boolean {
  return beginning.length <= words.length && beginning.every((word, index) => word === words[index]);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean).map(comparableWord);
}
