/** A telephone line for the tests of this folder: codecs, level, noise, an offset of any sample, and ears. */
import type { Random } from "#runtime/actor";
import {
  type AudioEncoding,
  Resampler,
  type SampleRateHz,
  bytesPerSample,
  decodeInto,
  encodeInto,
} from "#runtime/media";
import { mixNoise } from "./noise.js";
import { type DecodedWord, ToneDecoder, WORD_UNDERSTOOD } from "./tone-decoder.js";
import { TONE_LEVEL_DBFS } from "./tone-voice.js";

export const FRAME_SAMPLES = 160;

/** What people say to a receptionist, and she to them. */
export const SENTENCES = [
  "Hello, you have reached Bright Smile Dental, this is Anna speaking.",
  "How can I help you today?",
  "I would like to book an appointment for a cleaning, please.",
  "Do you have anything on Thursday afternoon?",
  "Let me check that for you, one moment.",
  "We have an opening at 2:30 and another one at 4 o'clock.",
  "The second one works better for me, thanks.",
  "Could I have your full name and a phone number?",
  "My name is Margaret O'Brien, and my number is 202 555 0142.",
  "Is there any parking near the office?",
  "There's free parking behind the building, and the entrance is on Oak Street.",
  "It costs about $85, and most insurance plans cover 80% of that.",
  "No, that's all for now.",
  "You're welcome! We'll see you on Thursday, goodbye.",
  "I'm sorry, I didn't quite catch that; could you say it again?",
  "We are open from eight to half past five, Monday to Friday.",
] as const;

const VOCABULARY =
  `I you the a and to of in is it that for on with my have this not are be at we do can just about table ` +
  `tomorrow appointment insurance dentist Thursday 4 12 2025 question's 7:30 $20 50% isn't déjà señor ` +
  `O'Brien ASAP iPhone, please. thanks! really? parking reservation, anyone@example.com +12025550101 llama ` +
  `aaa ZZZ 000 — "quoted" (aside) co-op e.g. AT&T`;
const WORDS = VOCABULARY.split(" ");

export function randomText(random: Random, wordCount: number): string {
  return Array.from({ length: wordCount }, () => WORDS[Math.floor(random.next() * WORDS.length)]!).join(" ");
}

/** Everything the decoder reports, pushed in pieces of this many samples. */
export function hear(samples: Int16Array, pieceSamples = FRAME_SAMPLES): DecodedWord[] {
  const words: DecodedWord[] = [];
  const decoder = new ToneDecoder((word) => words.push(word));
  for (let at = 0; at < samples.length; at += pieceSamples) {
    decoder.push(samples, at, Math.min(pieceSamples, samples.length - at));
  }
  return words;
}

export function understood(words: readonly DecodedWord[]): string[] {
  return words.filter((word) => word.confidence >= WORD_UNDERSTOOD).map((word) => word.word);
}

export interface LineOptions {
  /** Samples of silence before. @default 0 */
  readonly offset?: number;
  /** RMS of the tones. @default as synthesised */
  readonly levelDbfs?: number;
  /** @default no noise */
  readonly snrDb?: number;
  readonly random?: Random;
}

/** Through a line and µ-law, with silence after it. */
export function onLine(samples: Int16Array, options: LineOptions = {}): Int16Array {
  const offset = options.offset ?? 0;
  const gain = options.levelDbfs === undefined ? 1 : 10 ** ((options.levelDbfs - TONE_LEVEL_DBFS) / 20);
  const heard = new Int16Array(offset + samples.length + 10 * FRAME_SAMPLES);
  mixInto(heard, offset, samples, gain);
  if (options.snrDb !== undefined) mixNoise(heard, options.snrDb, options.random!);
  return throughMulaw(heard);
}

export function mixInto(target: Int16Array, offset: number, source: Int16Array, gain: number): void {
  const count = Math.min(source.length, target.length - offset);
  for (let i = 0; i < count; i++) {
    const value = target[offset + i]! + Math.round(gain * source[i]!);
    target[offset + i] = Math.max(-32768, Math.min(32767, value));
  }
}

export function throughMulaw(samples: Int16Array): Int16Array {
  return throughCodec(samples, "mulaw");
}

export function throughCodec(samples: Int16Array, encoding: AudioEncoding): Int16Array {
  const bytes = new Uint8Array(samples.length * bytesPerSample(encoding));
  encodeInto(encoding, samples, 0, samples.length, bytes, 0);
  const heard = new Int16Array(samples.length);
  decodeInto(encoding, bytes, 0, bytes.length, heard, 0);
  return heard;
}

/** To another rate and back, as on the way to a recogniser that wants 16 kHz. */
export function throughRate(samples: Int16Array, rateHz: SampleRateHz): Int16Array {
  return resample(resample(samples, 8_000, rateHz), rateHz, 8_000);
}

function resample(samples: Int16Array, fromHz: SampleRateHz, toHz: SampleRateHz): Int16Array {
  const resampler = new Resampler(fromHz, toHz);
  const target = new Int16Array(resampler.outputCount(samples.length));
  resampler.process(samples, 0, samples.length, target, 0);
  return target;
}
