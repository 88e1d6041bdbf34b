/** Where in a reply's text a voice was when it died: what of it is left for another voice. */
import { comparableWord } from "#actors/speech";

/** A voice may write a word otherwise than the text ("Doctor" for "Dr."): it is looked for this far ahead. */
const MATCH_AHEAD_WORDS = 4;
/** A quick voice: where words have no times, a few are rather said twice than left out. */
const ESTIMATE_MS_PER_CHAR = 50;

/** The text from the first word after these, spoken from its beginning in this order. */
export function restAfterWords(text: string, spoken: readonly string[]): string {
  const words = [...text.matchAll(/\S+/g)];
  let next = 0;
  let isLastKnown = true;
  for (const word of spoken) {
    const comparable = comparableWord(word);
    if (comparable === "") continue;
    const found = words
      .slice(next, next + MATCH_AHEAD_WORDS)
      .findIndex(([candidate]) => comparableWord(candidate) === comparable);
    isLastKnown = found >= 0;
    if (found >= 0) next += found + 1;
  }
  // The voice's own way to write the word: however many words of its, it is one of the text.
  if (!isLastKnown) next += 1;
  const rest = words[next];
  return rest === undefined ? "" : text.slice(rest.index);
}

/** The same from how long it spoke, for a voice that tells no times. */
export function restAfterMs(text: string, spokenMs: number): string {
  let chars = 0;
  for (const word of text.matchAll(/\S+/g)) {
    chars += word[0].length + 1;
    if (chars * ESTIMATE_MS_PER_CHAR > spokenMs) return text.slice(word.index);
  }
  return "";
}
