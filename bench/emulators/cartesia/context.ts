/**
 * One context: text in, audio out, in order, at its pace.
 *
 * Text waits in a Transcript until it may be spoken (whole words at once with `max_buffer_delay_ms` 0,
 * sentences or the delay otherwise), becomes a generation, and leaves in chunks.
 *
 * C1: the first chunk of a generation leaves a drawn delay after its text came, later ones a chunk's length
 *     divided by the real-time factor apart; generations never overtake each other.
 * C2: `done` is sent once, after everything; or `error` is, and then nothing else.
 * C3: a context without anything to say expires a second after its last audio left.
 */
import type { TimerHandle } from "#runtime/actor";
import { drawMs } from "../distribution.js";
import { faultOf } from "../faults.js";
import type { TtsContextEntry } from "../log.js";
import type { EmulatorSettings } from "../options.js";
import { BYTES_PER_SAMPLE, encodeSpeech } from "./audio-output.js";
import type { CartesiaContextFault } from "./faults.js";
import { callIdOfContext, errorMessage } from "./messages.js";
import type { OutputFormat } from "./request.js";
import { Transcript } from "./transcript.js";

/** A chunk's audio. */
export const CHUNK_MS = 100;
/** As the vendor's docs say; see C3. */
export const CONTEXT_EXPIRY_MS = 1_000;
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

interface Generation {
  readonly audio: Buffer;
  readonly flushId: number;
  readonly readyAtMs: number;
  readonly words: readonly { word: string; startMs: number; endMs: number }[];
  /** Its place in the context's audio. */
  readonly startMs: number;
  /** The flush this generation completes, or 0. */
  readonly completesFlush: number;
  sentBytes: number;
}

export class TtsContext {
  readonly #options: ContextOptions;
  readonly #settings: EmulatorSettings;
  readonly #events: ContextEvents;
  readonly #transcript = new Transcript();
  readonly #queue: Generation[] = [];
  readonly #bytesPerMs: number;
  #entry: (TtsContextEntry & { readonly seq: number }) | null = null;
  #audioMs = 0;
  #flushCount = 0;
  #finished = false;
  #ended = false;
  #stalled = false;
  /** The armed stall was served. */
  #stallServed = false;
  #chunkCount = 0;
  #nextChunkAtMs = 0;
  #chunkTimer: TimerHandle | null = null;
  #bufferTimer: TimerHandle | null = null;
  #expiryTimer: TimerHandle | null = null;

  constructor(options: ContextOptions, settings: EmulatorSettings, events: ContextEvents) {
    this.#options = options;
    this.#settings = settings;
    this.#events = events;
    this.#bytesPerMs = (options.format.sample_rate / 1000) * BYTES_PER_SAMPLE[options.format.encoding];
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
    this.#schedule();
  }

