/**
 * Listening noises: what people say to show that they follow, with no wish to take the floor.
 *
 * A text is a backchannel when it is made of such words and nothing else, and short. One other word makes
 * it an interruption: "yeah but", "okay wait", "no". "Yes" counts as one while the agent talks: it is the
 * commonest of all; the call actor keeps its words, so an early answer to a question is not lost.
 */
import { speechLanguage, type SpeechLanguage } from "./language.js";
import { comparableWords } from "./words.js";

/** Comparable form, a phrase per entry. Longest first where one begins another. */
const phrases: Readonly<Record<SpeechLanguage, readonly string[]>> = {
  en: split(`uh huh|mm hmm|mm hm|mhm|mmhmm|hmm|hm|mm|mmm|uhuh|uhhuh|uh|um|ah|aha|ah ha|oh|ooh|wow|huh
    |yeah|yea|yep|yup|yes|ya|okay|ok|okey|kay|right|all right|alright|sure|exactly|true|indeed|absolutely
    |i see|i know|i understand|got it|gotcha|of course|makes sense|sounds good|fair enough|no problem|no worries
    |good|great|nice|cool|perfect|lovely|fine|really|oh really|interesting|thats right|thats true|that makes sense`),
  es: split(`aja|mm|mmm|mhm|hmm|ah|oh|eh|uh|si|claro|claro que si|vale|ok|okay|okey|bien|muy bien|bueno|ya|ya veo
    |entiendo|ya entiendo|comprendo|de acuerdo|exacto|exactamente|correcto|perfecto|eso|asi es|por supuesto
    |genial|estupendo|que bien|en serio|desde luego|sin problema`),
  fr: split(`mm|mmm|mhm|hm|hmm|hum|ah|ah oui|ah bon|oh|euh|oui|ouais|ok|okay|daccord|dac|bien|tres bien|bon|voila
    |exactement|exact|cest ca|tout a fait|bien sur|je vois|je comprends|compris|entendu|parfait|super|vraiment
    |effectivement|en effet|pas de probleme|pas de souci`),
};

/** "Yeah, yeah, okay, right, I see": more is somebody who wants to speak. */
const WORDS_MAX = 6;
const PHRASE_WORDS_MAX = 3;

const phraseSets = {
  en: new Set(phrases.en),
  es: new Set(phrases.es),
  fr: new Set(phrases.fr),
} satisfies Record<SpeechLanguage, ReadonlySet<string>>;

/** Whether `text` alone, heard while the agent talks, is no reason to stop. False for an empty text. */
export function isBackchannel(text: string, language: string): boolean {
  const words = comparableWords(text);
  if (words.length === 0 || words.length > WORDS_MAX) return false;
  return isMadeOf(words, 0, phraseSets[speechLanguage(language)]);
}

/** Whether the words from `start` on can be told apart into phrases of the set. */
function isMadeOf(words: readonly string[], start: number, set: ReadonlySet<string>): boolean {
  if (start === words.length) return true;
  for (let length = 1; length <= PHRASE_WORDS_MAX && start + length <= words.length; length += 1) {
    const phrase = words.slice(start, start + length).join(" ");
    if (set.has(phrase) && isMadeOf(words, start + length, set)) return true;
  }
  return false;
}

function split(list: string): readonly string[] {
  return list.split("|").map((phrase) => phrase.trim());
}
