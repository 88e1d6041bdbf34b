/**
 * Whether a transcript is our own speech heard back: its words stand, in order, in what we just played.
 *
 * Recognisers mishear echo, so one word in five may be wrong, missing or extra; but a transcript of one or
 * two words must match exactly, or half of all answers would pass for echo. The last word may be a beginning
 * ("appoint" for "appointment"): interims are cut anywhere.
 */
import { comparableWord } from "./words.js";

/** From this many words on one may be wrong. */
const TOLERANT_FROM_WORDS = 3;
const WORDS_PER_WRONG_WORD = 5;
/** Two minutes of talk: longer than any reply. Of a longer list the last words count. */
const PLAYED_WORDS_MAX = 400;
/** A longer transcript is no echo: barge-in is decided within a few words. */
const TRANSCRIPT_WORDS_MAX = 64;
/** A shorter beginning of a word says nothing. */
const PREFIX_CHARS_MIN = 3;

export function isEchoText(
  transcriptWords: readonly string[],
  recentlyPlayedWords: readonly string[],
): boolean {
  const heard = comparable(transcriptWords);
  if (heard.length === 0 || heard.length > TRANSCRIPT_WORDS_MAX) return false;
  const played = comparable(recentlyPlayedWords.slice(-PLAYED_WORDS_MAX));
  return fewestWrongWords(heard, played) <= wrongWordsAllowed(heard.length);
}

function wrongWordsAllowed(wordCount: number): number {
  if (wordCount < TOLERANT_FROM_WORDS) return 0;
  return Math.max(1, Math.floor(wordCount / WORDS_PER_WRONG_WORD));
}

function comparable(words: readonly string[]): string[] {
  return words.map(comparableWord).filter((word) => word !== "");
}

/**
 * Edit distance, in words, between `heard` and the stretch of `played` that fits it best: a stretch may begin
 * and end anywhere, which is a first row of zeros and a minimum over the last row.
 */
function fewestWrongWords(heard: readonly string[], played: readonly string[]): number {
  let row = Array.from({ length: played.length + 1 }, () => 0);
  for (const [index, word] of heard.entries()) {
    const isLast = index === heard.length - 1;
    const next = [index + 1];
    for (let column = 1; column <= played.length; column += 1) {
      const wrong = isSameWord(word, played[column - 1]!, isLast) ? 0 : 1;
      next.push(Math.min(row[column - 1]! + wrong, row[column]! + 1, next[column - 1]! + 1));
    }
    row = next;
  }
  return Math.min(...row);
}

function isSameWord(heard: string, played: string, mayBePrefix: boolean): boolean {
  return heard === played || (mayBePrefix && heard.length >= PREFIX_CHARS_MIN && played.startsWith(heard));
}
