/**
 * What the caller has said and nobody has answered yet, put together from the recogniser's pieces.
 *
 * Times are milliseconds of audio since the leg's first byte: the recogniser's own, and those of the voice
 * activity, so that "said after this point" has one meaning.
 *
 * Invariants
 * L1 a word is taken by one turn: what `take()` returned never comes back, also when its final comes late.
 * L2 an interim replaces the interim before it; a final closes its range.
 * L3 what was told to another owner of the call is there until a turn takes it: nothing corrects or drops it.
 */
import type { SttTranscript, SttWord } from "#actors/providers";
import { MAX_TURN_CHARS } from "./limits.js";

export class Listener {
  /** When the last transcript came that changed the text. */
  changedAtMs: number | null = null;
  interimAtMs: number | null = null;
  finalAtMs: number | null = null;
  /** When the transcripts of the turn taken last came; null when it had none of the kind. */
  takenInterimAtMs: number | null = null;
  takenFinalAtMs: number | null = null;
  /** The recogniser itself believes the caller paused after what it has told. */
  endOfSpeech = false;
  /** Changes whenever what is held does. */
  version = 0;

  readonly #finals: SttWord[] = [];
  #interim: readonly SttWord[] = [];
  #takenThroughMs = 0;
  #decidedThroughMs = 0;
  /** L3. Before all words of ours. */
  #former = "";
  /** All words and their text, put together when first asked for after a change: it is asked for each frame. */
  #all: readonly SttWord[] | null = null;
  #text: string | null = null;

  /**
   * Another owner's: what was said and not taken, and how much of the audio that comes is told by this or by turns. Before
   * anything is heard.
   */
  takeUp(said: string, toldMs: number, atMs: number): void {
    this.#former = said;
    this.#takenThroughMs = toldMs;
    this.#changed();
    if (said !== "") this.changedAtMs = atMs;
  }

  onInterim(transcript: SttTranscript, atMs: number): void {
    this.#changed();
    this.#interim = this.#fresh(transcript);
    if (this.#interim.length === 0) return;
    this.interimAtMs = atMs;
    this.changedAtMs = atMs;
    this.endOfSpeech = false;
  }

  onFinal(transcript: SttTranscript, endOfSpeech: boolean, atMs: number): void {
    this.#changed();
    this.#interim = [];
    this.#decidedThroughMs = Math.max(this.#decidedThroughMs, transcript.endMs);
    const words = this.#fresh(transcript);
    this.#finals.push(...words);
    this.#bound();
    this.endOfSpeech = endOfSpeech;
    if (words.length === 0) return;
    this.finalAtMs = atMs;
    this.changedAtMs = atMs;
  }

  get isEmpty(): boolean {
    return !this.hasWords && this.#former === "";
  }

  /** Of our own hearing. */
  get hasWords(): boolean {
    return this.#finals.length > 0 || this.#interim.length > 0;
  }

  /** Nothing of it is interim. */
  get isFinal(): boolean {
    return this.#interim.length === 0;
  }

  /** Everything said and not taken. */
  get text(): string {
    return (this.#text ??= this.#former === "" ? join(this.#words()) : this.textOf(this.#words()));
  }

  /** What another owner was told, then these words. */
  textOf(words: readonly SttWord[]): string {
    return [this.#former, join(words)].filter(Boolean).join(" ");
  }

  /** End of the last word known, taken or not. */
  get throughMs(): number {
    return Math.max(this.#words().at(-1)?.endMs ?? 0, this.#takenThroughMs);
  }

  /** So far the recogniser has told what was said, or that it was no word. */
  get knownThroughMs(): number {
    return Math.max(this.throughMs, this.#decidedThroughMs);
  }

  /** Middle of the first word known; infinite when there is none. */
  get fromMs(): number {
    const first = this.#words()[0];
    return first === undefined ? Number.POSITIVE_INFINITY : middle(first);
  }

  /** Words that began (by their middle) after `positionMs`. */
  wordsAfter(positionMs: number): SttWord[] {
    return this.#words().filter((word) => middle(word) > positionMs);
  }

  /** Words that began (by their middle) at this position or before it. */
  wordsUntil(positionMs: number): SttWord[] {
    return this.#words().filter((word) => middle(word) <= positionMs);
  }

  /** Takes everything for a turn (L1). */
  take(): string {
    const text = this.text;
    this.takenInterimAtMs = this.interimAtMs;
    this.takenFinalAtMs = this.finalAtMs;
    this.#former = "";
    this.forget();
    return text;
  }

  /** Drops this word and all before it: our own echo, before the caller's words. They never come back (L1). */
  forgetThrough(last: SttWord): void {
    const isLater = (word: SttWord): boolean => middle(word) > middle(last);
    const finals = this.#finals.filter(isLater);
    const interim = this.#interim.filter(isLater);
    const next = finals[0] ?? interim[0];
    if (next === undefined) return this.forget();
    // As far as it can be without the next: a final may place a word a little later than its interim did.
    this.#takenThroughMs = Math.max(this.#takenThroughMs, Math.min(last.endMs, middle(next) - 1));
    this.#finals.splice(0, this.#finals.length, ...finals);
    this.#interim = interim;
    this.#changed();
  }

  /**
   * Drops what began after this position, a backchannel or our own echo: it never comes back (L1). What came before it is
   * still to be answered, and no final may correct it any more.
   */
  forgetAfter(positionMs: number): void {
    const kept = this.wordsUntil(positionMs);
    if (kept.length === 0) return this.forget();
    this.#takenThroughMs = this.throughMs;
    this.#finals.splice(0, this.#finals.length, ...kept);
    this.#interim = [];
    this.#changed();
  }

  /** Drops everything known now. */
  forget(): void {
    this.#takenThroughMs = Math.max(this.#takenThroughMs, this.throughMs);
    this.#changed();
    this.#finals.length = 0;
    this.#interim = [];
    this.interimAtMs = null;
    this.finalAtMs = null;
    this.endOfSpeech = false;
  }

  #words(): readonly SttWord[] {
    if (this.#interim.length === 0) return this.#finals;
    return (this.#all ??= [...this.#finals, ...this.#interim]);
  }

  #changed(): void {
    this.version += 1;
    this.#all = null;
    this.#text = null;
  }

  /** The words of a transcript that no turn has taken. */
  #fresh(transcript: SttTranscript): SttWord[] {
    return timedWords(transcript).filter((word) => middle(word) > this.#takenThroughMs);
  }

  #bound(): void {
    let chars = 0;
    for (let index = this.#finals.length - 1; index >= 0; index -= 1) {
      chars += this.#finals[index]!.word.length + 1;
      if (chars <= MAX_TURN_CHARS) continue;
      this.#finals.splice(0, index + 1);
      return;
    }
  }
}

/** A recogniser that gives no word times gets them spread evenly. */
function timedWords({ words, text, startMs, endMs }: SttTranscript): readonly SttWord[] {
  if (words.length > 0 || text.trim() === "") return words;
  const parts = text.trim().split(/\s+/);
  const stepMs = (endMs - startMs) / parts.length;
  return parts.map((word, index) => ({
    word,
    startMs: startMs + index * stepMs,
    endMs: startMs + (index + 1) * stepMs,
  }));
}

function middle(word: SttWord): number {
  return (word.startMs + word.endMs) / 2;
}

function join(words: readonly SttWord[]): string {
  return words.map(({ word }) => word).join(" ");
}
