/** Where in a reply's text a voice was when it died: what of it is left for another voice. */
import { comparableWord, endsClause } from "#actors/speech";

/** A voice may write a word otherwise than the text ("Doctor" for "Dr."): it is looked for this far ahead. */
const MATCH_AHEAD_WORDS = 4;
/** Where words have no times, as a slow voice would say them: a few are rather said twice than one left out. */
const SLOW_MS_PER_CHAR = 100;
/** Of figures, signs and what is spelled out: "$1,250" takes three seconds. */
const SLOW_MS_PER_SIGN = 600;
/** Before the first sound, and after a clause. */
const PAUSE_MS = 300;
/** Read as it is written; "www" and "Dr." are not. */
const PLAIN_WORD =
  /^["'“‘«(¿¡]*(?=.*[aeiouyAEIOUY\u00c0-\u024f])\p{L}\p{Ll}*(?:['’-]\p{L}\p{Ll}*)*[.,;:!?…"'”’»)]*$/u;

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

/** The same from how long it spoke, at the least, for words without times. */
export function restAfterMs(text: string, spokenMs: number): string {
  let slowMs = PAUSE_MS;
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    slowMs += PLAIN_WORD.test(word) ? (word.length + 1) * SLOW_MS_PER_CHAR : word.length * SLOW_MS_PER_SIGN;
    if (slowMs > spokenMs) return text.slice(index);
    if (endsClause(word)) slowMs += PAUSE_MS;
  }
  return "";
}
