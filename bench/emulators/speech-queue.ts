/**
 * Speech on its way out of an emulated voice, in order and at its pace; what vendors write around it is
 * theirs. One queue is one reply, or one context of it.
 *
 * C1: the first chunk of a piece leaves a drawn delay after its text came, later ones a chunk's length
 *     divided by the real-time factor apart; pieces never overtake each other.
 * C2: `onDrained` is called when nothing is left to send, as often as that happens; after `end()` nothing is
 *     called any more.
 */
import type { TimerHandle } from "#runtime/actor";
import type { SpeechWord } from "#bench/speech";
import { BYTES_PER_SAMPLE, type OutputFormat, encodeSpeech } from "./audio-output.js";
import { drawMs } from "./distribution.js";
import { faultOf } from "./faults.js";
import type { TtsContextEntry } from "./log.js";
import type { EmulatorSettings } from "./options.js";

/** A chunk's audio. */
export const CHUNK_MS = 100;

/** Befalls one reply, whatever the vendor. */
export type SpeechFault =
  /** The first audio comes this long after the first text, whatever was drawn. */
  | { readonly kind: "firstAudio"; readonly delayMs: number }
  /** An error for this one alone, after so many chunks (default 0). */
  | {
      readonly kind: "contextError";
      readonly status: number;
      readonly message?: string;
      readonly errorCode?: string;
      readonly afterChunks?: number;
    }
  /** Chunks end in the middle of a sample. */
  | { readonly kind: "oddBytes" }
  /** A cancel stops only what has not begun: the rest of the running piece still comes. */
  | { readonly kind: "chunksAfterCancel" }
  /** Audio comes, the end never does. */
  | { readonly kind: "neverDone" }
  /** Nothing for `forMs`, or for ever, after so many chunks. */
  | { readonly kind: "stallContext"; readonly afterChunks: number; readonly forMs?: number }
  /** The connection goes after so many chunks. */
  | { readonly kind: "dropSocket"; readonly afterChunks: number };

/** Of a queue, for `when` of an armed fault. */
export interface SpeechInfo {
  readonly contextId: string;
  /** The context id up to its last `.`, `/`, `:` or `#`. */
  readonly callId: string;
  /** Its first text. */
  readonly text: string;
}

export interface SpokenPiece {
  /** As handed to `speak`. */
  readonly tag: number;
  readonly text: string;
  readonly words: readonly SpeechWord[];
  /** Its place in the queue's audio. */
  readonly startMs: number;
  readonly audioMs: number;
}

export interface SpokenChunk {
  /** Empty when the piece has no audio. */
  readonly bytes: Buffer;
  readonly piece: SpokenPiece;
  /** Its place in the piece. */
  readonly startMs: number;
  readonly endMs: number;
  /** It is its piece's first, its last. */
  readonly begins: boolean;
  readonly ends: boolean;
}

export interface SpeechQueueEvents {
  onChunk(chunk: SpokenChunk): void;
  /** Nothing is left to send. */
  onDrained(): void;
  /** The armed error: whoever has the queue says it and ends it. */
  onFault(fault: Extract<SpeechFault, { readonly kind: "contextError" }>): void;
  dropSocket(): void;
}

export interface SpeechQueueOptions {
  readonly contextId: string;
  readonly callId: string;
  readonly format: OutputFormat;
  readonly faults: readonly SpeechFault[];
}

interface Queued extends SpokenPiece {
  readonly audio: Buffer;
  readonly readyAtMs: number;
  sentBytes: number;
}

export class SpeechQueue {
  readonly #options: SpeechQueueOptions;
  readonly #settings: EmulatorSettings;
  readonly #events: SpeechQueueEvents;
  readonly #bytesPerMs: number;
  readonly #queue: Queued[] = [];
  #entry: (TtsContextEntry & { readonly seq: number }) | null = null;
  #audioMs = 0;
  #ended = false;
  #stalled = false;
  /** The armed stall was served. */
  #stallServed = false;
  #chunkTimer: TimerHandle | null = null;
  #nextChunkAtMs = 0;
  chunkCount = 0;

  constructor(options: SpeechQueueOptions, settings: EmulatorSettings, events: SpeechQueueEvents) {
    this.#options = options;
    this.#settings = settings;
    this.#events = events;
    const { encoding, sample_rate } = options.format;
    this.#bytesPerMs = (sample_rate / 1000) * BYTES_PER_SAMPLE[encoding];
  }

  /** Something is still to be sent. */
  get busy(): boolean {
    return this.#queue.length > 0;
  }

