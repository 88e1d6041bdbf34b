/**
 * The caller's audio of one leg on its way into the in-ring. It keeps the line's time: what the carrier
 * lost is replaced by silence, what it sends late or twice is left out, so that a second of line is a second
 * of audio for the recogniser, and words keep their distance.
 */
import { type AudioFormat, bytesPerMs, bytesPerSample, FRAME_MS, type InRingProducer } from "#runtime/media";
import type { InboundMessage } from "./carriers/inbound-message.js";
import type { EdgeCounters } from "./counters.js";
import { silenceOf } from "./silence.js";

/** Metric labels. */
export type AudioProblem = "mediaLate" | "mediaGap" | "mediaOddLength";

/**
 * Beyond this it is no lost frame but a clock that jumped, and a ring of 2.5 s should not be flooded with
 * nothing: the recogniser's time is then short by the rest, as if the line had been put on hold.
 */
const SILENCE_FILL_MAX_MS = 1_000;
/**
 * Lost audio takes its time like any other: no more is filled in than real time leaves room for, and this
 * much for a stream whose first packets were late. A carrier whose timestamps are not the milliseconds we
 * take them for would otherwise turn the call into silence.
 */
const AHEAD_OF_TIME_MAX_MS = 200;
/** Timestamps that are off by less are jitter of the carrier's own counting. */
const GAP_TOLERANCE_MS = FRAME_MS / 2;
/**
 * Frames of one burst came at one instant; each is later than the one before by so much, so that a record's timestamp
 * says where in the audio it stands (`UntoldAudio`). A ring of them is an eighth of a millisecond.
 */
const TIE_MS = 2 ** -10;

export class InboundAudio {
  #ring: InRingProducer;
  readonly #counters: EdgeCounters;
  readonly #onProblem: (problem: AudioProblem) => void;
  readonly #bytesPerMs: number;
  readonly #bytesPerSample: number;
  readonly #silence: Uint8Array;
  #lastChunk = -1;
  #firstAtMs = -1;
  /** Of the last record. */
  #takenAtMs = -1;
  /** Audio written, silence included. */
  #writtenMs = 0;
  /** Where the carrier's clock should stand at the next message; -1 when not known. */
  #nextTimestampMs = -1;

  constructor(
    ring: InRingProducer,
    format: AudioFormat,
    counters: EdgeCounters,
    onProblem: (problem: AudioProblem) => void,
  ) {
    this.#ring = ring;
    this.#counters = counters;
    this.#onProblem = onProblem;
    this.#bytesPerMs = bytesPerMs(format);
    this.#bytesPerSample = bytesPerSample(format.encoding);
    this.#silence = silenceOf(format);
  }

  /** Another owner's ring from here on; the line's time goes on. */
  rebind(ring: InRingProducer): void {
    this.#ring = ring;
  }

  /** `nowMs` is the records' timestamp, to a tie: when the audio came, not when it was spoken. */
  take(message: InboundMessage, nowMs: number): void {
    const { chunk, timestampMs } = message;
    let length = message.audioLength;
    if (this.#bytesPerSample === 2 && (length & 1) === 1) {
      this.#onProblem("mediaOddLength");
      length--;
    }
    const durationMs = length / this.#bytesPerMs;
    // TCP keeps order, so what comes late or twice was sent so, and its place in time is taken.
    if (this.#isLate(chunk, timestampMs)) return this.#onProblem("mediaLate");
    if (this.#firstAtMs < 0) this.#firstAtMs = nowMs;
    const gapMs = this.#gapMs(chunk, timestampMs, durationMs);
    this.#takenAtMs = nowMs > this.#takenAtMs ? nowMs : this.#takenAtMs + TIE_MS;
    if (gapMs > 0) this.#fillSilence(gapMs, nowMs);
    if (chunk >= 0) this.#lastChunk = chunk;
    this.#nextTimestampMs = timestampMs >= 0 ? timestampMs + durationMs : -1;
    this.#writtenMs += durationMs;
    this.#counters.framesIn++;
    this.#ring.writeAudio(message.audio, 0, length, this.#takenAtMs);
  }

  /** By the count, which is exact; by the clock where there is no count. */
  #isLate(chunk: number, timestampMs: number): boolean {
    if (chunk >= 0) return chunk <= this.#lastChunk;
    return timestampMs >= 0 && timestampMs < this.#nextTimestampMs - GAP_TOLERANCE_MS;
  }

  /**
   * Audio that should have come before this message. By the clock, since a carrier that drops audio in a
   * jam may or may not count what it dropped; by the count where there is no clock.
   */
  #gapMs(chunk: number, timestampMs: number, durationMs: number): number {
    if (timestampMs >= 0 && this.#nextTimestampMs >= 0) {
      const gapMs = timestampMs - this.#nextTimestampMs;
      return gapMs > GAP_TOLERANCE_MS ? gapMs : 0;
    }
    if (timestampMs < 0 && chunk >= 0 && this.#lastChunk >= 0)
      return (chunk - this.#lastChunk - 1) * durationMs;
    return 0;
  }

  #fillSilence(gapMs: number, nowMs: number): void {
    this.#onProblem("mediaGap");
    const roomMs = nowMs - this.#firstAtMs + AHEAD_OF_TIME_MAX_MS - this.#writtenMs;
    const filledMs = Math.floor(Math.min(gapMs, SILENCE_FILL_MAX_MS, Math.max(roomMs, 0)));
    this.#writtenMs += filledMs;
    this.#counters.silenceFilledMs += filledMs;
    let restBytes = filledMs * this.#bytesPerMs;
    while (restBytes > 0) {
      const length = Math.min(restBytes, this.#silence.length);
      this.#ring.writeAudio(this.#silence, 0, length, this.#takenAtMs);
      restBytes -= length;
    }
  }
}
