/**
 * ElevenLabs' messages on a multi-context socket: the lines of one context, and what we read out of theirs.
 *
 * Text goes out by whole words with `flush`, so that it is spoken at once: its own schedule waits for 120
 * characters. A word that may go on in the next piece is held back until it is whole.
 */
import { type Failure, type FailureReason, reasonOfStatus } from "../failures.js";
import type { ContextMessage, ContextReader, ContextScript } from "./context-dialect.js";
import type { TtsWord } from "./provider.js";

/** Words of theirs that tell more than the status or close code beside them. */
const REASONS: Readonly<Record<string, FailureReason>> = {
  invalid_api_key: "UNAUTHORIZED",
  missing_permissions: "UNAUTHORIZED",
  // The account's characters are used up: another attempt will not do better than with a bad key.
  quota_exceeded: "UNAUTHORIZED",
  rate_limit_exceeded: "RATE_LIMITED",
  too_many_concurrent_requests: "RATE_LIMITED",
  system_busy: "RATE_LIMITED",
};
/** No text came for the inactivity time-out. */
const INPUT_TIMEOUT = "input_timeout_exceeded";
const POLICY_VIOLATION = 1008;

/** Of an error frame, with or without a context. Their schema is not published; all seen forms are read. */
export function failureOf(message: ContextMessage): Failure {
  const text = (name: string) => (typeof message[name] === "string" ? message[name] : "");
  const code = typeof message["code"] === "number" ? message["code"] : 0;
  const providerCode = text("error") || text("code");
  const status = code >= 400 && code < 600 ? { status: code } : {};
  const closeCode = code >= 1000 ? { closeCode: code } : {};
  return {
    reason: REASONS[providerCode] ?? reasonOfCode(code),
    what: `gave up a reply (${code || providerCode})`,
    detail: { ...status, ...closeCode, providerCode, providerMessage: text("message") || text("error") },
  };
}

function reasonOfCode(code: number): FailureReason {
  if (code === POLICY_VIOLATION) return "REJECTED";
  // 5xx while speaking is not a failure to connect.
  return code >= 400 && code < 500 ? reasonOfStatus(code) : "STREAM_BROKEN";
}

export function isError(message: ContextMessage): boolean {
  return typeof message["error"] === "string";
}

/** The lines of one context. */
export class ElevenLabsScript implements ContextScript {
  readonly opening: string;
  readonly #contextId: string;
  readonly #words = new AlignedWords();
  #heldText = "";

  constructor(contextId: string) {
    this.#contextId = JSON.stringify(contextId);
    // Its settings come with a context's first message or never; the voice's own are the right ones.
    this.opening = `{"text":" ","context_id":${this.#contextId}}`;
  }

  get heldText(): string {
    return this.#heldText;
  }

  text(text: string): string | null {
    const all = this.#heldText + text;
    const end = wholeWordsEnd(all);
    this.#heldText = all.slice(end);
    return end === 0 ? null : this.#line(all.slice(0, end), ',"flush":true');
  }

  /**
   * In two messages: what closes a context has its text ignored, while what was flushed before is spoken to
   * its end. The held text is kept: a context that turns out forgotten has not spoken it.
   */
  finish(): readonly string[] {
    const held = this.#heldText.trim() === "" ? [] : [this.#line(this.#heldText, ',"flush":true')];
    return [...held, this.cancel()];
  }

  cancel(): string {
    return `{"context_id":${this.#contextId},"close_context":true}`;
  }

  keepAlive(): string {
    return `{"text":"","context_id":${this.#contextId}}`;
  }

  read(message: ContextMessage, reader: ContextReader): void {
    if (isError(message)) {
      reader.onContextError(failureOf(message), message["error"] === INPUT_TIMEOUT);
      return;
    }
    const { audio, alignment } = message;
    // Times count from the chunk they come with.
    const chunkStartMs = reader.contextAudioMs;
    if (audio !== undefined && audio !== null && audio !== "") reader.onChunk(audio);
    const spoken = this.#words.add(alignment, chunkStartMs);
    if (spoken.length > 0) reader.onContextWords(spoken);
    if (!isFinal(message)) return;
    const last = this.#words.end();
    if (last.length > 0) reader.onContextWords(last);
    reader.onContextDone();
  }

  #line(text: string, more: string): string {
    // "Text should end with a space."
    const spaced = text === "" || /\s$/.test(text) ? text : `${text} `;
    return `{"text":${JSON.stringify(spaced)},"context_id":${this.#contextId}${more}}`;
  }
}

export function isFinal(message: ContextMessage): boolean {
  return message["isFinal"] === true || message["is_final"] === true;
}

/** Where the last word of the text that is surely whole ends. */
function wholeWordsEnd(text: string): number {
  // After a letter, punctuation at the end closes the word; after a digit it may be half a number.
  if (/\p{L}[.,;:!?…]["'”’)\]]?$/u.test(text)) return text.length;
  const end = text.search(/\S*$/);
  return text.slice(0, end).trim() === "" ? 0 : end;
}

/** Words out of the times of characters; a word may begin in one chunk and end in another. */
class AlignedWords {
  #word = "";
  #startMs = 0;
  #endMs = 0;

  /** The words that end in this alignment, whose times count from `fromMs`. What is malformed is left out. */
  add(alignment: unknown, fromMs: number): readonly TtsWord[] {
    const { chars, charStartTimesMs, charDurationsMs, charsDurationsMs } = (alignment ??
      {}) as ContextMessage;
    const durations = charDurationsMs ?? charsDurationsMs;
    if (!Array.isArray(chars) || !Array.isArray(charStartTimesMs) || !Array.isArray(durations)) return [];
    const spoken: TtsWord[] = [];
    for (const [index, char] of (chars as readonly unknown[]).entries()) {
      const startMs = fromMs + Number(charStartTimesMs[index]);
      const endMs = startMs + Number(durations[index]);
      if (typeof char !== "string" || !(endMs >= startMs)) continue;
      if (char.trim() === "") spoken.push(...this.end());
      else this.#extend(char, startMs, endMs);
    }
    return spoken;
  }

  /** The word so far, if there is one: nothing follows it. */
  end(): readonly TtsWord[] {
    if (this.#word === "") return [];
    const word: TtsWord = { word: this.#word, startMs: this.#startMs, endMs: this.#endMs };
    this.#word = "";
    return [word];
  }

  #extend(char: string, startMs: number, endMs: number): void {
    if (this.#word === "") this.#startMs = startMs;
    this.#word += char;
    this.#endMs = endMs;
  }
}
