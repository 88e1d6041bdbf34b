/**
 * A text as the frames a carrier sends: synthesised once, encoded once per frame, shared by every phone that
 * says it. What makes hundreds of talking phones affordable.
 */
import { LRUCache } from "lru-cache";
import type { Voice } from "#bench/speech";
import { encodeInto } from "#runtime/media";

export const FRAME_SAMPLES = 160;
const SAMPLES_PER_MS = 8;
/** µ-law silence is 0xff. */
export const SILENCE_BASE64 = Buffer.alloc(FRAME_SAMPLES, 0xff).toString("base64");

/** Texts kept per voice; ten seconds of speech are about 300 KB with samples and frames. */
const TEXTS_KEPT_MAX = 200;

export class EncodedSpeech {
  readonly text: string;
  readonly frameCount: number;
  /** The frame that holds the last sample of the last word; trailing silence is not speech. */
  readonly lastSpeechFrame: number;
  readonly #samples: Int16Array;
  readonly #frames: (string | undefined)[];

  constructor(text: string, samples: Int16Array, speechEndMs: number) {
    this.text = text;
    this.frameCount = Math.max(1, Math.ceil(samples.length / FRAME_SAMPLES));
    this.lastSpeechFrame = Math.min(this.frameCount - 1, Math.max(0, Math.ceil(speechEndMs / 20) - 1));
    this.#samples = new Int16Array(this.frameCount * FRAME_SAMPLES);
    this.#samples.set(samples);
    this.#frames = Array.from({ length: this.frameCount });
  }

  frameSamples(index: number): Int16Array {
    return this.#samples.subarray(index * FRAME_SAMPLES, (index + 1) * FRAME_SAMPLES);
  }

  frameBase64(index: number): string {
    let frame = this.#frames[index];
    if (frame === undefined) {
      encodeInto("mulaw", this.#samples, index * FRAME_SAMPLES, FRAME_SAMPLES, scratch, 0);
      frame = scratch.toString("base64");
      this.#frames[index] = frame;
    }
    return frame;
  }
}

/** The text in this voice; cached. `leadSamples` of silence come first, so that it begins somewhere in a frame. */
export function encodeSpeech(voice: Voice, text: string, leadSamples = 0): EncodedSpeech {
  let cache = caches.get(voice);
  if (cache === undefined) {
    cache = new LRUCache<string, EncodedSpeech>({ max: TEXTS_KEPT_MAX });
    caches.set(voice, cache);
  }
  const key = `${leadSamples} ${text}`;
  let speech = cache.get(key);
  if (speech === undefined) {
    const { samples, words } = voice.synthesize(text);
    const led = new Int16Array(leadSamples + samples.length);
    led.set(samples, leadSamples);
    speech = new EncodedSpeech(text, led, (words.at(-1)?.endMs ?? 0) + leadSamples / SAMPLES_PER_MS);
    cache.set(key, speech);
  }
  return speech;
}

const caches = new WeakMap<Voice, LRUCache<string, EncodedSpeech>>();
const scratch = Buffer.alloc(FRAME_SAMPLES);
