/**
 * Whether the caller is speaking, from a leg's own bytes, frame by frame.
 *
 * A frame is speech when it is louder than the noise of the line by a margin, loud enough to be a person at
 * all, and not our own echo. Two such frames in a row start speech; silence for the hangover ends it.
 *
 *   frames     . . . S . S S S S . . S S . . . . . . .
 *   isSpeech             |<------------------>|            (hangover: 4 frames)
 *   event                start                end
 *   startedAt          ^ the run's first frame
 *   lastSpeechAt                         ^ end of the last S
 *
 * Invariants
 * V1 Speech that begins at least 10 dB over the noise is told within 50 ms of its first sample: at most a
 *    third of a frame that was too little to see, and two whole frames.
 * V2 A single loud frame (a click, a key, a lost packet's edge) never starts speech.
 * V3 Nothing is allocated after construction; a frame is decided from numbers already at hand.
 */
import { type AudioFormat, FRAME_MS, bytesPerMs } from "#runtime/media";
import type { EchoGuard } from "./echo-guard.js";
import { FrameMeter, SILENCE_DB } from "./frame-meter.js";
import { Lateness } from "./lateness.js";
import { NoiseFloor } from "./noise-floor.js";

/** What `push` found. Numbers, as they are made per frame. */
export const VadEvent = { none: 0, speechStart: 1, speechEnd: 2 } as const;
export type VadEvent = (typeof VadEvent)[keyof typeof VadEvent];