  get neverDone(): boolean {
    return faultOf(this.#options.faults, "neverDone") !== undefined;
  }

  /** Nothing is queued for a text without words, unless it is `kept`. */
  speak(text: string, tag = 0, kept = false): void {
    if (this.#ended) return;
    const { voice, clock, random, latency } = this.#settings;
    // Taken before: what a voice takes to speak is part of the drawn delay, not on top of it.
    const nowMs = clock.nowMs();
    const speech = voice.synthesize(text);
    if (speech.samples.length === 0 && !kept) return;
    const first = this.#entry === null;
    const fault = first ? faultOf(this.#options.faults, "firstAudio") : undefined;
    const delayMs = fault?.delayMs ?? drawMs(latency.ttsFirstAudioMs, random);
    this.#noteText(text, delayMs, nowMs);
    const audioMs = speech.samples.length / 8;
    const audio = encodeSpeech(speech.samples, this.#options.format);
    const { words } = speech;
    const readyAtMs = nowMs + delayMs;
    this.#queue.push({ audio, tag, text, words, readyAtMs, startMs: this.#audioMs, audioMs, sentBytes: 0 });
    this.#audioMs += audioMs;
  }

  /** Stops at once; with the fault, only what has not begun. False when nothing more will come. */
  cancel(): boolean {
    if (this.#entry !== null) {
      this.#entry.cancelledAtMs = this.#settings.clock.nowMs();
      this.#settings.log.changed(this.#entry, "cancelled");
    }
    const lingers = faultOf(this.#options.faults, "chunksAfterCancel") !== undefined;
    this.#queue.length = lingers ? Math.min(1, this.#queue.length) : 0;
    return this.busy;
  }

  /** Sets the timer for the next chunk, or says that there is none. */
  schedule(): void {
    if (this.#ended || this.#chunkTimer !== null || this.#stalled) return;
    const piece = this.#queue[0];
    if (piece === undefined) {
      this.#events.onDrained();
      return;
    }
    const { clock } = this.#settings;
    const delayMs = Math.max(piece.readyAtMs, this.#nextChunkAtMs) - clock.nowMs(); // C1
    this.#chunkTimer = clock.setTimer(Math.max(0, delayMs), () => {
      this.#chunkTimer = null;
      this.#sendDue();
      this.schedule();
    });
  }

  /** For the log: the reply was spoken whole, or failed. */
  note(how: "done" | "failed"): void {
    if (this.#entry === null || (how === "done" && this.#entry.cancelledAtMs !== null)) return;
    if (how === "done") this.#entry.doneAtMs = this.#settings.clock.nowMs();
    this.#settings.log.changed(this.#entry, how);
  }

  end(): void {
    this.#ended = true;
    this.#queue.length = 0;
    this.#chunkTimer?.cancel();
  }

  #noteText(text: string, delayMs: number, nowMs: number): void {
    if (text === "") return;
    this.#entry ??= this.#settings.log.add({
      kind: "tts" as const,
      callId: this.#options.callId,
      contextId: this.#options.contextId,
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

  /** Every chunk whose instant has come. */
  #sendDue(): void {
    const nowMs = this.#settings.clock.nowMs();
    while (!this.#ended && !this.#stalled) {
      const piece = this.#queue[0];
      if (piece === undefined) return;
      const dueAtMs = Math.max(piece.readyAtMs, this.#nextChunkAtMs);
      if (dueAtMs > nowMs || this.#befallen()) return;
      this.#sendChunk(piece, nowMs);
      this.#nextChunkAtMs = dueAtMs + CHUNK_MS / this.#settings.rates.ttsRealtimeFactor;
    }
  }

  #sendChunk(piece: Queued, nowMs: number): void {
    const begins = piece.sentBytes === 0;
    let end = Math.min(piece.audio.length, piece.sentBytes + CHUNK_MS * this.#bytesPerMs);
    // Half a sample now, the other half with the next chunk.
    if (faultOf(this.#options.faults, "oddBytes") !== undefined && end < piece.audio.length) {
      end -= 1 - ((end - piece.sentBytes) % 2);
    }
    const bytes = piece.audio.subarray(piece.sentBytes, end);
    const startMs = piece.sentBytes / this.#bytesPerMs;
    piece.sentBytes = end;
    const ends = end >= piece.audio.length;
    if (ends) this.#queue.shift();
    if (bytes.length > 0) this.chunkCount += 1;
    this.#events.onChunk({ bytes, piece, startMs, endMs: end / this.#bytesPerMs, begins, ends });
    if (this.#entry === null || bytes.length === 0) return;
    this.#entry.audioMs += bytes.length / this.#bytesPerMs;
    this.#entry.lastAudioSentAtMs = nowMs;
    if (this.#entry.firstAudioSentAtMs !== null) return;
    this.#entry.firstAudioSentAtMs = nowMs;
    this.#settings.log.changed(this.#entry, "firstAudio");
  }

  /** Faults that strike between chunks; true when nothing may be sent now. */
  #befallen(): boolean {
    const { faults } = this.#options;
    const error = faultOf(faults, "contextError");
    if (error !== undefined && this.chunkCount >= (error.afterChunks ?? 0)) {
      this.#events.onFault(error);
      return true;
    }
    const drop = faultOf(faults, "dropSocket");
    if (drop !== undefined && this.chunkCount >= drop.afterChunks) {
      this.#events.dropSocket();
      return true;
    }
    const stall = faultOf(faults, "stallContext");
    if (stall === undefined || this.chunkCount !== stall.afterChunks || this.#stallServed) return false;
    this.#stallServed = true;
    this.#stalled = true;
    if (stall.forMs !== undefined) {
      this.#settings.clock.setTimer(stall.forMs, () => {
        this.#stalled = false;
        this.schedule();
      });
    }
    return true;
  }
}

/** Clients put the call's id first. */
export function callIdOfContext(contextId: string): string {
  return contextId.replace(/[./:#][^./:#]*$/, "");
}
