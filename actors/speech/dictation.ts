/**
 * Digits and letters being read out: a phone number comes in groups with pauses as long as those after a
 * sentence, so silence alone would cut it in half.
 */
import type { SpeechLanguage } from "./language.js";
import { spokenWords } from "./turn-words.js";

export interface Dictation {
  /** Digits in the run that ends the text; 0 when it ends on something else. */
  readonly digitCount: number;
  /** Single letters in the run that ends the text: somebody spells. */
  readonly letterCount: number;
}

const digitWords: Readonly<Record<SpeechLanguage, Readonly<Record<string, number>>>> = {
  // Word to the digits it stands for. "double" and "triple" stand for what they add to the digit after them.
  en: count(1, "zero oh one two three four five six seven eight nine", 1, "double", 2, "triple"),
  es: {
    ...count(1, "cero uno una dos tres cuatro cinco seis siete ocho nueve", 1, "doble", 2, "triple"),
    ...count(2, "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve veinte"),
    ...count(2, "treinta cuarenta cincuenta sesenta setenta ochenta noventa"),
    ...count(
      2,
      "veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve",
    ),
  },
  fr: {
    ...count(1, "zéro un deux trois quatre cinq six sept huit neuf", 1, "double", 2, "triple"),
    ...count(2, "dix onze douze treize quatorze quinze seize vingt trente quarante cinquante soixante"),
  },
};

/** Letters that are words of their own and say nothing about spelling. */
const letterWords: Readonly<Record<SpeechLanguage, ReadonlySet<string>>> = {
  en: new Set(["a", "i", "o"]),
  es: new Set(["a", "e", "o", "u", "y"]),
  fr: new Set(["a", "à", "y", "o"]),
};

/** Digits in groups, as recognisers write them: "555", "202-555", "(202)"; no times, prices or decimals. */
const DIGIT_GROUP = /^[+(]?\d+(?:-\d+)*\)?$/;
const YEAR = /^(?:19|20)\d\d$/;
/** A run is looked at this far back; longer numbers than a card's 19 digits are not dictated. */
const RUN_WORDS_MAX = 32;

export function dictationOf(text: string, language: SpeechLanguage): Dictation {
  const tokens = text.trim().split(/\s+/).slice(-RUN_WORDS_MAX).map(withoutPunctuation);
  return { digitCount: trailingDigits(tokens, language), letterCount: trailingLetters(tokens, language) };
}

const askedNumbers: Readonly<Record<SpeechLanguage, readonly (readonly [RegExp, number])[]>> = {
  en: [
    [/last four/, 4],
    [/(?:zip|postal) code/, 5],
    [/card number/, 16],
    [
      /(?:phone|telephone|mobile|cell|callback|call back|contact) number|number (?:to|can we|we can) (?:reach|call)/,
      10,
    ],
  ],
  es: [
    [/últimos cuatro/, 4],
    [/código postal/, 5],
    [/número de (?:la |su )?tarjeta/, 16],
    [/número de (?:teléfono|móvil|celular|contacto)|su (?:teléfono|móvil|celular)/, 9],
  ],
  fr: [
    [/quatre derniers/, 4],
    [/code postal/, 5],
    [/numéro de (?:la |votre )?carte/, 16],
    [/numéro de (?:téléphone|portable|mobile)|votre (?:téléphone|portable|numéro)/, 10],
  ],
};

/** How many digits the agent's last words ask for; null when they ask for none, or not in a question we know. */
export function expectedDigits(agentText: string, language: SpeechLanguage): number | null {
  const asked = agentText.normalize("NFC").toLowerCase();
  return askedNumbers[language].find(([pattern]) => pattern.test(asked))?.[1] ?? null;
}

function trailingDigits(tokens: readonly string[], language: SpeechLanguage): number {
  let digits = 0;
  let groups = 0;
  for (const token of tokens.toReversed()) {
    const found = digitsIn(token, language);
    if (found === 0) break;
    digits += found;
    groups += 1;
  }
  // "since 2019" is a year, not a number in the making.
  return groups === 1 && YEAR.test(tokens.at(-1) ?? "") ? 0 : digits;
}

function digitsIn(token: string, language: SpeechLanguage): number {
  if (DIGIT_GROUP.test(token)) return token.replace(/\D/g, "").length;
  // "dix-sept", "treinta-y": what hyphens join counts as the first part says.
  const first = spokenWords(token)[0]?.split("-")[0] ?? "";
  return digitWords[language][first] ?? 0;
}

function trailingLetters(tokens: readonly string[], language: SpeechLanguage): number {
  let letters = 0;
  let telling = 0;
  for (const token of tokens.toReversed()) {
    if (!/^\p{L}$/u.test(token)) break;
    letters += 1;
    if (!letterWords[language].has(token.toLowerCase())) telling += 1;
  }
  return telling >= 2 ? letters : 0;
}

function withoutPunctuation(token: string): string {
  return token.replace(/[.,;!?…]+$/u, "");
}

function count(...pairs: readonly (number | string)[]): Record<string, number> {
  const table: Record<string, number> = {};
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    for (const word of String(pairs[index + 1]).split(" ")) table[word] = Number(pairs[index]);
  }
  return table;
}
