/**
 * When each word of a text is spoken, from the length of its audio alone: for voices that say nothing about
 * it. Words get shares by their letters, punctuation its pause; every end is then moved towards the audio's
 * end, since a word claimed before it was heard is worse than one claimed after.
 */
import { endsClause } from "#actors/speech";
import type { TtsWord } from "./provider.js";

/** Shares in letters: the gap after a word, and a breath after a clause. */
const GAP_LETTERS = 1;
const BREATH_LETTERS = 4;
/** How far ends are moved: of the audio's length, and at most. A voice strays so far from an even pace. */
const LATENESS_SHARE = 0.1;
const LATENESS_MAX_MS = 250;

export function estimateWords(text: string, startMs: number, audioMs: number): readonly TtsWord[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  const shares = words.map(
    (word) => Array.from(word).length + GAP_LETTERS + (endsClause(word) ? BREATH_LETTERS : 0),
  );
  const total = shares.reduce((sum, share) => sum + share, 0);
  const lateMs = Math.min(LATENESS_MAX_MS, audioMs * LATENESS_SHARE);
  let spent = 0;
  let fromMs = startMs;
  return words.map((word, index) => {
    spent += shares[index]!;
    // Late, but with the audio at the latest, and each word after the one before it.
    const latestMs = audioMs - (words.length - 1 - index);
    const lateEndMs = index === words.length - 1 ? audioMs : (audioMs * spent) / total + lateMs;
    const endMs = Math.max(fromMs, startMs + Math.min(lateEndMs, latestMs));
    const timed: TtsWord = { word, startMs: fromMs, endMs };
    fromMs = endMs;
    return timed;
  });
}
