/**
 * Cuts the model's stream into pieces a voice can begin to speak: the first as early as possible, so that
 * the caller hears something a few tokens after the first; later ones longer, so that the voice has a whole
 * clause to find its melody in.
 *
 * Invariants
 * C1 The pieces, concatenated, are the cleaned text with single spaces; pieces after the first bring their
 *    space in front.
 * C2 A cut falls between words only, and never after an abbreviation ("Dr. Smith"), nor between two numbers
 *    ("555 0101"); so never inside a number, a time, an address. Only a "word" over 256 characters is cut.
 * C3 The pieces are the same however the text was cut into deltas.
 * C4 What is held back is bounded: at most one piece of the longest size and one word.
 */
import { CLAUSE_END, SENTENCE_END } from "./clause-ends.js";
import { Speakable } from "./speakable.js";

export interface ClauseSplitterOptions {
  /** Words after which the first piece goes out without waiting for the end of its clause. @default 3 */
  readonly firstPieceWords?: number;
}

const DEFAULT_FIRST_PIECE_WORDS = 3;

interface PieceBounds {
  /** A sentence ends the piece from this length on, in characters. */
  readonly sentenceChars: number;
  /** A comma and its like end the piece from this length on. */
  readonly clauseChars: number;
  /** Any space ends the piece from this length on. */
  readonly maxChars: number;
}

/** While the first piece of three words plays (0.8 s) a slow model writes some 60 characters. */
const SECOND_PIECE: PieceBounds = { sentenceChars: 8, clauseChars: 16, maxChars: 60 };
/** About 3 s and 12 s of speech; voices have limits from 500 characters on. */
const LATER_PIECES: PieceBounds = { sentenceChars: 16, clauseChars: 50, maxChars: 200 };
/** No word is longer but an address nobody can listen to. */
const WORD_CHARS_MAX = 256;

const NUMBER_WORD = /^[$€£+(]?\d[\d.,:/-]*\)?[%°]?$/u;
const STARTS_NUMBER = /[\d$€£+(]/;
/** A single capital and a full stop: "J. Smith". Not "I". */
const INITIAL = /^[A-HJ-Z]\.$/;
const ABBREVIATIONS = new Set(
  `dr. mr. mrs. ms. prof. rev. hon. st. ave. blvd. rd. ste. apt. vs. e.g. i.e. approx. ext. tel. jr. sr. inc. ltd. co.
   mt. ft. dept. est. fig. jan. feb. mar. apr. jun. jul. aug. sept. sep. oct. nov. dec. tue. tues. wed. thu. thurs. fri.
   sra. srta. dra. ud. uds. avda. av. núm. pág. p. ej. m. mm. mme. mlle. bd. art. env. cf.`.split(/\s+/),
);

export class ClauseSplitter {
  readonly #speakable = new Speakable();
  readonly #firstPieceWords: number;
  #piece = "";
  #pieceCount = 0;
  #wordCount = 0;
  #wordStart = 0;
  /** A space was read after the last word; whether to cut there may hang on what comes next. */
  #atWordEnd = false;

  constructor(options: ClauseSplitterOptions = {}) {
    this.#firstPieceWords = options.firstPieceWords ?? DEFAULT_FIRST_PIECE_WORDS;
  }

  /** The pieces this delta completed, often none. */
  push(delta: string): string[] {
    const pieces: string[] = [];
    this.#add(this.#speakable.push(delta), pieces);
    // The space after a word is enough to cut there, unless the next word has a say.
    if (this.#speakable.atWordEnd && this.#isDue("")) this.#cut(pieces);
    return pieces;
  }

  /** What is left. The splitter is then at its end. */
  finish(): string[] {
    const pieces: string[] = [];
    this.#add(this.#speakable.finish(), pieces);
    if (this.#piece !== "") this.#cut(pieces);
    return pieces;
  }

  #add(text: string, pieces: string[]): void {
    for (const char of text) {
      if (char === " ") {
        this.#atWordEnd = true;
        continue;
      }
      if (this.#atWordEnd) this.#beginWord(char, pieces);
      this.#piece += char;
      if (this.#piece.length - this.#wordStart >= WORD_CHARS_MAX) this.#cut(pieces);
    }
  }

  #beginWord(firstChar: string, pieces: string[]): void {
    if (this.#isDue(firstChar)) this.#cut(pieces);
    this.#atWordEnd = false;
    this.#wordCount += this.#piece === "" ? 0 : 1;
    this.#piece += " ";
    this.#wordStart = this.#piece.length;
  }

  /** Whether to cut after the last word, given how the next one begins ("" when that is not known yet). */
  #isDue(next: string): boolean {
    const word = this.#piece.slice(this.#wordStart);
    if (word === "" || isGlued(word, next)) return false;
    const length = this.#piece.length;
    const endsSentence = SENTENCE_END.test(word);
    const endsClause = CLAUSE_END.test(word);
    if (this.#pieceCount === 0) {
      return endsSentence || endsClause || this.#wordCount + 1 >= this.#firstPieceWords;
    }
    const bounds = this.#pieceCount === 1 ? SECOND_PIECE : LATER_PIECES;
    if (endsSentence) return length >= bounds.sentenceChars;
    if (endsClause) return length >= bounds.clauseChars;
    return length >= bounds.maxChars;
  }

  #cut(pieces: string[]): void {
    pieces.push(this.#piece);
    this.#pieceCount += 1;
    this.#piece = "";
    this.#wordStart = 0;
    this.#wordCount = 0;
  }
}

/** C2: whether `word` must stay with the next one. With `next` not known yet (""), whether it might have to. */
function isGlued(word: string, next: string): boolean {
  const bare = word.replace(/^["'“‘«([¿¡]+/u, "");
  if (INITIAL.test(bare) || ABBREVIATIONS.has(bare.toLowerCase())) return true;
  return NUMBER_WORD.test(bare) && (next === "" || STARTS_NUMBER.test(next));
}
