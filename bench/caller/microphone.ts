/**
 * The caller's side of the line: what is said, in order, over silence, as 20 ms frames of base64 µ-law. A
 * clean line sends frames that were encoded once per text; echo and noise are mixed per frame.
 *
 * M1 frame n of the leg holds the 160 samples that end at origin + (n + 1) * 20 ms.
 *    Its echo is of the samples that played while they sounded, however late the frame is made.
 * M2 an utterance starts on a frame boundary and its frames are not interrupted by another.
 */
import type { Random } from "#runtime/actor";
import { encodeInto } from "#runtime/media";
import { type EncodedSpeech, FRAME_SAMPLES, SILENCE_BASE64 } from "./encoded-speech.js";
import type { LineImpairments } from "./line.js";

/** Utterances waiting to be said; a script says one at a time. */
const UTTERANCES_WAITING_MAX = 64;
/**
 * Playout remembered for the echo: the longest delay, and two seconds by which the earpiece may be rendered
 * ahead of a frame that a busy machine makes late.
 */
const ECHO_SAMPLES = 32_768;
/** Longest echo delay we can imitate. */
const ECHO_DELAY_MS_MAX = 2_000;
/** RMS of the emulated voices, −18 dBFS: what "noise at 20 dB" is 20 dB below. */
const SPEECH_RMS = 32_768 * 10 ** (-18 / 20);
/** Two seconds of noise, repeated; prime, so that it never lines up with frames. */
const NOISE_SAMPLES = 16_001;

export interface QueuedUtterance {
  readonly speech: EncodedSpeech;
  /** The tick in which its first frame was sent, and the instant that frame was due. */
  onStarted(sentAtMs: number, intendedAtMs: number): void;
  /** The tick in which the frame with the last speech sample was sent, and the instant it was due. */
  onEnded(sentAtMs: number, intendedAtMs: number): void;
}

export class Microphone {
  readonly #queue: QueuedUtterance[] = [];
  readonly #mixed = new Int16Array(FRAME_SAMPLES);
  readonly #encoded = Buffer.alloc(FRAME_SAMPLES);
  readonly #echoGain: number;
  readonly #echoDelaySamples: number;
  readonly #playedRing: Int16Array | null;
  readonly #noise: Int16Array | null;
  #playedCount = 0;
  #frameCount = 0;
  #noiseAt = 0;
  /** Next frame of the utterance at the head of the queue. */
  #frameIndex = 0;

  constructor(line: LineImpairments, random: Random) {
    this.#echoGain = line.echo === undefined ? 0 : 10 ** (line.echo.gainDb / 20);
    this.#echoDelaySamples = Math.round(Math.min(line.echo?.delayMs ?? 0, ECHO_DELAY_MS_MAX) * 8);
    this.#playedRing = line.echo === undefined ? null : new Int16Array(ECHO_SAMPLES);
    this.#noise = line.noise === undefined ? null : makeNoise(line.noise.snrDb, random);
  }

  /** Whether anything is being said or waits to be. */
  get speaking(): boolean {
    return this.#queue.length > 0;
  }

