/** A Cartesia socket on virtual time, and an ear for what it says. */
import type { Test } from "tap";
import { type DecodedWord, ToneDecoder, WORD_UNDERSTOOD } from "#bench/speech";
import { VirtualClock } from "#runtime/actor";
import { Resampler, type SampleRateHz, decodeInto } from "#runtime/media";
import { exactly } from "../distribution.js";
import { type Emulators, startEmulators } from "../emulators.js";
import { EMULATOR_API_KEY, type EmulatorOptions } from "../options.js";
import { type Message, Probe } from "../probe.fixture.js";
import type { OutputFormat } from "./request.js";

export const HEADERS = { "x-api-key": EMULATOR_API_KEY, "cartesia-version": "2026-03-01" };

export const MULAW: OutputFormat = { container: "raw", encoding: "pcm_mulaw", sample_rate: 8000 };

export interface VoiceStage {
  readonly clock: VirtualClock;
  readonly emulators: Emulators;
  readonly url: string;
  readonly open: () => Promise<Probe>;
  /** Sends frames; resolves when they have been read. */
  readonly say: (probe: Probe, ...frames: object[]) => Promise<void>;
  readonly advance: (probe: Probe, ms: number) => Promise<void>;
}

export async function voiceStage(t: Test, options: EmulatorOptions = {}): Promise<VoiceStage> {
  const clock = new VirtualClock();
  const emulators = await startEmulators({ clock, latency: { ttsFirstAudioMs: exactly(40) }, ...options });
  const probes: Probe[] = [];
  t.teardown(async () => {
    await Promise.all(probes.map((probe) => probe.close()));
    await emulators.close();
  });
  const url = `${emulators.urls.cartesia}/tts/websocket`;
  return {
    clock,
    emulators,
    url,
    async open() {
      const probe = await Probe.open(url, HEADERS);
      probes.push(probe);
      return probe;
    },
    async say(probe, ...frames) {
      for (const frame of frames) probe.send(frame);
      await probe.roundTrip();
    },
    async advance(probe, ms) {
      clock.advance(ms);
      await probe.roundTrip();
    },
  };
}

/** A generation frame, with what a node of ours sends where nothing else is said. */
export function frame(contextId: string, transcript: string, fields: object = {}): object {
  return {
    model_id: "sonic-3",
    context_id: contextId,
    transcript,
    continue: true,
    voice: { mode: "id", id: "f786b574-daa5-4673-aa0c-cbe3e8534c02" },
    language: "en",
    output_format: MULAW,
    max_buffer_delay_ms: 0,
    ...fields,
  };
}

export function of(probe: Probe, contextId: string, type?: string): Message[] {
  return probe.messages.filter(
    (message) => message["context_id"] === contextId && (type === undefined || message["type"] === type),
  );
}

export function audioOf(messages: readonly Message[]): Buffer {
  return Buffer.concat(
    messages
      .filter((message) => message["type"] === "chunk")
      .map((message) => Buffer.from(String(message["data"]), "base64")),
  );
}

/** The words that can be heard in it. */
export function heardIn(bytes: Buffer, format: OutputFormat = MULAW): string {
  return wordsIn(bytes, format)
    .map((word) => word.word)
    .join(" ");
}

export function wordsIn(bytes: Buffer, format: OutputFormat): DecodedWord[] {
  const words: DecodedWord[] = [];
  const decoder = new ToneDecoder((word) => {
    if (word.confidence >= WORD_UNDERSTOOD) words.push(word);
  });
  decoder.push(at8k(samplesOf(bytes, format), format.sample_rate));
  return words;
}

function samplesOf(bytes: Buffer, { encoding }: OutputFormat): Int16Array {
  if (encoding === "pcm_f32le") {
    return Int16Array.from({ length: bytes.length / 4 }, (_, n) =>
      Math.round(bytes.readFloatLE(n * 4) * 32768),
    );
  }
  const name = { pcm_mulaw: "mulaw", pcm_alaw: "alaw", pcm_s16le: "l16le" } as const;
  const samples = new Int16Array(bytes.length);
  const count = decodeInto(name[encoding], bytes, 0, bytes.length, samples, 0);
  return samples.subarray(0, count);
}

function at8k(samples: Int16Array, rateHz: number): Int16Array {
  if (rateHz === 8000) return samples;
  const known: readonly number[] = [16_000, 24_000, 48_000];
  if (!known.includes(rateHz)) {
    // 22.05 and 44.1 kHz: the nearest sample will do, speech is far below their band.
    const step = rateHz / 8000;
    return Int16Array.from(
      { length: Math.floor(samples.length / step) },
      (_, n) => samples[Math.round(n * step)]!,
    );
  }
  const resampler = new Resampler(rateHz as SampleRateHz, 8000);
  const narrow = new Int16Array(resampler.outputCount(samples.length));
  resampler.process(samples, 0, samples.length, narrow, 0);
  // What the filter holds back is taken off again, so that words stand where they stood.
  return narrow.subarray(Math.round(resampler.delayMs * 8));
}
