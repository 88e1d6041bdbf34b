/** Speech and silence as bytes, and a v1 or Flux stream with virtual time to send them on. */
import type { Test } from "tap";
import { toneVoice } from "#bench/speech";
import { VirtualClock } from "#runtime/actor";
import { encodeInto } from "#runtime/media";
import { exactly } from "../distribution.js";
import { type Emulators, startEmulators } from "../emulators.js";
import { EMULATOR_API_KEY, type EmulatorOptions } from "../options.js";
import { type Message, Probe } from "../probe.fixture.js";

export const AUTHORISED = { authorization: `Token ${EMULATOR_API_KEY}` };

export interface Spoken {
  readonly bytes: Uint8Array;
  readonly durationMs: number;
  readonly words: readonly { readonly word: string; readonly startMs: number; readonly endMs: number }[];
}

/** µ-law, cut off right after the last word. */
export function speech(text: string): Spoken {
  const { samples, words } = toneVoice.synthesize(text);
  const durationMs = words.at(-1)!.endMs;
  return { bytes: mulaw(samples.subarray(0, durationMs * 8)), durationMs, words };
}

export function mulaw(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length);
  encodeInto("mulaw", samples, 0, samples.length, bytes, 0);
  return bytes;
}

export function silence(ms: number): Uint8Array {
  return new Uint8Array(ms * 8).fill(0xff);
}

/** The latencies of most tests: exact, so that a millisecond more or less can be told. */
const EXACT = {
  sttInterimMs: exactly(100),
  sttFinalMs: exactly(150),
  sttFinalizeMs: exactly(50),
  llmFirstTokenMs: exactly(200),
  ttsFirstAudioMs: exactly(40),
};

export interface Stage {
  readonly clock: VirtualClock;
  readonly emulators: Emulators;
  /** Opens `/v1/listen` for µ-law at 8 kHz. */
  readonly open: (query?: string) => Promise<Probe>;
  readonly openFlux: (query?: string) => Promise<Probe>;
  /** Sends audio; resolves when it has been heard, with everything it caused sent back. */
  readonly hear: (probe: Probe, bytes: Uint8Array) => Promise<void>;
  /** Moves time on; resolves when everything that fell due has arrived. */
  readonly advance: (probe: Probe, ms: number) => Promise<void>;
}

/** Emulators on virtual time, closed with the test. */
export async function stage(t: Test, options: EmulatorOptions = {}): Promise<Stage> {
  const clock = new VirtualClock();
  const emulators = await startEmulators({ latency: EXACT, clock, ...options });
  const probes: Probe[] = [];
  t.teardown(async () => {
    await Promise.all(probes.map((probe) => probe.close()));
    await emulators.close();
  });
  const open = async (path: string): Promise<Probe> => {
    const probe = await Probe.open(`${emulators.urls.deepgram}${path}`, AUTHORISED);
    probes.push(probe);
    return probe;
  };
  const format = "encoding=mulaw&sample_rate=8000";
  return {
    clock,
    emulators,
    open: (query = "interim_results=true&punctuate=true&endpointing=10") =>
      open(`/v1/listen?model=nova-3&${format}&${query}`),
    openFlux: (query = "") => open(`/v2/listen?model=flux-general-en&${format}&${query}`),
    async hear(probe, bytes) {
      probe.socket.send(bytes);
      await probe.roundTrip();
    },
    async advance(probe, ms) {
      clock.advance(ms);
      await probe.roundTrip();
    },
  };
}

/** The transcript of a v1 result. */
export function transcript(message: Message | undefined): string | undefined {
  const channel = message?.["channel"] as { alternatives: { transcript: string }[] } | undefined;
  return channel?.alternatives[0]?.transcript;
}
