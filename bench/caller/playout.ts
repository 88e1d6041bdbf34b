/**
 * The carrier's playout buffer: a queue in samples that plays 8,000 of them a second
 * from the instant the first arrives. It owns the phone's idea of what the caller heard and when.
 *
 *   sample 0 = originMs          rendered            now                   tail
 *   |---------- heard -----------|-- to be rendered --|------ queued -------|
 *                                                          ^mark due at its sample
 *
 * P1 position is computed from the clock, never counted in ticks: it cannot drift.
 * P2 a mark comes back when everything queued before it was played, or at once when nothing was queued.
 * P3 a clear drops what was not played yet and brings every pending mark back at once, in order.
 * P4 a spurt is agent speech without a pause longer than SPURT_GAP_MS; a shorter gap inside one is an
 *    underrun: audio that came later than the playout needed it.
 */
import { decodeInto } from "#runtime/media";

export const SAMPLES_PER_MS = 8;

/** A pause longer than this is the agent's own; shorter ones are audio that came too late. */
const SPURT_GAP_MS = 200;
/** An agent that was paused and then cut: a clear this long after its last sample still ended that spurt. */
const CUT_AFTER_PAUSE_MS = 1_000;
/** Twilio discards what is queued beyond ten minutes (31931). */
const QUEUE_SAMPLES_MAX = 10 * 60 * 1000 * SAMPLES_PER_MS;
/** Spurts kept per leg; an hour of talk makes fewer. Beyond it the oldest are forgotten. */
const SPURTS_MAX = 4096;
/** Rendered at a time; 20 ms, like everything else on the line. */
const RENDER_SAMPLES = 160;

export interface Spurt {
  /** The instant its first sample played. */
  readonly startedAtMs: number;
  /** The instant its last sample was, or will be, played. */
  endedAtMs: number;
  /** Whether a clear ended it. */
  cut: boolean;
  underrunCount: number;
  underrunMs: number;
}

export interface PlayoutSink {
  /** The next samples heard; the view is only valid during the call. */
  onAudio(samples: Int16Array): void;
  /** The next `sampleCount` samples were silence. */
  onSilence(sampleCount: number): void;
  /** What was queued behind the last sample was dropped. */
  onCut(): void;
}

interface Segment {
  readonly startSample: number;
  readonly audio: Uint8Array;
}

interface PendingMark {
  readonly name: string;
  readonly dueSample: number;
}

export class Playout {
  readonly originMs: number;
  readonly spurts: Spurt[] = [];
  clearCount = 0;
  discardedSamples = 0;
  readonly #sink: PlayoutSink;
  readonly #scratch = new Int16Array(RENDER_SAMPLES);
  #segments: Segment[] = [];
  #marks: PendingMark[] = [];
  #tailSample = 0;
  #renderedSample = 0;

  constructor(originMs: number, sink: PlayoutSink) {
    this.originMs = originMs;
    this.#sink = sink;
  }

