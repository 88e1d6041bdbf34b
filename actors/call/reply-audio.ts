/**
 * The audio of one reply: its segments in the order of the text, held until a playout takes them.
 *
 *   open, addCached ──> [segment][segment][segment] ──drained, head first──> sink
 *                          └ may flow   └ wait
 *
 * Invariants
 * RA1 audio and words leave in the order of the text, segment after segment; the sink is told where each ends, as its
 *     word times count from its own first byte.
 */
import type { LumentraError } from "#runtime/errors";
import type { TtsProvider, TtsRequest } from "#actors/providers";
import { Segment, type SegmentSink, type SwitchNote } from "./segment.js";
import type { CachedSpeech } from "./voice-cache.js";

export interface ReplyAudioDeps {
  readonly tts: TtsProvider;
  readonly ttsRequest: TtsRequest;
  readonly guard: (body: () => void) => void;
  readonly onSwitched: SwitchNote;
}

export interface ReplyAudioEvents {
  /** There is audio: told again only when all there was has been dropped. */
  onFirst(): void;
  /** All that was opened has come to its end, and no sound of it. */
  onMute(): void;
  /** The sink has been given all that was opened, to its end. */
  onDrained(): void;
  onFailed(error: LumentraError): void;
}

export class ReplyAudio {
  readonly #deps: ReplyAudioDeps;
  readonly #events: ReplyAudioEvents;
  readonly #segments: Segment[] = [];
  #sink: SegmentSink | null = null;
  #hasAudio = false;
  #closed = false;

  constructor(deps: ReplyAudioDeps, events: ReplyAudioEvents) {
    this.#deps = deps;
    this.#events = events;
  }

  /** Some of it can be heard, or has been. */
  get hasAudio(): boolean {
    return this.#hasAudio;
  }

  /** All that was opened has come to its end, and there is no sound of it. */
  get isMute(): boolean {
    return !this.#hasAudio && this.#segments.every(({ hasEnded }) => hasEnded);
  }

  get sink(): SegmentSink | null {
    return this.#sink;
  }

  /** All there is was taken. */
  get isTaken(): boolean {
    return this.#sink !== null && this.#segments.length === 0;
  }

  /** Something waits for its voice, or for the sink. */
  get isWaiting(): boolean {
    return this.#segments.length > 0;
  }

  /** A segment whose text is to come. */
  open(): Segment {
    const { tts, ttsRequest, guard, onSwitched } = this.#deps;
    const segment = Segment.live(tts, ttsRequest, guard, {
      onProgress: () => this.#onProgress(segment),
      onSwitched,
      onFailed: (error) => this.#events.onFailed(error),
    });
    this.#segments.push(segment);
    return segment;
  }

  addCached(speech: CachedSpeech): void {
    const segment = Segment.cached(speech);
    this.#segments.push(segment);
    this.#onProgress(segment);
  }

  /** As if it had not been opened; nothing of it may have been taken. */
  drop(segment: Segment): void {
    segment.cancel();
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    this.#hasAudio = this.#segments.some(({ hasAudio }) => hasAudio);
  }

  /** What is held and all to come goes to it. */
  attach(sink: SegmentSink): void {
    this.#sink = sink;
    this.drain();
  }

  /** RA1: only the first unfinished segment may flow; the ones after it wait. */
  drain(): void {
    if (this.#sink === null || this.#closed) return;
    for (let head = this.#segments[0]; head !== undefined; head = this.#segments[0]) {
      head.drainTo(this.#sink);
      if (!head.isSpoken) return;
      this.#segments.shift();
    }
    this.#events.onDrained();
  }

  /** Whatever is under way is cancelled. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const segment of this.#segments) segment.cancel();
    this.#segments.length = 0;
  }

  #onProgress(segment: Segment): void {
    if (this.#closed) return;
    if (segment.hasAudio && !this.#hasAudio) {
      this.#hasAudio = true;
      this.#events.onFirst();
    }
    if (this.isMute) this.#events.onMute();
    this.drain();
  }
}
