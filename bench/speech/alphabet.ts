/**
 * Words as symbols and back. Every printable character survives: common ones are one symbol, the rest an
 * escape and its code point in base 61. A letter's case comes from the word's preamble; SHIFT flips one.
 */
import { LetterCase, SHORT_WORD_SYMBOLS, SYMBOL_COUNT, preambleCase, preambleCode } from "./signal.js";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const PLAIN = `${LETTERS}0123456789.,?!'-:;$%&/()@#+"*=_~`;
const SHIFT = PLAIN.length;
/** A code point below 61² as two symbols: Latin with its accents, Greek, Cyrillic, Arabic. */
const ESCAPE_TWO = SHIFT + 1;
/** A code point below 61² + 61³ as three. */
const ESCAPE_THREE = SHIFT + 2;
const TWO_DIGITS = SYMBOL_COUNT ** 2;
const THREE_DIGITS = TWO_DIGITS + SYMBOL_COUNT ** 3;
const REPLACEMENT = 0xfffd;
const ERASED_CHARACTER = "\ufffd";
/** Whitespace and control characters separate words. */
const SEPARATOR = /[\s\p{Cc}]+/u;

/**
 * A word of more symbols is spoken as several: 64 symbols are 2.6 s, longer than any word and most
 * addresses, and it bounds the decoder's buffer.
 */
export const MAX_WORD_SYMBOLS = 64;

const symbolOf = new Map<string, number>(Array.from(PLAIN, (character, index) => [character, index]));

export interface EncodedWord {
  /** What the decoder will report. */
  readonly word: string;
  readonly preamble: number;
  /** What follows the preamble, the check included. */
  readonly symbols: readonly number[];
}

/** The words of a text as tone speech carries them: what survives, for comparisons. */
export function normalizeWords(text: string): string[] {
  return encodeText(text).map((encoded) => encoded.word);
}

export function encodeText(text: string): EncodedWord[] {
  return splitWords(text).flatMap(encodeWord);
}

/** Canonical composition first, so that an accent typed as a separate mark becomes one character. */
function splitWords(text: string): string[] {
  return text.normalize("NFC").split(SEPARATOR).filter(Boolean);
}

function encodeWord(word: string): EncodedWord[] {
  const letterCase = cheapestCase(word);
  const encoded: EncodedWord[] = [];
  let characters = "";
  let symbols: number[] = [];
  for (const character of word) {
    const next = encodeCharacter(character, isUpper(letterCase, characters === ""));
    // A capital costs one symbol more when a split puts it elsewhere than first, and no more than that.
    if (symbols.length + next.length > MAX_WORD_SYMBOLS) {
      encoded.push(finishWord(characters, letterCase, symbols));
      characters = "";
      symbols = encodeCharacter(character, isUpper(letterCase, true));
    } else {
      symbols.push(...next);
    }
    const codePoint = character.codePointAt(0)!;
    characters += codePoint < THREE_DIGITS && !isSurrogate(codePoint) ? character : ERASED_CHARACTER;
  }
  encoded.push(finishWord(characters, letterCase, symbols));
  return encoded;
}

function finishWord(word: string, letterCase: LetterCase, payload: number[]): EncodedWord {
  const preamble = preambleCode(letterCase, payload.length);
  const symbols =
    payload.length > SHORT_WORD_SYMBOLS
      ? [payload.length - SHORT_WORD_SYMBOLS - 1, ...payload]
      : [...payload];
  symbols.push(checkSymbol(preamble, symbols, symbols.length));
  return { word, preamble, symbols };
}

/** The case that needs fewest SHIFTs. */
function cheapestCase(word: string): LetterCase {
  let best: LetterCase = LetterCase.Lower;
  let bestShifts = Number.POSITIVE_INFINITY;
  for (const letterCase of Object.values(LetterCase)) {
    let shifts = 0;
    let first = true;
    for (const character of word) {
      if (isAsciiLetter(character) && isCapital(character) !== isUpper(letterCase, first)) shifts++;
      first = false;
    }
    if (shifts < bestShifts) {
      best = letterCase;
      bestShifts = shifts;
    }
  }
  return best;
}

function encodeCharacter(character: string, upper: boolean): number[] {
  const plain = symbolOf.get(character.toLowerCase());
  if (plain !== undefined && character < "\u0080") {
    return isAsciiLetter(character) && isCapital(character) !== upper ? [SHIFT, plain] : [plain];
  }
  let codePoint = character.codePointAt(0)!;
  if (codePoint >= THREE_DIGITS || isSurrogate(codePoint)) codePoint = REPLACEMENT;
  if (codePoint < TWO_DIGITS) {
    return [ESCAPE_TWO, Math.floor(codePoint / SYMBOL_COUNT), codePoint % SYMBOL_COUNT];
  }
  const rest = codePoint - TWO_DIGITS;
  return [
    ESCAPE_THREE,
    Math.floor(rest / TWO_DIGITS),
    Math.floor(rest / SYMBOL_COUNT) % SYMBOL_COUNT,
    rest % SYMBOL_COUNT,
  ];
}

/**
 * Weighted by position, modulo a prime: one wrong symbol or two swapped neighbours always show, and
 * anything else passes once in 61.
 */
export function checkSymbol(preamble: number, symbols: ArrayLike<number>, count: number): number {
  let sum = preamble + 1;
  for (let i = 0; i < count; i++) sum += ((i % (SYMBOL_COUNT - 1)) + 1) * symbols[i]!;
  return sum % SYMBOL_COUNT;
}

/** Text of the payload symbols; also of a damaged word, as far as they make sense. */
export function decodeSymbols(
  preamble: number,
  symbols: ArrayLike<number>,
  from: number,
  to: number,
): string {
  const letterCase = preambleCase(preamble);
  let text = "";
  let i = from;
  while (i < to) {
    const shifted = symbols[i] === SHIFT && i + 1 < to;
    if (shifted) i++;
    const symbol = symbols[i++]!;
    if (symbol < PLAIN.length) {
      const character = PLAIN[symbol]!;
      const upper = symbol < LETTERS.length && isUpper(letterCase, text === "") !== shifted;
      text += upper ? character.toUpperCase() : character;
    } else if (symbol === ESCAPE_TWO || symbol === ESCAPE_THREE) {
      const digitCount = symbol - ESCAPE_TWO + 2;
      let value = 0;
      for (let digit = 0; digit < digitCount; digit++) value = value * SYMBOL_COUNT + (symbols[i++] ?? 0);
      const codePoint = symbol === ESCAPE_TWO ? value : value + TWO_DIGITS;
      const character = isSurrogate(codePoint) ? ERASED_CHARACTER : String.fromCodePoint(codePoint);
      // Only damage can spell whitespace; a word never contains any.
      text += SEPARATOR.test(character) ? ERASED_CHARACTER : character;
    } else {
      text += ERASED_CHARACTER;
    }
  }
  return text;
}

function isUpper(letterCase: LetterCase, first: boolean): boolean {
  return letterCase === LetterCase.Upper || (letterCase === LetterCase.Capitalised && first);
}

function isAsciiLetter(character: string): boolean {
  return /^[a-zA-Z]$/.test(character);
}

function isCapital(character: string): boolean {
  return character >= "A" && character <= "Z";
}

function isSurrogate(codePoint: number): boolean {
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}
