/**
 * What the words say about whether the caller is done, before any silence is counted.
 */
import { dictationOf } from "./dictation.js";
import type { SpeechLanguage } from "./language.js";
import { spokenWords, turnWords } from "./turn-words.js";

/**
 * - `complete`: a sentence with its closing mark, or the number that was asked for with all its digits.
 * - `open`: nothing against it, nothing for it; recognisers often leave the mark out.
 * - `unfinished`: ends on a connector, a filler or a comma.
 * - `dictating`: in the middle of digits or of spelling, with no word of how many there will be.
 * - `dictatingAsked`: in the middle of a number whose length is known.
 */
export type TurnShape = "complete" | "open" | "unfinished" | "dictating" | "dictatingAsked";

/** Fewer digits are a time, an age or a number of guests. */
const DICTATED_DIGITS_MIN = 3;
/** A whole phone number, when nobody said how many digits to expect: with area code, with or without the 1. */
const PHONE_DIGITS: Readonly<Record<SpeechLanguage, readonly number[]>> = {
  en: [10, 11],
  es: [9, 11],
  fr: [10],
};

export function turnShape(text: string, language: SpeechLanguage, expectedDigits: number | null): TurnShape {
  const { digitCount, letterCount } = dictationOf(text, language);
  if (letterCount > 0) return "dictating";
  if (expectedDigits !== null && digitCount > 0) {
    return digitCount >= expectedDigits ? "complete" : "dictatingAsked";
  }
  if (digitCount >= DICTATED_DIGITS_MIN) {
    return PHONE_DIGITS[language].includes(digitCount) ? "complete" : "dictating";
  }
  if (endsUnfinished(text, language)) return "unfinished";
  return isClosed(text) ? "complete" : "open";
}

function endsUnfinished(text: string, language: SpeechLanguage): boolean {
  if (/(?:[,;:…–—-]|\.\.)$/.test(text)) return true;
  const { connectors, prepositions, leanings, answers, holdPhrases } = turnWords[language];
  const spoken = spokenWords(text);
  const last = spoken.at(-1) ?? "";
  if (connectors.has(last)) return true;
  if (prepositions.has(last)) return !text.endsWith("?");
  if (leanings.has(last)) return spoken.length > 1 && !isClosed(text) && !answers.has(spoken[0]!);
  const ending = ` ${spoken.slice(-4).join(" ")}`;
  return holdPhrases.some((phrase) => ending.endsWith(` ${phrase}`));
}

function isClosed(text: string): boolean {
  return /[.!?]["')\]]*$/.test(text);
}
