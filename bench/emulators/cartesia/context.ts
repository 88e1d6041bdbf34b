/**
 * One context: text in, audio out, in order, at its pace.
 *
 * Text waits in a Transcript until it may be spoken (whole words at once with `max_buffer_delay_ms` 0,
 * sentences or the delay otherwise), becomes a piece of a SpeechQueue, and leaves in chunks.
 *
 * C2: `done` is sent once, after everything; or `error` is, and then nothing else.
 * C3: a context without anything to say expires a second after its last audio left.
 */
import type { TimerHandle } from "#runtime/actor";
import type { EmulatorSettings } from "../options.js";
import {
  CHUNK_MS,
  type SpokenChunk,
  type SpokenPiece,
  SpeechQueue,
  callIdOfContext,
} from "../speech-queue.js";
import type { CartesiaContextFault } from "./faults.js";
import { errorMessage } from "./messages.js";
import type { OutputFormat } from "./request.js";
import { Transcript } from "./transcript.js";

/** As the vendor's docs say; see C3. */
const CONTEXT_EXPIRY_MS = 1_000;
/** The vendor's default. */
export const BUFFER_DELAY_DEFAULT_MS = 3_000;

export interface ContextOptions {
  readonly contextId: string;
  readonly format: OutputFormat;
  readonly timestamps: boolean;
  readonly phonemeTimestamps: boolean;
  readonly bufferDelayMs: number;
  readonly faults: readonly CartesiaContextFault[];
}

export interface ContextEvents {
  /** A response message, complete. */
  send(message: object): void;
  /** A chunk's bytes, just before its message is sent. */
  onAudio?(bytes: Buffer): void;
  /** Once: the context is over. */
  onEnd(how: "done" | "error" | "cancelled" | "expired"): void;
  dropSocket(): void;
}

export class TtsContext {
  readonly #options: ContextOptions;
  readonly #settings: EmulatorSettings;
  readonly #events: ContextEvents;
  readonly #transcript = new Transcript();
  readonly #speech: SpeechQueue;
  #flushCount = 0;
  #finished = false;
  #ended = false;
  #bufferTimer: TimerHandle | null = null;
  #expiryTimer: TimerHandle | null = null;

  constructor(options: ContextOptions, settings: EmulatorSettings, events: ContextEvents) {
    this.#options = options;
    this.#settings = settings;
    this.#events = events;
    const { contextId, format, faults } = options;
    this.#speech = new SpeechQueue(
      { contextId, callId: callIdOfContext(contextId), format, faults },
      settings,
      {
        onChunk: (chunk) => this.#sendChunk(chunk),
        onDrained: () => this.#nothingLeft(),
        onFault: (fault) =>
          this.fail(fault.status, fault.message ?? "Generation failed.", fault.errorCode ?? "internal_error"),
        dropSocket: () => events.dropSocket(),
      },
    );
  }

  get contextId(): string {
    return this.#options.contextId;
  }

  /** `more`: text follows. */
  push(text: string, more: boolean, flush: boolean): void {
    if (this.#ended) return;
    this.#expiryTimer?.cancel();
    this.#transcript.add(text);
    if (!more) this.#finished = true;
    if (!more || flush) this.#speak(this.#transcript.takeAll(), flush);
    else if (this.#options.bufferDelayMs === 0) this.#speak(this.#transcript.takeWords(), false);
    else this.#speakBuffered();
    this.#speech.schedule();
  }

  /** Stops at once; with the fault, only what has not begun. */
  cancel(): void {
    if (this.#ended) return;
    this.#finished = true;
    this.#transcript.takeAll();
    if (this.#speech.cancel()) return;
    this.#events.send({ ...this.#envelope("done", 200), done: true });
    this.#end("cancelled");
  }

  /** The socket is gone. */
  abandon(): void {
    this.#end("cancelled");
  }

  fail(status: number, message: string, errorCode: string, title = "Error"): void {
    if (this.#ended) return;
    this.#events.send(errorMessage(status, message, errorCode, this.contextId, title));
    this.#speech.note("failed");
    this.#end("error");
  }

  /** Sentences at once; what is left when the delay is over. */
  #speakBuffered(): void {
    this.#speak(this.#transcript.takeSentences(), false);
    if (this.#transcript.empty) this.#bufferTimer?.cancel();
    if (this.#transcript.empty || this.#bufferTimer !== null) return;
    this.#bufferTimer = this.#settings.clock.setTimer(this.#options.bufferDelayMs, () => {
      this.#bufferTimer = null;
      this.#speak(this.#transcript.takeWords(), false);
      this.#speech.schedule();
    });
  }

  #speak(text: string, flush: boolean): void {
    if (flush) this.#flushCount += 1;
    // A flush is answered even when there was nothing to say.
    this.#speech.speak(text, flush ? this.#flushCount : -(this.#flushCount + 1), flush);
  }

  /** A piece's tag is its flush, negative when it does not complete it. */
  #sendChunk({ bytes, piece, begins, ends }: SpokenChunk): void {
    if (bytes.length > 0) {
      this.#events.onAudio?.(bytes);
      this.#events.send({
        ...this.#envelope("chunk", 206),
        done: false,
        data: bytes.toString("base64"),
        step_time: Math.round((CHUNK_MS / this.#settings.rates.ttsRealtimeFactor) * 100) / 100,
        flush_id: Math.abs(piece.tag),
      });
    }
    if (begins && piece.words.length > 0) this.#sendTimestamps(piece);
    if (!ends || piece.tag < 0) return;
    this.#events.send({
      ...this.#envelope("flush_done", 206),
      done: false,
      flush_done: true,
      flush_id: piece.tag,
    });
  }

  #sendTimestamps(piece: SpokenPiece): void {
    const start = piece.words.map((word) => (piece.startMs + word.startMs) / 1000);
    const end = piece.words.map((word) => (piece.startMs + word.endMs) / 1000);
    if (this.#options.timestamps) {
      const words = piece.words.map(({ word }) => word);
      this.#events.send({
        ...this.#envelope("timestamps", 206),
        done: false,
        word_timestamps: { words, start, end },
      });
    }
    if (this.#options.phonemeTimestamps) {
      // One phoneme a word: the emulated voice has no others.
      const phonemes = piece.words.map(({ word }) => word[0]!.toLowerCase());
      this.#events.send({
        ...this.#envelope("phoneme_timestamps", 206),
        done: false,
        phoneme_timestamps: { phonemes, start, end },
      });
    }
  }

  #nothingLeft(): void {
    if (this.#finished) {
      if (this.#speech.neverDone) return;
      this.#events.send({ ...this.#envelope("done", 200), done: true }); // C2
      this.#speech.note("done");
      this.#end("done");
    } else if (this.#speech.chunkCount > 0 && this.#transcript.empty) {
      this.#expiryTimer = this.#settings.clock.setTimer(CONTEXT_EXPIRY_MS, () => this.#end("expired")); // C3
    }
  }

  #end(how: "done" | "error" | "cancelled" | "expired"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#speech.end();
    this.#bufferTimer?.cancel();
    this.#expiryTimer?.cancel();
    this.#events.onEnd(how);
  }

  #envelope(type: string, status: number): object {
    return { type, context_id: this.contextId, status_code: status };
  }
}