  /** False when too much waits already. */
  say(utterance: QueuedUtterance): boolean {
    if (this.#queue.length >= UTTERANCES_WAITING_MAX) return false;
    this.#queue.push(utterance);
    return true;
  }

  /** What the earpiece played, for the echo; must be called before the frame it is to be heard in. */
  hearPlayed(samples: Int16Array): void {
    const ring = this.#playedRing;
    if (ring !== null) {
      for (let i = 0; i < samples.length; i++) ring[(this.#playedCount + i) % ECHO_SAMPLES] = samples[i]!;
    }
    this.#playedCount += samples.length;
  }

  hearSilence(sampleCount: number): void {
    const ring = this.#playedRing;
    if (ring !== null) {
      for (let i = 0; i < Math.min(sampleCount, ECHO_SAMPLES); i++) {
        ring[(this.#playedCount + sampleCount - 1 - i) % ECHO_SAMPLES] = 0;
      }
    }
    this.#playedCount += sampleCount;
  }

  /**
   * The next frame's payload. `into`, if given, takes its samples as they go out.
   * The instants are for the utterance's events: when this frame is sent, when it was due.
   */
  nextFrame(sentAtMs: number, intendedAtMs: number, into: Int16Array | null): string {
    const utterance = this.#queue[0];
    const index = this.#frameIndex;
    this.#frameCount++;
    const impaired = this.#playedRing !== null || this.#noise !== null;
    let payload = SILENCE_BASE64;
    if (impaired) payload = this.#mix(utterance?.speech ?? null, index);
    else if (utterance !== undefined) payload = utterance.speech.frameBase64(index);
    if (into !== null) {
      if (impaired) into.set(this.#mixed);
      else if (utterance === undefined) into.fill(0);
      else into.set(utterance.speech.frameSamples(index));
    }
    if (utterance !== undefined) this.#advance(utterance, index, sentAtMs, intendedAtMs);
    return payload;
  }

  #advance(utterance: QueuedUtterance, index: number, sentAtMs: number, intendedAtMs: number): void {
    if (index === 0) utterance.onStarted(sentAtMs, intendedAtMs);
    if (index === utterance.speech.lastSpeechFrame) utterance.onEnded(sentAtMs, intendedAtMs);
    this.#frameIndex++;
    if (this.#frameIndex < utterance.speech.frameCount) return;
    this.#frameIndex = 0;
    this.#queue.shift();
  }

  #mix(speech: EncodedSpeech | null, index: number): string {
    const mixed = this.#mixed;
    if (speech === null) mixed.fill(0);
    else mixed.set(speech.frameSamples(index));
    if (this.#playedRing !== null) {
      // By its place on the line. The ring's newest sample is another one after a late tick, when audio that
      // came in the meantime has had the earpiece rendered further: frames would repeat and skip echo.
      const from = (this.#frameCount - 1) * FRAME_SAMPLES - this.#echoDelaySamples;
      const oldest = this.#playedCount - ECHO_SAMPLES;
      addEcho(mixed, this.#playedRing, from, oldest, this.#playedCount, this.#echoGain);
    }
    if (this.#noise !== null) this.#noiseAt = addNoise(mixed, this.#noise, this.#noiseAt);
    encodeInto("mulaw", mixed, 0, FRAME_SAMPLES, this.#encoded, 0);
    return this.#encoded.toString("base64");
  }
}

/** `oldest` and `end`: the samples that the ring holds. */
function addEcho(
  target: Int16Array,
  ring: Int16Array,
  from: number,
  oldest: number,
  end: number,
  gain: number,
): void {
  for (let i = 0; i < target.length; i++) {
    const at = from + i;
    if (at < Math.max(0, oldest) || at >= end) continue;
    target[i] = clip(target[i]! + Math.round(ring[at % ECHO_SAMPLES]! * gain));
  }
}

function addNoise(target: Int16Array, noise: Int16Array, from: number): number {
  for (let i = 0; i < target.length; i++) {
    target[i] = clip(target[i]! + noise[(from + i) % NOISE_SAMPLES]!);
  }
  return (from + target.length) % NOISE_SAMPLES;
}

/** White noise: the sum of four uniforms is near enough to a normal distribution. */
function makeNoise(snrDb: number, random: Random): Int16Array {
  const rms = SPEECH_RMS * 10 ** (-snrDb / 20);
  // The variance of a uniform in [0, 1) is 1/12; of four of them 1/3.
  const scale = rms * Math.sqrt(3);
  return Int16Array.from({ length: NOISE_SAMPLES }, () =>
    clip(Math.round((random.next() + random.next() + random.next() + random.next() - 2) * scale)),
  );
}

function clip(value: number): number {
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}