  /** False when the queue is at its bound and the audio was discarded (31931). */
  enqueue(audio: Uint8Array, nowMs: number): boolean {
    const now = this.#sampleAt(nowMs);
    if (this.#tailSample - now + audio.length > QUEUE_SAMPLES_MAX) {
      this.discardedSamples += audio.length;
      return false;
    }
    const startSample = Math.max(this.#tailSample, now);
    this.#segments.push({ startSample, audio });
    this.#extendSpurt(startSample, startSample + audio.length);
    this.#tailSample = startSample + audio.length;
    return true;
  }

  /** The mark waits for everything queued before it; take it back with `takeDueMarks`. */
  mark(name: string, nowMs: number): void {
    this.#marks.push({ name, dueSample: Math.max(this.#tailSample, this.#sampleAt(nowMs)) });
  }

  /** Drops what was not played yet; the names of all pending marks, in order (P3). */
  clear(nowMs: number): readonly string[] {
    this.renderUntil(nowMs);
    const now = this.#sampleAt(nowMs);
    const spurt = this.spurts.at(-1);
    if (spurt !== undefined && nowMs - spurt.endedAtMs < CUT_AFTER_PAUSE_MS) {
      spurt.cut = true;
      spurt.endedAtMs = Math.min(spurt.endedAtMs, this.#msAt(now));
    }
    this.clearCount++;
    this.#segments = [];
    this.#sink.onCut();
    this.#tailSample = Math.min(this.#tailSample, now);
    const names = this.#marks.map((mark) => mark.name);
    this.#marks = [];
    return names;
  }

  /** Names of the marks that playout has passed, in order; empty almost always. */
  takeDueMarks(nowMs: number): readonly string[] {
    const now = this.#sampleAt(nowMs);
    if (this.#marks.length === 0 || this.#marks[0]!.dueSample > now) return NO_MARKS;
    let dueCount = 1;
    while (dueCount < this.#marks.length && this.#marks[dueCount]!.dueSample <= now) dueCount++;
    return this.#marks.splice(0, dueCount).map((mark) => mark.name);
  }

  /** The instant the next mark is due, or null. */
  get nextMarkAtMs(): number | null {
    const mark = this.#marks[0];
    return mark === undefined ? null : this.#msAt(mark.dueSample);
  }

  /** The instant the queue runs dry: past when it has. */
  get tailMs(): number {
    return this.#msAt(this.#tailSample);
  }

  isPlaying(nowMs: number): boolean {
    return this.#tailSample > this.#sampleAt(nowMs);
  }

  /** Hands what was heard since the last call to the sink, in order. */
  renderUntil(nowMs: number): void {
    const until = this.#sampleAt(nowMs);
    while (this.#renderedSample < until) {
      const segment = this.#segments[0];
      if (segment === undefined || segment.startSample >= until) {
        this.#renderSilence(until);
        return;
      }
      if (segment.startSample > this.#renderedSample) this.#renderSilence(segment.startSample);
      const end = segment.startSample + segment.audio.length;
      while (this.#renderedSample < Math.min(until, end)) {
        const offset = this.#renderedSample - segment.startSample;
        const count = Math.min(RENDER_SAMPLES, segment.audio.length - offset, until - this.#renderedSample);
        const samples = count === RENDER_SAMPLES ? this.#scratch : this.#scratch.subarray(0, count);
        decodeInto("mulaw", segment.audio, offset, count, samples, 0);
        this.#renderedSample += count;
        this.#sink.onAudio(samples);
      }
      if (this.#renderedSample >= end) this.#segments.shift();
    }
  }

  #renderSilence(untilSample: number): void {
    const count = untilSample - this.#renderedSample;
    this.#renderedSample = untilSample;
    this.#sink.onSilence(count);
  }

  #extendSpurt(startSample: number, endSample: number): void {
    const spurt = this.spurts.at(-1);
    const startedAtMs = this.#msAt(startSample);
    const endedAtMs = this.#msAt(endSample);
    const gapMs = spurt === undefined ? Number.POSITIVE_INFINITY : startedAtMs - spurt.endedAtMs;
    if (spurt === undefined || spurt.cut || gapMs > SPURT_GAP_MS) {
      if (this.spurts.length === SPURTS_MAX) this.spurts.shift();
      this.spurts.push({ startedAtMs, endedAtMs, cut: false, underrunCount: 0, underrunMs: 0 });
      return;
    }
    if (gapMs > 0) {
      spurt.underrunCount++;
      spurt.underrunMs += gapMs;
    }
    spurt.endedAtMs = endedAtMs;
  }

  #sampleAt(nowMs: number): number {
    return Math.floor((nowMs - this.originMs) * SAMPLES_PER_MS + SAMPLE_EPSILON);
  }

  #msAt(sample: number): number {
    return this.originMs + sample / SAMPLES_PER_MS;
  }
}

const NO_MARKS: readonly string[] = [];
/** A timer asked for a mark's instant may see it a rounding error early: far below one sample. */
const SAMPLE_EPSILON = 1e-3;
