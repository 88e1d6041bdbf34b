/**
 * The model's text as a voice should read it, while it streams: markdown, lists, links and emoji out,
 * white space single, a full stop where only a line break ended a heading or a list item.
 *
 * Works code point by code point with a bounded look-back, so the result does not depend on how the text
 * was cut into deltas.
 */

/** Inside a line; where a line begins; within the address of a `[text](address)`. */
type Mode = "text" | "lineStart" | "linkAddress";

/** The longest thing that can still turn out to be a list marker: "###### ", "12. ". */
const MARKER_CHARS_MAX = 8;
/** An address that has not ended by then was none: the text goes on being read. */
const LINK_ADDRESS_CHARS_MAX = 500;

const LIST_MARKER = /^(?:[-*+•>]|#{1,6}|\d{1,2}[.)])$/;
/** A reply may begin with a number that is its answer; a list begins with 1. */
const FIRST_LINE_MARKER = /^(?:[-*+•>]|#{1,6}|1[.)])$/;
const MARKER_BEGINNING = /^(?:[-*+•>]|#{1,6}|\d{1,2}[.)]?|[-*_=]{2,})$/;
const RULE = /^[-*_=]{3,}$/;
const SPACE = /\s/u;
const PICTURE = /[\p{Extended_Pictographic}\p{Regional_Indicator}\p{Emoji_Modifier}•]/u;
/** Never read aloud: emphasis, code, strike-through, what joins emoji, zero-width characters. */
const DROPPED = new Set([
  "*",
  "`",
  "~",
  "[",
  "\u{200b}",
  "\u{200c}",
  "\u{200d}",
  "\u{20e3}",
  "\u{fe0f}",
  "\u{feff}",
]);
const WORD_CHAR = /[\p{L}\p{N}]/u;
const CLOSED_LINE = /[.!?…:;,]["'”’)]*$/u;

export class Speakable {
  #pendingSpace = false;
  #mode: Mode = "lineStart";
  #marker = "";
  #highSurrogate = "";
  /** "_" or "]" that waits for the next character to say what it is. */
  #held = "";
  #addressChars = 0;
  /** The line or paragraph before ended without a mark that says so. */
  #breakPending = false;
  #newlines = 0;
  /** The last word was followed by a space, so it may be on its way to the voice: no full stop can join it. */
  #wordIsOut = false;
  #lineIsItem = false;
  /** The last few characters given out. */
  #tail = "";
  #out = "";

  /** The text so far ends a word, and nothing that follows can change that word any more. */
  get atWordEnd(): boolean {
    return this.#pendingSpace && !this.#breakPending && this.#mode === "text";
  }

  push(delta: string): string {
    const text = this.#highSurrogate + delta;
    const lastCode = text.charCodeAt(text.length - 1);
    const isSplit = lastCode >= 0xd800 && lastCode <= 0xdbff;
    this.#highSurrogate = isSplit ? text.slice(-1) : "";
    for (const char of isSplit ? text.slice(0, -1) : text) this.#take(char);
    return this.#flush();
  }

  finish(): string {
    if (this.#mode === "lineStart") this.#endMarker("");
    this.#release("");
    this.#pendingSpace = false;
    return this.#flush();
  }

  #take(char: string): void {
    if (this.#mode === "linkAddress") this.#skipAddress(char);
    else if (char === "\n") this.#endLine();
    else if (this.#mode === "lineStart") this.#takeAtLineStart(char);
    else this.#takeInText(char);
  }

  #takeAtLineStart(char: string): void {
    if (SPACE.test(char)) {
      if (this.#marker !== "") this.#endMarker(" ");
      return;
    }
    if (RULE.test(this.#marker) && this.#marker.endsWith(char)) return;
    this.#marker += char;
    if (MARKER_BEGINNING.test(this.#marker) && this.#marker.length <= MARKER_CHARS_MAX) return;
    this.#endMarker("");
  }

  /** What stood at the line's start is now known: a marker, or text after all. */
  #endMarker(space: string): void {
    const marker = this.#marker;
    this.#marker = "";
    this.#mode = "text";
    const isMarker = this.#tail === "" ? FIRST_LINE_MARKER.test(marker) : LIST_MARKER.test(marker);
    if (space !== "" && isMarker) {
      this.#lineIsItem = true;
      this.#breakPending = this.#tail !== "" && !this.#wordIsOut;
      return;
    }
    if (RULE.test(marker)) return;
    for (const char of marker) this.#takeInText(char);
    if (space !== "") this.#takeInText(space);
  }

  #endLine(): void {
    if (this.#mode === "lineStart") this.#endMarker("");
    this.#release("\n");
    this.#newlines += 1;
    const isBreak = this.#lineIsItem || this.#newlines > 1;
    if (isBreak && !this.#wordIsOut) this.#breakPending = this.#tail !== "";
    this.#lineIsItem = false;
    this.#mode = "lineStart";
    this.#space();
  }

  #takeInText(char: string): void {
    if (this.#held !== "" && this.#release(char)) return;
    if (SPACE.test(char) || char === "|") {
      this.#wordIsOut = true;
      return this.#space();
    }
    if (char === "_" || char === "]") {
      this.#held = char;
      return;
    }
    if (DROPPED.has(char) || PICTURE.test(char)) return;
    this.#emit(char);
  }

  /** Decides about a held character by the one after it; true when that one is used up too. */
  #release(next: string): boolean {
    const held = this.#held;
    this.#held = "";
    if (held === "]" && next === "(") {
      this.#mode = "linkAddress";
      this.#addressChars = 0;
      return true;
    }
    // john_doe keeps it, _emphasis_ loses it.
    if (held === "_" && WORD_CHAR.test(next) && !this.#pendingSpace && WORD_CHAR.test(this.#tail.slice(-1))) {
      this.#emit("_");
    }
    return false;
  }

  #skipAddress(char: string): void {
    this.#addressChars += 1;
    if (char === ")" || char === "\n" || this.#addressChars > LINK_ADDRESS_CHARS_MAX) this.#mode = "text";
    if (char === "\n") this.#endLine();
  }

  #space(): void {
    if (this.#tail !== "") this.#pendingSpace = true;
  }

  #emit(char: string): void {
    if (this.#breakPending && !CLOSED_LINE.test(this.#tail)) this.#append(".");
    this.#breakPending = false;
    this.#wordIsOut = false;
    this.#newlines = 0;
    if (this.#pendingSpace) this.#append(" ");
    this.#pendingSpace = false;
    this.#append(char);
  }

  #append(char: string): void {
    this.#out += char;
    this.#tail = (this.#tail + char).slice(-4);
  }

  #flush(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }
}
