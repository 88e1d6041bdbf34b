/**
 * One context: text is buffered until it is flushed or long enough, spoken in order, and the context ends
 * with one `isFinal`.
 *
 * E1: text that was neither flushed nor long enough when the context is closed is never spoken; what was, is.
 * E2: a context into which nothing comes for the inactivity time-out is closed.
 */
import { IdleWatch } from "../idle-watch.js";
import type { EmulatorSettings } from "../options.js";
import { SpeechQueue, type SpokenChunk, callIdOfContext } from "../speech-queue.js";
import type { OutputFormat } from "../audio-output.js";
import type { ElevenLabsContextFault } from "./faults.js";
import { alignmentOf, errorFrame } from "./messages.js";

/** Characters after which buffered text is spoken without a flush: the first of the vendor's default schedule. */
const CHUNK_LENGTH_CHARS = 120;

export interface ContextOptions {
  readonly contextId: string;
  readonly format: OutputFormat;
  /** Alignments with every chunk of audio. */
  readonly aligned: boolean;
  readonly inactivityMs: number;
  readonly faults: readonly ElevenLabsContextFault[];
}

export interface ContextEvents {
  send(message: object): void;
  /** Once: the context is over. */
  onEnd(): void;
  dropSocket(): void;
}

export class ElevenLabsContext {
  readonly #options: ContextOptions;
  readonly #events: ContextEvents;
  readonly #speech: SpeechQueue;
  readonly #inactivity: IdleWatch;
  #buffered = "";
  #closing = false;
  #ended = false;

  constructor(options: ContextOptions, settings: EmulatorSettings, events: ContextEvents) {
    this.#options = options;
    this.#events = events;
    const { contextId, format, faults } = options;
    this.#speech = new SpeechQueue(
      { contextId, callId: callIdOfContext(contextId), format, faults },
      settings,
      {
        onChunk: (chunk) => this.#sendChunk(chunk),
        onDrained: () => this.#drained(),
        onFault: (fault) => this.fail(fault.status, fault.message ?? "Generation failed.", fault.errorCode),
        dropSocket: () => events.dropSocket(),
      },
    );
    this.#inactivity = new IdleWatch(settings.clock, options.inactivityMs, () => this.forget()); // E2
  }

  /** `" "` and `""` only say that the context is wanted. */
  push(text: string, flush: boolean): void {
    if (this.#ended || this.#closing) return;
    this.#inactivity.touch();
    this.#buffered += text;
    if (!flush && this.#buffered.length < CHUNK_LENGTH_CHARS) return;
    const spoken = this.#buffered;
    this.#buffered = "";
    this.#speech.speak(spoken);
    this.#speech.schedule();
  }

  /** E1. Closing what is closing stops it. */
  close(): void {
    if (this.#closing) this.#speech.cancel();
    this.#closing = true;
    if (this.#speech.busy) return;
    this.#drained();
  }

  /** As by inactivity. */
  forget(): void {
    this.#speech.cancel();
    this.#closing = true;
    this.#drained();
  }

  fail(status: number, message: string, word?: string): void {
    if (this.#ended) return;
    this.#events.send(errorFrame(status, message, this.#options.contextId, word));
    this.#speech.note("failed");
    this.abandon();
  }

  /** Over without another message. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#inactivity.stop();
    this.#speech.end();
    this.#events.onEnd();
  }

  #sendChunk(chunk: SpokenChunk): void {
    const alignment = this.#options.aligned ? alignmentOf(chunk) : null;
    this.#events.send({
      audio: chunk.bytes.toString("base64"),
      isFinal: null,
      contextId: this.#options.contextId,
      normalizedAlignment: alignment,
      alignment,
    });
  }

  #drained(): void {
    if (!this.#closing || this.#ended) return;
    if (!this.#speech.neverDone) {
      this.#events.send({ isFinal: true, contextId: this.#options.contextId });
      this.#speech.note("done");
    }
    this.abandon();
  }
}
