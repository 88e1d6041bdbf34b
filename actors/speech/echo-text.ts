/**
 * Which words of a transcript may be our own speech heard back: they stand, in order, in what we just played.
 *
 * Recognisers mishear echo, so a letter in three may be wrong, and a word may be a beginning ("appoint" for
 * "appointment"): interims, and gaps on the line, cut anywhere. Callers use our words too, so this says only
 * whose a word may be; who was heard to say it decides.
 */
import { comparableWord } from "./words.js";

/** Two minutes of talk: longer than any reply. Of a longer list the last words count. */
const PLAYED_WORDS_MAX = 400;
/** A longer transcript is no echo: barge-in is decided within a few words. */
const TRANSCRIPT_WORDS_MAX = 64;
/** A misheard word keeps two letters of three; of two letters or less nothing is left. */
const CHARS_PER_WRONG_CHAR = 3;

/**
 * For each word of a transcript whether it may be one of ours, heard back: in the order in which we played
 * them, and perhaps misheard ("brifht" for "bright"). All false for a transcript too long to be echo.
 */
export function ourWords(
  transcriptWords: readonly string[],
  recentlyPlayedWords: readonly string[],
): readonly boolean[] {
  const heard = transcriptWords.map(comparableWord);
  if (heard.length > TRANSCRIPT_WORDS_MAX) return heard.map(() => false);
  const played = comparable(recentlyPlayedWords.slice(-PLAYED_WORDS_MAX));
  const { costs, width } = alignment(heard, played);
  const ours = heard.map(() => false);
  let row = heard.length;
  let column = lastOfLeast(costs.subarray(row * width));
  while (row > 0) {
    const cost = costs[row * width + column]!;
    const isMatch = column > 0 && mayBeMisheard(heard[row - 1]!, played[column - 1]!);
    if (column > 0 && costs[(row - 1) * width + column - 1]! + (isMatch ? 0 : 1) === cost) {
      ours[row - 1] = isMatch;
      row -= 1;
      column -= 1;
    } else if (costs[(row - 1) * width + column]! + 1 === cost) {
      row -= 1;
    } else {
      column -= 1;
    }
  }
  return ours;
}

function comparable(words: readonly string[]): string[] {
  return words.map(comparableWord).filter((word) => word !== "");
}

/**
 * Edit distances, in words, between the beginnings of `heard` (rows) and the stretch of `played` that ends at
 * a column and fits best: a stretch may begin anywhere, which is a first row of zeros, and end anywhere, so
 * the least of the last row counts.
 */
function alignment(
  heard: readonly string[],
  played: readonly string[],
): { readonly costs: Uint16Array; readonly width: number } {
  const width = played.length + 1;
  const costs = new Uint16Array((heard.length + 1) * width);
  for (const [index, word] of heard.entries()) {
    const above = index * width;
    const row = above + width;
    costs[row] = index + 1;
    for (let column = 1; column < width; column += 1) {
      const wrong = mayBeMisheard(word, played[column - 1]!) ? 0 : 1;
      costs[row + column] = Math.min(
        costs[above + column - 1]! + wrong,
        costs[above + column]! + 1,
        costs[row + column - 1]! + 1,
      );
    }
  }
  return { costs, width };
}

function lastOfLeast(costs: Uint16Array): number {
  return costs.lastIndexOf(Math.min(...costs));
}

function mayBeMisheard(heard: string, played: string): boolean {
  if (heard === "" || played.startsWith(heard)) return true;
  const allowed = Math.floor(Math.max(heard.length, played.length) / CHARS_PER_WRONG_CHAR);
  if (Math.abs(heard.length - played.length) > allowed) return false;
  return editDistance(heard, played) <= allowed;
}

function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let index = 0; index < one.length; index += 1) {
    const next = [index + 1];
    for (let column = 1; column <= other.length; column += 1) {
      const wrong = one[index] === other[column - 1] ? 0 : 1;
      next.push(Math.min(row[column - 1]! + wrong, row[column]! + 1, next[column - 1]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
