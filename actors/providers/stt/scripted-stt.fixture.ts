/** A recogniser whose every event a test decides, on virtual time: what the wire cannot be made to do. */
import type { LumentraError } from "#runtime/errors";
import type { SttEvents, SttProvider, SttRequest, SttStream, SttWord } from "./provider.js";

export class ScriptedStream implements SttStream {
  readonly request: SttRequest;
  readonly events: SttEvents;
  readonly calls: string[] = [];
  readonly audio: Buffer[] = [];
  writtenMs = 0;
  isOpen = true;

  constructor(request: SttRequest, events: SttEvents) {
    this.request = request;
    this.events = events;
  }

  write(audio: Uint8Array): void {
    this.audio.push(Buffer.from(audio));
    this.writtenMs += audio.length / 8;
  }

  flush(): void {
    this.calls.push("flush");
  }

  nudge(): void {
    this.calls.push("nudge");
  }

  finalize(): void {
    this.calls.push("finalize");
  }

  close(): void {
    this.isOpen = false;
  }

  fail(error: LumentraError): void {
    this.isOpen = false;
    this.events.onError(error);
  }

  final(words: readonly SttWord[], startMs: number, endMs: number, endOfSpeech = false): void {
    this.events.onFinal({ text: textOf(words), words, startMs, endMs }, endOfSpeech);
  }

  interim(words: readonly SttWord[], startMs: number, endMs: number): void {
    this.events.onInterim({ text: textOf(words), words, startMs, endMs });
  }
}

export class ScriptedStt implements SttProvider {
  readonly name: string;
  readonly streams: ScriptedStream[] = [];
  readonly #onOpen: (stream: ScriptedStream) => void;

  constructor(name: string, onOpen: (stream: ScriptedStream) => void = () => undefined) {
    this.name = name;
    this.#onOpen = onOpen;
  }

  get last(): ScriptedStream {
    return this.streams.at(-1)!;
  }

  open(request: SttRequest, events: SttEvents): SttStream {
    const stream = new ScriptedStream(request, events);
    this.streams.push(stream);
    this.#onOpen(stream);
    return stream;
  }

  warm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function textOf(words: readonly SttWord[]): string {
  return words.map(({ word }) => word).join(" ");
}
