/** What people set (`EmulatorOptions`) and what the servers read (`EmulatorSettings`). */
import { type Clock, type Random, SystemClock, seededRandom } from "#runtime/actor";
import { type Distribution, around } from "./distribution.js";
import { MODEL_VENDORS, type ModelVendor } from "./llm/vendors.js";
import { EmulatorLog, LOG_CAPACITY_DEFAULT } from "./log.js";
import { OwnedClock } from "./owned-clock.js";
import { type Voice, toneVoice } from "#bench/speech";

/** The key every emulator accepts, and no other. */
export const EMULATOR_API_KEY = "lumentra-emulator-key";

export interface EmulatorLatency {
  /** From the arrival of the audio that holds a word's end to the interim with that word. @default 100 ± 10 */
  readonly sttInterimMs: Distribution;
  /** From the arrival of the last speech audio to the final. Never before the endpointing silence. @default 150 ± 15 */
  readonly sttFinalMs: Distribution;
  /** From a `Finalize` to its final; never before the interim of the last word would come. @default 50 ± 5 */
  readonly sttFinalizeMs: Distribution;
  /** From the end of the request to the first token. @default 200 ± 20 */
  readonly llmFirstTokenMs: Distribution;
  /** From a text's arrival to the first audio of it. @default 40 ± 4 */
  readonly ttsFirstAudioMs: Distribution;
}

/** What an account may do at once; over it come the vendor's own refusals. Generous, so that only tests meet them. */
export interface EmulatorLimits {
  /** Deepgram: open streams, both versions together. @default 4096 */
  readonly deepgramStreams: number;
  /** AssemblyAI: open sessions. @default 4096 */
  readonly assemblyaiSessions: number;
  /** AssemblyAI: sessions opened in a minute. @default 1000000 */
  readonly assemblyaiSessionsPerMinute: number;
  /** Whisper: requests in any minute. @default 1000000 */
  readonly whisperRequestsPerMinute: number;
  /** Cartesia: contexts with audio still to come, over all sockets. @default 4096 */
  readonly cartesiaContexts: number;
  /** ElevenLabs: contexts that are not over, over all sockets. @default 4096 */
  readonly elevenLabsContexts: number;
  /** ElevenLabs: contexts on one socket. @default 5, the vendor's */
  readonly elevenLabsContextsPerSocket: number;
  /** Voices by HTTP: requests at once. @default 4096 */
  readonly speechRequests: number;
  /** Each language model: requests in any minute. @default 1000000 */
  readonly llmRequestsPerMinute: number;
  /** Each language model: prompt and completion tokens in any minute. @default 1000000000 */
  readonly llmTokensPerMinute: number;
}

/** How fast things go once they have begun. */
export interface EmulatorRates {
  /** @default 500 */
  readonly llmTokensPerSecond: number;
  /** How much faster than it is spoken speech is delivered. @default 20 */
  readonly ttsRealtimeFactor: number;
  /** Deepgram works through audio at most this much faster than it is spoken; the vendor says 1.25. @default unlimited */
  readonly sttMaxRealtimeFactor: number;
}

export interface EmulatorPorts extends Readonly<Record<ModelVendor, number>> {
  readonly deepgram: number;
  readonly assemblyai: number;
  readonly whisper: number;
  readonly cartesia: number;
  readonly elevenlabs: number;
  /** Voices by HTTP: OpenAI speech and Piper. */
  readonly speech: number;
}

export interface EmulatorOptions {
  /** @default 127.0.0.1 */
  readonly host?: string;
  /** 0 picks a free one. @default 0 each */
  readonly ports?: Partial<EmulatorPorts>;
  /** Draws of latencies and ids. @default 1 */
  readonly seed?: number;
  /** How the voices speak. @default toneVoice */
  readonly voice?: Voice;
  readonly latency?: Partial<EmulatorLatency>;
  /** @default 500 */
  readonly llmTokensPerSecond?: number;
  /** How much faster than it is spoken speech is delivered. @default 20 */
  readonly ttsRealtimeFactor?: number;
  /** Deepgram works through audio at most this much faster than it is spoken; the vendor says 1.25. @default unlimited */
  readonly sttMaxRealtimeFactor?: number;
  readonly limits?: Partial<EmulatorLimits>;
  /** Key the servers accept. @default EMULATOR_API_KEY */
  readonly apiKey?: string;
  /** Entries kept. @default LOG_CAPACITY_DEFAULT */
  readonly logCapacity?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Complete, and shared by all servers of one startEmulators(). `latency`, rates and limits may change while they run. */
export interface EmulatorSettings {
  readonly host: string;
  readonly ports: EmulatorPorts;
  readonly voice: Voice;
  latency: EmulatorLatency;
  rates: EmulatorRates;
  limits: EmulatorLimits;
  readonly apiKey: string;
  readonly clock: OwnedClock;
  readonly random: Random;
  readonly log: EmulatorLog;
}

const DEFAULT_LATENCY: EmulatorLatency = {
  sttInterimMs: around(100),
  sttFinalMs: around(150),
  sttFinalizeMs: around(50),
  llmFirstTokenMs: around(200),
  ttsFirstAudioMs: around(40),
};

const DEFAULT_RATES: EmulatorRates = {
  llmTokensPerSecond: 500,
  ttsRealtimeFactor: 20,
  sttMaxRealtimeFactor: Infinity,
};

const DEFAULT_LIMITS: EmulatorLimits = {
  deepgramStreams: 4_096,
  assemblyaiSessions: 4_096,
  assemblyaiSessionsPerMinute: 1_000_000,
  whisperRequestsPerMinute: 1_000_000,
  cartesiaContexts: 4_096,
  elevenLabsContexts: 4_096,
  speechRequests: 4_096,
  elevenLabsContextsPerSocket: 5,
  llmRequestsPerMinute: 1_000_000,
  llmTokensPerMinute: 1_000_000_000,
};

const NO_PORTS: EmulatorPorts = {
  deepgram: 0,
  assemblyai: 0,
  whisper: 0,
  cartesia: 0,
  elevenlabs: 0,
  speech: 0,
  ...(Object.fromEntries(MODEL_VENDORS.map((vendor) => [vendor, 0])) as Record<ModelVendor, number>),
};

export function resolveEmulatorOptions(options: EmulatorOptions): EmulatorSettings {
  const clock = new OwnedClock(options.clock ?? new SystemClock());
  return {
    host: options.host ?? "127.0.0.1",
    ports: { ...NO_PORTS, ...options.ports },
    voice: options.voice ?? toneVoice,
    latency: { ...DEFAULT_LATENCY, ...options.latency },
    rates: checkRates({
      llmTokensPerSecond: options.llmTokensPerSecond ?? DEFAULT_RATES.llmTokensPerSecond,
      ttsRealtimeFactor: options.ttsRealtimeFactor ?? DEFAULT_RATES.ttsRealtimeFactor,
      sttMaxRealtimeFactor: options.sttMaxRealtimeFactor ?? DEFAULT_RATES.sttMaxRealtimeFactor,
    }),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    apiKey: options.apiKey ?? EMULATOR_API_KEY,
    clock,
    random: seededRandom(options.seed ?? 1),
    log: new EmulatorLog(options.logCapacity ?? LOG_CAPACITY_DEFAULT),
  };
}

/** @throws RangeError */
export function checkRates(rates: EmulatorRates): EmulatorRates {
  for (const [name, value] of Object.entries(rates) as [string, number][]) {
    if (!(value > 0)) throw new RangeError(`${name} must be above 0 (got ${value})`);
  }
  return rates;
}