  /** Stops at once; with the fault, only what has not begun. */
  cancel(): void {
    if (this.#ended) return;
    if (this.#entry !== null) {
      this.#entry.cancelledAtMs = this.#settings.clock.nowMs();
      this.#settings.log.changed(this.#entry, "cancelled");
    }
    this.#finished = true;
    this.#transcript.takeAll();
    const lingers = faultOf(this.#options.faults, "chunksAfterCancel") !== undefined;
    this.#queue.length = lingers ? Math.min(1, this.#queue.length) : 0;
    if (this.#queue.length === 0) {
      this.#events.send({ ...this.#envelope("done", 200), done: true });
      this.#end("cancelled");
    }
  }

  /** The socket is gone. */
  abandon(): void {
    this.#end("cancelled");
  }

  fail(status: number, message: string, errorCode: string, title = "Error"): void {
    if (this.#ended) return;
    this.#events.send(errorMessage(status, message, errorCode, this.contextId, title));
    if (this.#entry !== null) this.#settings.log.changed(this.#entry, "failed");
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
      this.#schedule();
    });
  }

  #speak(text: string, flush: boolean): void {
    const { voice, clock, random, latency } = this.#settings;
    // Taken before: what a voice takes to speak is part of the drawn delay, not on top of it.
    const nowMs = clock.nowMs();
    const speech = voice.synthesize(text);
    if (flush) this.#flushCount += 1;
    const flushId = flush ? this.#flushCount : this.#flushCount + 1;
    if (speech.samples.length === 0 && !flush) return;
    const first = this.#entry === null;
    const fault = first ? faultOf(this.#options.faults, "firstAudio") : undefined;
    const delayMs = fault?.delayMs ?? drawMs(latency.ttsFirstAudioMs, random);
    this.#noteText(text, delayMs, nowMs);
    this.#queue.push({
      audio: encodeSpeech(speech.samples, this.#options.format),
      flushId,
      readyAtMs: nowMs + delayMs,
      words: speech.words,
      startMs: this.#audioMs,
      completesFlush: flush ? flushId : 0,
      sentBytes: 0,
    });
    this.#audioMs += speech.samples.length / 8;
  }

  #noteText(text: string, delayMs: number, nowMs: number): void {
    if (text === "") return;
    this.#entry ??= this.#settings.log.add({
      kind: "tts" as const,
      callId: callIdOfContext(this.contextId),
      contextId: this.contextId,
      firstTextAtMs: nowMs,
      plannedMs: delayMs,
      firstAudioSentAtMs: null,
      lastAudioSentAtMs: null,
      doneAtMs: null,
      cancelledAtMs: null,
      text: "",
      audioMs: 0,
    });
    this.#entry.text += text;
  }

  /** Sets the timer for the next chunk, or ends the context when there is none. */
  #schedule(): void {
    if (this.#ended || this.#chunkTimer !== null || this.#stalled) return;
    const generation = this.#queue[0];
    if (generation === undefined) {
      this.#nothingLeft();
      return;
    }
    const { clock } = this.#settings;
    const delayMs = Math.max(generation.readyAtMs, this.#nextChunkAtMs) - clock.nowMs(); // C1
    this.#chunkTimer = clock.setTimer(Math.max(0, delayMs), () => {
      this.#chunkTimer = null;
      this.#sendDue();
      this.#schedule();
    });
  }

  /** Every chunk whose instant has come. */
  #sendDue(): void {
    const nowMs = this.#settings.clock.nowMs();
    while (!this.#ended && !this.#stalled) {
      const generation = this.#queue[0];
      if (generation === undefined) return;
      const dueAtMs = Math.max(generation.readyAtMs, this.#nextChunkAtMs);
      if (dueAtMs > nowMs || this.#befallen()) return;
      this.#sendChunk(generation, nowMs);
      this.#nextChunkAtMs = dueAtMs + CHUNK_MS / this.#settings.rates.ttsRealtimeFactor;
    }
  }

  #sendChunk(generation: Generation, nowMs: number): void {
    const begins = generation.sentBytes === 0;
    let end = Math.min(generation.audio.length, generation.sentBytes + CHUNK_MS * this.#bytesPerMs);
    // Half a sample now, the other half with the next chunk.
    if (faultOf(this.#options.faults, "oddBytes") !== undefined && end < generation.audio.length) {
      end -= 1 - ((end - generation.sentBytes) % 2);
    }
    const bytes = generation.audio.subarray(generation.sentBytes, end);
    generation.sentBytes = end;
    if (generation.sentBytes >= generation.audio.length) this.#queue.shift();
    if (bytes.length > 0) this.#sendAudio(bytes, generation, nowMs);
    if (begins && generation.words.length > 0) this.#sendTimestamps(generation);
    if (generation.sentBytes >= generation.audio.length && generation.completesFlush > 0) {
      const flushId = generation.completesFlush;
      this.#events.send({
        ...this.#envelope("flush_done", 206),
        done: false,
        flush_done: true,
        flush_id: flushId,
      });
    }
  }

  #sendAudio(bytes: Buffer, generation: Generation, nowMs: number): void {
    this.#chunkCount += 1;
    this.#events.onAudio?.(bytes);
    this.#events.send({
      ...this.#envelope("chunk", 206),
      done: false,
      data: bytes.toString("base64"),
      step_time: Math.round((CHUNK_MS / this.#settings.rates.ttsRealtimeFactor) * 100) / 100,
      flush_id: generation.flushId,
    });
    if (this.#entry === null) return;
    this.#entry.audioMs += bytes.length / this.#bytesPerMs;
    this.#entry.lastAudioSentAtMs = nowMs;
    if (this.#entry.firstAudioSentAtMs !== null) return;
    this.#entry.firstAudioSentAtMs = nowMs;
    this.#settings.log.changed(this.#entry, "firstAudio");
  }

  #sendTimestamps(generation: Generation): void {
    const start = generation.words.map((word) => (generation.startMs + word.startMs) / 1000);
    const end = generation.words.map((word) => (generation.startMs + word.endMs) / 1000);
    if (this.#options.timestamps) {
      const words = generation.words.map(({ word }) => word);
      this.#events.send({
        ...this.#envelope("timestamps", 206),
        done: false,
        word_timestamps: { words, start, end },
      });
    }
    if (this.#options.phonemeTimestamps) {
      // One phoneme a word: the emulated voice has no others.
      const phonemes = generation.words.map(({ word }) => word[0]!.toLowerCase());
      this.#events.send({
        ...this.#envelope("phoneme_timestamps", 206),
        done: false,
        phoneme_timestamps: { phonemes, start, end },
      });
    }
  }

  /** Faults that strike between chunks; true when nothing may be sent now. */
  #befallen(): boolean {
    const { faults } = this.#options;
    const error = faultOf(faults, "contextError");
    if (error !== undefined && this.#chunkCount >= (error.afterChunks ?? 0)) {
      this.fail(error.status, error.message ?? "Generation failed.", error.errorCode ?? "internal_error");
      return true;
    }
    const drop = faultOf(faults, "dropSocket");
    if (drop !== undefined && this.#chunkCount >= drop.afterChunks) {
      this.#events.dropSocket();
      return true;
    }
    const stall = faultOf(faults, "stallContext");
    if (stall === undefined || this.#chunkCount !== stall.afterChunks || this.#stallServed) return false;
    this.#stallServed = true;
    this.#stalled = true;
    if (stall.forMs !== undefined) {
      this.#settings.clock.setTimer(stall.forMs, () => {
        this.#stalled = false;
        this.#schedule();
      });
    }
    return true;
  }

  #nothingLeft(): void {
    if (this.#finished) {
      if (faultOf(this.#options.faults, "neverDone") !== undefined) return;
      this.#events.send({ ...this.#envelope("done", 200), done: true }); // C2
      if (this.#entry !== null && this.#entry.cancelledAtMs === null) {
        this.#entry.doneAtMs = this.#settings.clock.nowMs();
        this.#settings.log.changed(this.#entry, "done");
      }
      this.#end("done");
    } else if (this.#chunkCount > 0 && this.#transcript.empty) {
      this.#expiryTimer = this.#settings.clock.setTimer(CONTEXT_EXPIRY_MS, () => this.#end("expired")); // C3
    }
  }

  #end(how: "done" | "error" | "cancelled" | "expired"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue.length = 0;
    this.#chunkTimer?.cancel();
    this.#bufferTimer?.cancel();
    this.#expiryTimer?.cancel();
    this.#events.onEnd(how);
  }

  #envelope(type: string, status: number): object {
    return { type, context_id: this.contextId, status_code: status };
  }
}