/** What a frame was taken for. Numbers, as they are kept per frame. */
export const FrameKind = { quiet: 0, speech: 1, echo: 2 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export interface VoiceActivityOptions {
  /**
   * Silence that ends speech, in milliseconds, rounded up to frames. Long enough to bridge the closure of a
   * "t" or "k" (50 to 80), short enough for eager generation to begin on it. @default 80
   */
  readonly hangoverMs?: number;
  /** Frames that our own playout explains are then never speech. @default null */
  readonly echoGuard?: EchoGuard | null;
}

/** V2: two frames. One would be a click; three would break V1. */
const ONSET_FRAMES = 2;
/** Four standard deviations of a frame of telephone noise above its mean, and V1 holds down to 10 dB. */
const ONSET_MARGIN_DB = 6;
/** Inside speech, the tail of a word counts a little longer than its onset would. */
const TAIL_MARGIN_DB = 4;
/** The faintest speech: a caller at arm's length from the phone. Comfort noise is at −60 and below. */
const FAINTEST_SPEECH_DB = -52;
const DEFAULT_HANGOVER_MS = 80;
/** A word's last frame holds silence, too; what this finds, and what of it is none, is in docs/BENCHMARKS.md. */
const FADES_BY_DB = 1;
/** Frames of which it is remembered what they were: 20 s, more than a recogniser's final is behind. */
const KINDS_KEPT_FRAMES = 1_024;

export class VoiceActivity {
  /** Speech, hangover included. */
  isSpeech = false;
  /** The last full frame alone: false at the first silent frame. */
  isFrameSpeech = false;
  /** The last full frame was speech, and fainter than the one before: a word may have ended in it. */
  isFrameFading = false;
  /** The last full frame was loud enough for speech, and was our own echo. */
  isFrameEcho = false;
  /** When the present speech (or, in silence, the last) began; null before the first. */
  speechStartedAtMs: number | null = null;
  /** End of the last frame that was speech; null before the first. */
  lastSpeechAtMs: number | null = null;
  /** The same as a position: milliseconds of audio from the leg's first byte, comparable with a recogniser's times. */
  lastSpeechPositionMs = 0;
  /** Milliseconds of audio in all full frames so far. */
  positionMs = 0;
  /** Level of the last full frame, dB below full scale. */
  levelDb = SILENCE_DB;

  readonly #meter: FrameMeter;
  readonly #noise = new NoiseFloor();
  readonly #lateness = new Lateness();
  readonly #echoGuard: EchoGuard | null;
  readonly #bytesPerMs: number;
  readonly #hangoverFrames: number;
  readonly #kinds = new Uint8Array(KINDS_KEPT_FRAMES);
  #speechRun = 0;
  #silenceRun = 0;

  constructor(format: AudioFormat, options: VoiceActivityOptions = {}) {
    this.#meter = new FrameMeter(format);
    this.#bytesPerMs = bytesPerMs(format);
    this.#echoGuard = options.echoGuard ?? null;
    this.#hangoverFrames = Math.max(1, Math.ceil((options.hangoverMs ?? DEFAULT_HANGOVER_MS) / FRAME_MS));
  }

  /** Level of the line's noise, dB below full scale. */
  get noiseDb(): number {
    return this.#noise.levelDb;
  }

  /** Milliseconds of audio since the last frame that was speech, as far as audio has come. */
  get silenceMs(): number {
    return this.lastSpeechAtMs === null ? this.positionMs : this.positionMs - this.lastSpeechPositionMs;
  }

  /**
   * Milliseconds of audio between two positions that were of this kind. Of audio that is forgotten or still
   * to come, none is.
   */
  msOf(kind: FrameKind, fromMs: number, toMs: number): number {
    const frameCount = this.positionMs / FRAME_MS;
    const first = Math.max(0, frameCount - KINDS_KEPT_FRAMES, Math.floor(fromMs / FRAME_MS));
    const end = Math.min(frameCount, Math.ceil(toMs / FRAME_MS));
    let ms = 0;
    for (let frame = first; frame < end; frame += 1) {
      if (this.#kinds[frame % KINDS_KEPT_FRAMES] !== kind) continue;
      ms += Math.min(toMs, (frame + 1) * FRAME_MS) - Math.max(fromMs, frame * FRAME_MS);
    }
    return ms;
  }

  /**
   * Takes `length` bytes from `offset`; `atMs` is the instant the last of them arrived. Any length: what is
   * left of a frame waits for the next record. Of several events in one long record, the last is returned.
   */
  push(bytes: Uint8Array, offset: number, length: number, atMs: number): VadEvent {
    const end = offset + length;
    let event: VadEvent = VadEvent.none;
    for (let at = offset; at < end; ) {
      at = this.#meter.feed(bytes, at, end);
      if (!this.#meter.frameDone) break;
      const found = this.#decideFrame(atMs - (end - at) / this.#bytesPerMs);
      if (found !== VadEvent.none) event = found;
    }
    return event;
  }

  #decideFrame(frameEndAtMs: number): VadEvent {
    const levelDb = this.#meter.levelDb;
    const fades = levelDb < this.levelDb - FADES_BY_DB;
    this.levelDb = levelDb;
    const frame = this.positionMs / FRAME_MS;
    this.positionMs += FRAME_MS;
    const inTail = this.isSpeech && this.#silenceRun === 0;
    const margin = inTail ? TAIL_MARGIN_DB : ONSET_MARGIN_DB;
    const isLoud = levelDb > Math.max(this.#noise.levelDb + margin, FAINTEST_SPEECH_DB);
    this.isFrameEcho = this.#echoGuard !== null && this.#isEcho(this.#echoGuard, isLoud, frameEndAtMs);
    this.isFrameSpeech = isLoud && !this.isFrameEcho;
    this.isFrameFading = fades && this.isFrameSpeech;
    this.#kinds[frame % KINDS_KEPT_FRAMES] = this.isFrameEcho
      ? FrameKind.echo
      : this.isFrameSpeech
        ? FrameKind.speech
        : FrameKind.quiet;
    if (!this.isFrameEcho) {
      this.#noise.update(levelDb, this.#meter.quietHalfDb, this.#meter.crossings, isLoud);
    }
    return this.isFrameSpeech ? this.#onSpeechFrame(frameEndAtMs) : this.#onSilentFrame();
  }

  #isEcho(guard: EchoGuard, isLoud: boolean, frameEndAtMs: number): boolean {
    const lateMs = this.#lateness.of(frameEndAtMs, this.positionMs);
    guard.observe(this.levelDb, frameEndAtMs - lateMs);
    return isLoud && guard.isEcho(this.levelDb, frameEndAtMs, lateMs);
  }

  #onSpeechFrame(frameEndAtMs: number): VadEvent {
    this.#silenceRun = 0;
    this.#speechRun += 1;
    const starts = !this.isSpeech && this.#speechRun >= ONSET_FRAMES;
    if (starts) {
      this.isSpeech = true;
      this.speechStartedAtMs = frameEndAtMs - ONSET_FRAMES * FRAME_MS;
    }
    if (this.isSpeech) {
      this.lastSpeechAtMs = frameEndAtMs;
      this.lastSpeechPositionMs = this.positionMs;
    }
    return starts ? VadEvent.speechStart : VadEvent.none;
  }

  #onSilentFrame(): VadEvent {
    this.#speechRun = 0;
    this.#silenceRun += 1;
    if (!this.isSpeech || this.#silenceRun < this.#hangoverFrames) return VadEvent.none;
    this.isSpeech = false;
    return VadEvent.speechEnd;
  }
}
