/**
 * Utterances that need no model: "hello?", "thanks", "bye", "how are you". The reply is a template whose
 * audio is cached, so it sounds at once. Only a whole utterance counts: "thanks, and what about Tuesday"
 * goes to the model.
 */
import { type SpeechLanguage, speechLanguage } from "./language.js";
import {
  type QuickReply,
  type QuickReplyPatterns,
  quickReplyPatterns,
  quickReplyTemplates,
} from "./quick-reply-data.js";
import { comparableWords } from "./words.js";

export type { QuickReply };

/** Longer utterances have something else in them. */
const WORDS_MAX = 8;
/** From this length on a word may have one letter wrong: "helo", "thnaks" are what recognisers make of a bad line. */
const FUZZY_CHARS_MIN = 5;
/** Strongest meaning first: "okay thanks bye" is a farewell, "hi, how are you" asks something. */
const BY_STRENGTH: readonly QuickReply[] = ["farewell", "howAreYou", "thanks", "greeting"];
const UNMISTAKABLE: readonly QuickReply[] = ["farewell", "greeting"];

/**
 * Which of them the whole utterance is, or null. `afterQuestion`: the agent's last words asked something, so
 * that "okay, thanks" may be its answer and goes to the model.
 */
export function matchQuickReply(text: string, language: string, afterQuestion = false): QuickReply | null {
  const words = comparableWords(text);
  if (words.length === 0 || words.length > WORDS_MAX) return null;
  const grammar = grammars[speechLanguage(language)];
  const candidates = afterQuestion ? UNMISTAKABLE : BY_STRENGTH;
  return candidates.find((kind) => isSaid(words, grammar[kind])) ?? null;
}

export interface QuickReplyValues {
  readonly agentName: string;
  readonly businessName: string;
}

/** The replies to choose from, filled in; fixed for a tenant, so that their audio can be cached. */
export function quickReplyTexts(kind: QuickReply, language: string, values: QuickReplyValues): string[] {
  return quickReplyTemplates[speechLanguage(language)][kind].map((template) =>
    fillTemplate(template, values),
  );
}

/** Puts `values.name` where `{name}` stands; a name that is not there stays as it is. */
function fillTemplate(template: string, values: QuickReplyValues): string {
  const known = values as unknown as Readonly<Record<string, string>>;
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => known[name] ?? whole);
}

/** The phrases of a kind, word by word, and after the first `ownCount` of them what may stand beside one. */
interface Grammar {
  readonly phrases: readonly (readonly string[])[];
  readonly ownCount: number;
}

const grammars = {
  en: grammarsOf(quickReplyPatterns.en),
  es: grammarsOf(quickReplyPatterns.es),
  fr: grammarsOf(quickReplyPatterns.fr),
} satisfies Record<SpeechLanguage, unknown>;

function grammarsOf({ kinds, fillers, answers }: QuickReplyPatterns): Record<QuickReply, Grammar> {
  const grammar = (own: readonly string[], beside: readonly string[]): Grammar => ({
    phrases: [...own, ...beside].map((phrase) => phrase.split(" ")),
    ownCount: own.length,
  });
  return {
    greeting: grammar(kinds.greeting, fillers),
    thanks: grammar(kinds.thanks, fillers),
    howAreYou: grammar(kinds.howAreYou, [...fillers, ...kinds.greeting]),
    farewell: grammar(kinds.farewell, [...fillers, ...answers, ...kinds.thanks, ...kinds.greeting]),
  };
}

/** Whether the words are made of the grammar's phrases only, at least one of them its own. */
function isSaid(words: readonly string[], { phrases, ownCount }: Grammar): boolean {
  const search = (start: number, found: boolean): boolean => {
    if (start === words.length) return found;
    return phrases.some(
      (phrase, index) =>
        phrase.every((word, offset) => isAlike(words[start + offset] ?? "", word)) &&
        search(start + phrase.length, found || index < ownCount),
    );
  };
  return search(0, false);
}

/** The same word, or a long one with a letter wrong, missing, extra or swapped with its neighbour. */
function isAlike(heard: string, word: string): boolean {
  if (heard === word) return true;
  if (word.length < FUZZY_CHARS_MIN || Math.abs(heard.length - word.length) > 1) return false;
  let start = 0;
  while (start < heard.length && heard[start] === word[start]) start += 1;
  const rest = heard.slice(start);
  const wordRest = word.slice(start);
  return (
    rest.slice(1) === wordRest.slice(1) ||
    rest.slice(1) === wordRest ||
    rest === wordRest.slice(1) ||
    (rest[0] === wordRest[1] && rest[1] === wordRest[0] && rest.slice(2) === wordRest.slice(2))
  );
}
