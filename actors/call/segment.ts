/**
 * A stretch of a reply's speech: one voice stream, or cached audio. Holds what has come until it is its
 * turn to be played.
 */
import type { ErrorCode, LumentraError } from "#runtime/errors";
import { bytesPerMs } from "#runtime/media";
import type { TtsProvider, TtsRequest, TtsStream, TtsWord } from "#actors/providers";
import { MAX_SEGMENT_AUDIO_MS } from "./limits.js";
import type { CachedSpeech } from "./voice-cache.js";

/** Where audio goes: a playout. */
export interface SegmentSink {
  /** What is being said; pieces are concatenated verbatim. */
  text(piece: string): void;
  /** Takes over the buffer. */
  audio(bytes: Uint8Array): void;
  /** Times count from the first byte of the segment. */
  words(words: readonly TtsWord[]): void;
  /** The segment is complete: the next one's times count from here. */
  segmentEnd(): void;
  /** Of the audio it has, what the caller has not heard. */
  readonly leftMs: number;
}

export interface SegmentEvents {
  /** Audio, words or the end came. */
  onProgress(): void;
  /** Another voice says the rest. */
  onSwitched: SwitchNote;
  onFailed(error: LumentraError): void;
}

/** A provider failed with `code`, and another went on in its place. */
export type SwitchNote = (from: string, to: string, code: ErrorCode) => void;

export class Segment {
  /** True from the first byte on, also after it was drained. */
  hasAudio = false;
  readonly #texts: string[] = [];
  readonly #audio: Uint8Array[] = [];
  readonly #words: TtsWord[] = [];
  #stream: TtsStream | null = null;
  #ended = false;
  #endDelivered = false;
  #bytes = 0;
  #maxBytes = 0;

  static cached(speech: CachedSpeech): Segment {
    const segment = new Segment();
    segment.#texts.push(speech.text);
    segment.#audio.push(speech.audio);
    segment.#words.push(...speech.words);
    segment.hasAudio = true;
    segment.#ended = true;
    return segment;
  }

  static live(
    tts: TtsProvider,
    request: TtsRequest,
    guard: (body: () => void) => void,
    events: SegmentEvents,
  ): Segment {
    const segment = new Segment();
    segment.#maxBytes = MAX_SEGMENT_AUDIO_MS * bytesPerMs(request.format);
    segment.#stream = tts.speak(request, {
      onAudio: (audio) => guard(() => segment.#onAudio(audio, events)),
      onWords: (words) =>
        guard(() => {
          segment.#words.push(...words);
          events.onProgress();
        }),
      onDone: () =>
        guard(() => {
          segment.#ended = true;
          events.onProgress();
        }),
      onSwitched: (from, to, code) => guard(() => events.onSwitched(from, to, code)),
      onError: (error) => guard(() => events.onFailed(error)),
    });
    return segment;
  }

  /** The voice has said all of it. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** Everything of it has been drained. */
  get isSpoken(): boolean {
    return this.#endDelivered;
  }

  push(text: string): void {
    this.#texts.push(text);
    this.#stream?.push(text);
  }

  finish(): void {
    this.#stream?.finish();
  }

  cancel(): void {
    this.#stream?.cancel();
    this.#audio.length = 0;
  }

  /** Hands over what has come. Text and times first: marks can only be set at words that are known. */
  drainTo(sink: SegmentSink): void {
    if (this.#endDelivered) return;
    for (const text of this.#texts) sink.text(text);
    this.#texts.length = 0;
    if (this.#words.length > 0) {
      sink.words(this.#words.slice());
      this.#words.length = 0;
    }
    for (const bytes of this.#audio) sink.audio(bytes);
    this.#audio.length = 0;
    if (this.#ended) {
      this.#endDelivered = true;
      sink.segmentEnd();
    }
  }

  #onAudio(audio: Uint8Array, events: SegmentEvents): void {
    this.#bytes += audio.length;
    // A voice that never stops is cut here: nobody listens to a reply this long.
    if (this.#bytes > this.#maxBytes) {
      this.#stream?.cancel();
      this.#ended = true;
    } else {
      this.#audio.push(new Uint8Array(audio)); // a copy, also of a Buffer, whose slice() is none
      this.hasAudio = true;
    }
    events.onProgress();
  }
}
