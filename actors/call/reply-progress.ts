/**
 * A reply on its way into the caller's ear, as words: when there is something to tell of it, and what is left
 * of it for whoever goes on.
 *
 *   intended   We are open from eight until five, and closed on Sundays.
 *   heard      We are open from eight until five, and closed
 *   rest                                          and closed on Sundays.
 */
import type { JournalFact } from "#actors/journal";
import { endsClause } from "#actors/speech";

/** A clause this long is told of before its end: whoever goes on repeats at most as much. */
export const PROGRESS_WORDS_MAX = 12;

export type ReplySource = Extract<JournalFact, { kind: "agentTurn" }>["source"];

/** A reply that has begun and of which no `agentTurn` tells. */
export interface OpenReply {
  readonly turn: number;
  readonly source: ReplySource;
  readonly intended: string;
  readonly heard: string;
}

/** Asked at each mark that comes back; says yes about once a clause. */
export class ReplyProgress {
  #toldChars = 0;

  /** True when the words heard hold the end of a clause, or many words, that nobody was told of. */
  isDue(heard: string): boolean {
    const fresh = wordsOf(heard.slice(this.#toldChars));
    if (fresh.length < PROGRESS_WORDS_MAX && !fresh.some(endsClause)) return false;
    this.#toldChars = heard.length;
    return true;
  }
}

/**
 * What to say of a reply that was heard in part: from the beginning of the clause that was not heard to its
 * end, so that it can be understood. The whole text, verbatim, when nothing was heard; empty when all was.
 */
export function restOfReply(intended: string, heard: string): string {
  const words = wordsOf(intended);
  const heardCount = wordsOf(heard).length;
  if (heardCount === 0) return intended.trim();
  if (heardCount >= words.length) return "";
  let from = heardCount;
  while (from > 0 && heardCount - from < PROGRESS_WORDS_MAX && !endsClause(words[from - 1]!)) from -= 1;
  return words.slice(from).join(" ");
}

/** As the voice is given them, and marks count them. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}
