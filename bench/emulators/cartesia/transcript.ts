/**
 * The text of one context that was sent and is not yet spoken. Pieces are concatenated verbatim, so a word
 * may come in two of them: the last word waits until something shows that it is whole.
 */
export class Transcript {
  #text = "";

  get empty(): boolean {
    return this.#text.trim() === "";
  }

  add(piece: string): void {
    this.#text += piece;
  }

  /** Everything, partial or not: the text is finished or was flushed. */
  takeAll(): string {
    return this.#take(this.#text.length);
  }

  /** Every whole word. */
  takeWords(): string {
    // After a letter, punctuation at the end closes the word; after a digit it may be half a number.
    if (/\p{L}[.,;:!?…]["')\]]?$/u.test(this.#text)) return this.takeAll();
    return this.#take(this.#text.search(/\S*$/));
  }

  /** Every whole sentence. */
  takeSentences(): string {
    const match = /^[\s\S]*[.!?…]["')\]]?(?=\s|$)/.exec(this.#text);
    return match === null ? "" : this.#take(match[0].length);
  }

  #take(length: number): string {
    const taken = this.#text.slice(0, length);
    if (taken.trim() === "") return "";
    this.#text = this.#text.slice(length);
    return taken;
  }
}
