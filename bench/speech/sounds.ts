/**
 * Sound to judge a voice detector by, whose truth is known: speech-like syllables, noises of several
 * colours, and their sum on a telephone line.
 */
import type { Random } from "#runtime/actor";
import { type AudioFormat, bytesPerSample, encodeInto } from "#runtime/media";
import { gaussian } from "./noise.js";

const RATE_HZ = 8_000;
const SAMPLES_PER_MS = RATE_HZ / 1_000;

/** Root of the mean square that is this many dB below full scale. */
function rmsOf(levelDb: number): number {
  return 32_768 * 10 ** (levelDb / 20);
}

/**
 * Syllables: a pitch with formant-like harmonics or a hiss, under an envelope of three to five syllables a
 * second with dips of 12 dB and more. Begins and ends sharply, at full level, so that the onset is known
 * to the sample.
 */
export function syllables(durationMs: number, levelDb: number, random: Random): Int16Array {
  const samples = new Float64Array(durationMs * SAMPLES_PER_MS);
  let at = 0;
  while (at < samples.length) {
    const length = Math.min(samples.length - at, Math.round((180 + 140 * random.next()) * SAMPLES_PER_MS));
    if (random.next() < 0.2) addHiss(samples, at, length, random);
    else addVowel(samples, at, length, random);
    at += length;
  }
  scaleTo(samples, rmsOf(levelDb));
  return clip(samples);
}

export const NOISE_COLOURS = ["white", "car", "hum"] as const;
export type NoiseColour = (typeof NOISE_COLOURS)[number];

/** White; low-passed at 400 Hz, as in a car; mains hum of 50 Hz with harmonics under some hiss. */
export function noise(durationMs: number, levelDb: number, colour: NoiseColour, random: Random): Int16Array {
  const samples = new Float64Array(durationMs * SAMPLES_PER_MS);
  let low = 0;
  let lower = 0;
  const pole = Math.exp((-2 * Math.PI * 400) / RATE_HZ);
  for (let index = 0; index < samples.length; index += 1) {
    const white = gaussian(random);
    low = pole * low + (1 - pole) * white;
    lower = pole * lower + (1 - pole) * low;
    samples[index] = colour === "white" ? white : colour === "car" ? lower : hum(index) + 0.2 * white;
  }
  scaleTo(samples, rmsOf(levelDb));
  return clip(samples);
}

/** Adds `source` into `target` from `atMs` on, clipping. */
export function mixAt(target: Int16Array, source: Int16Array, atMs: number, gain = 1): void {
  const offset = Math.round(atMs * SAMPLES_PER_MS);
  for (let index = 0; index < source.length && offset + index < target.length; index += 1) {
    target[offset + index] = limit(target[offset + index]! + source[index]! * gain);
  }
}

/** As a leg carries it. Rates above 8 kHz repeat samples: the band above 4 kHz is nobody's concern here. */
export function encodeForLeg(samples: Int16Array, format: AudioFormat): Uint8Array {
  const repeat = format.sampleRateHz / RATE_HZ;
  const repeated =
    repeat === 1
      ? samples
      : Int16Array.from(
          { length: samples.length * repeat },
          (_, index) => samples[Math.floor(index / repeat)]!,
        );
  const bytes = new Uint8Array(repeated.length * bytesPerSample(format.encoding));
  encodeInto(format.encoding, repeated, 0, repeated.length, bytes, 0);
  return bytes;
}

function addVowel(samples: Float64Array, offset: number, length: number, random: Random): void {
  const pitchHz = 90 + 120 * random.next();
  const formantHz = 350 + 1_500 * random.next();
  for (let index = 0; index < length; index += 1) {
    let sum = 0;
    for (let harmonic = 1; harmonic * pitchHz < 3_400; harmonic += 3) {
      const distance = (harmonic * pitchHz - formantHz) / 500;
      const phase = (2 * Math.PI * harmonic * pitchHz * (offset + index)) / RATE_HZ;
      sum += Math.sin(phase) / (1 + distance * distance);
    }
    samples[offset + index] = sum * envelope(index, length);
  }
}

function addHiss(samples: Float64Array, offset: number, length: number, random: Random): void {
  for (let index = 0; index < length; index += 1) {
    samples[offset + index] = 0.6 * gaussian(random) * envelope(index, length);
  }
}

/** Full for three fifths of the syllable, then down by 14 dB to its end. */
function envelope(index: number, length: number): number {
  const share = index / length;
  return share < 0.6 ? 1 : 1 - 0.8 * Math.sin((Math.PI * (share - 0.6)) / 0.4);
}

function hum(index: number): number {
  const phase = (2 * Math.PI * 50 * index) / RATE_HZ;
  return Math.sin(phase) + 0.5 * Math.sin(3 * phase) + 0.3 * Math.sin(5 * phase);
}

function scaleTo(samples: Float64Array, rms: number): void {
  const squares = samples.reduce((sum, sample) => sum + sample * sample, 0);
  const gain = squares === 0 ? 0 : rms / Math.sqrt(squares / samples.length);
  for (let index = 0; index < samples.length; index += 1) samples[index]! *= gain;
}

function clip(samples: Float64Array): Int16Array {
  return Int16Array.from(samples, limit);
}

function limit(sample: number): number {
  return Math.max(-32_768, Math.min(32_767, Math.round(sample)));
}
