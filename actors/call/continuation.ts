/**
 * An answer that one model began and another ends. The second is shown what was said and told to go on after it; where
 * it begins again all the same, what it repeats is left out: the caller hears no word twice.
 *
 *   said          We are open until five, and on Saturdays
 *   it answers    "on Saturdays until noon."       the end again: leave out "on Saturdays"
 *                 "We are open until five, and on Saturdays until noon."    all of it again: leave that out
 *                 "until noon."                    as told
 */
import type { LlmRequest } from "#actors/providers";
import { comparableWord } from "#actors/speech";

const NOTE =
  "You were cut off in the middle of your answer. The caller has heard your words above. " +
  "Go on right after them with the rest of the answer. Do not repeat any of them, do not apologise.";

/** One word at the seam may be a new one ("no, no"); two in a row are a repetition. */
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
  const messages = [
    ...request.messages,
    { role: "assistant", content: said.trim() } as const,
    { role: "system", content: NOTE } as const,
  ];
  return { request: { ...request, messages }, seam: new Seam(said) };
}

class Seam implements Continuation {
  readonly #said: readonly string[];
  /** Text that may be a repetition; null once that is decided. */
  #held: string | null = "";

  constructor(said: string) {
    this.#said = wordsOf(said);
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
    return this.#said.some((_, from) => words.every((word, index) => word === this.#said[from + index]));
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

  /** The longest end of what was said that these words begin with. */
  #repeatedCount(words: readonly string[]): number {
    const said = this.#said;
    for (let count = Math.min(words.length, said.length); count >= REPEATED_WORDS_MIN; count -= 1) {
      if (said.slice(-count).every((word, index) => word === words[index])) return count;
    }
    // What was said was one word, and it begins with that.
    return said.length === 1 && words.length > 1 && words[0] === said[0] ? 1 : 0;
  }
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean).map(comparableWord);
}
