/**
 * Server-sent events from bytes, as they arrive: whatever the cut between chunks, in the middle of a
 * UTF-8 sequence or of a line end. Comments and fields we have no use for are left out.
 *
 * Ours rather than the SDK's: that one runs three generators per event, hides whether `[DONE]` came, and
 * prints what the model said when it cannot parse it.
 *
 * E1  At most EVENT_MAX_CHARS are held for an event that is not complete.
 * E2  After `stop()`, also from inside a callback, no event follows.
 */
import { StringDecoder } from "node:string_decoder";

/** A chunk of a completion is under 1 KB, a whole tool call in one event some 10 KB. */
export const EVENT_MAX_CHARS = 256 * 1024;

export interface SseSink {
  /** `name` is "" for an event without one. */
  onSseEvent(name: string, data: string): void;
  /** E1. */
  onSseOverflow(): void;
}

export class SseParser {
  readonly #sink: SseSink;
  readonly #decoder = new StringDecoder("utf8");
  /** Text whose line end has not come. */
  #rest = "";
  #name = "";
  #data = "";
  #hasData = false;
  #stopped = false;

  constructor(sink: SseSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    const decoded = this.#decoder.write(chunk);
    const text = this.#rest === "" ? decoded : this.#rest + decoded;
    let lineStart = 0;
    for (let lineEnd = text.indexOf("\n"); lineEnd >= 0; lineEnd = text.indexOf("\n", lineStart)) {
      const end = lineEnd > lineStart && text.charCodeAt(lineEnd - 1) === 13 ? lineEnd - 1 : lineEnd;
      this.#line(text, lineStart, end);
      if (this.#stopped) return; // E2
      lineStart = lineEnd + 1;
    }
    this.#rest = lineStart === 0 ? text : text.slice(lineStart);
    if (this.#rest.length + this.#data.length <= EVENT_MAX_CHARS) return;
    this.stop();
    this.#sink.onSseOverflow();
  }

  stop(): void {
    this.#stopped = true;
    this.#rest = "";
    this.#data = "";
  }

  #line(text: string, start: number, end: number): void {
    if (start === end) {
      this.#dispatch();
      return;
    }
    if (text.startsWith("data:", start)) {
      const value = valueAfter(text, start + 5, end);
      this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
      this.#hasData = true;
    } else if (text.startsWith("event:", start)) this.#name = valueAfter(text, start + 6, end);
  }

  #dispatch(): void {
    const name = this.#name;
    const data = this.#data;
    const hasData = this.#hasData;
    this.#name = "";
    this.#data = "";
    this.#hasData = false;
    if (hasData) this.#sink.onSseEvent(name, data);
  }
}

/** One space after the colon belongs to the framing. */
function valueAfter(text: string, start: number, end: number): string {
  return text.slice(text.charCodeAt(start) === 32 && start < end ? start + 1 : start, end);
}
