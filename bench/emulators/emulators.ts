/** All servers together: started, pointed at, closed. */
import { type AssemblyControl, AssemblyServer } from "./assemblyai/server.js";
import { type CartesiaControl, CartesiaServer } from "./cartesia/server.js";
import { type ElevenLabsControl, ElevenLabsServer } from "./elevenlabs/server.js";
import { type DeepgramControl, DeepgramServer } from "./deepgram/server.js";
import type { ModelControl } from "./llm/control.js";
import { ModelServer } from "./llm/server.js";
import { MODEL_VENDORS, type ModelVendor } from "./llm/vendors.js";
import type { EmulatorLog } from "./log.js";
import { type SpeechHttpControl, SpeechHttpServer } from "./speech-http/server.js";
import {
  type EmulatorLatency,
  type EmulatorLimits,
  type EmulatorOptions,
  type EmulatorRates,
  checkRates,
  resolveEmulatorOptions,
} from "./options.js";
import { type WhisperControl, WhisperServer } from "./whisper/server.js";

/** Of language models `http://127.0.0.1:port`. */
export interface EmulatorUrls extends Readonly<Record<ModelVendor, string>> {
  /** `ws://127.0.0.1:port` */
  readonly deepgram: string;
  /** `ws://127.0.0.1:port` */
  readonly assemblyai: string;
  /** `ws://127.0.0.1:port` */
  readonly cartesia: string;
  /** `http://127.0.0.1:port` */
  readonly whisper: string;
  /** `ws://127.0.0.1:port` */
  readonly elevenlabs: string;
  /** `http://127.0.0.1:port`: OpenAI speech and Piper. */
  readonly speech: string;
}

export interface Emulators {
  readonly urls: EmulatorUrls;
  /** What to set for a node so that it uses them. */
  env(): Record<string, string>;
  readonly deepgram: DeepgramControl;
  readonly assemblyai: AssemblyControl;
  readonly whisper: WhisperControl;
  /** `models.groq`, which most tests use. */
  readonly groq: ModelControl;
  readonly models: Readonly<Record<ModelVendor, ModelControl>>;
  readonly cartesia: CartesiaControl;
  readonly elevenlabs: ElevenLabsControl;
  readonly speech: SpeechHttpControl;
  readonly log: EmulatorLog;
  readonly latency: EmulatorLatency;
  /** From the next draw on. */
  setLatency(latency: Partial<EmulatorLatency>): void;
  setLimits(limits: Partial<EmulatorLimits>): void;
  /** For what begins from now on; a voice changes its pace at once. @throws RangeError */
  setRates(rates: Partial<EmulatorRates>): void;
  /** Closes every socket; resolves when nothing is left. Idempotent. */
  close(): Promise<void>;
}

/** @throws Error when a port is taken; then none of them is left listening. */
export async function startEmulators(options: EmulatorOptions = {}): Promise<Emulators> {
  const settings = resolveEmulatorOptions(options);
  const deepgram = new DeepgramServer(settings);
  const assemblyai = new AssemblyServer(settings);
  const whisper = new WhisperServer(settings);
  const models = forEachModel((vendor) => new ModelServer(vendor, settings));
  const cartesia = new CartesiaServer(settings);
  const elevenlabs = new ElevenLabsServer(settings);
  const speech = new SpeechHttpServer(settings);
  const servers = { deepgram, assemblyai, whisper, ...models, cartesia, elevenlabs, speech };
  const close = async (): Promise<void> => {
    await Promise.all(Object.values(servers).map(async (server) => server.close()));
    settings.clock.cancelAll();
  };
  const names = Object.keys(servers) as (keyof typeof servers)[];
  const listening = await Promise.allSettled(names.map((name) => servers[name].listen()));
  const failed = listening.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await close();
    throw failed.reason;
  }
  const origin = (scheme: "ws" | "http", name: keyof typeof servers): string => {
    const result = listening[names.indexOf(name)];
    return `${scheme}://${settings.host}:${result?.status === "fulfilled" ? result.value : 0}`;
  };
  const urls: EmulatorUrls = {
    deepgram: origin("ws", "deepgram"),
    ...forEachModel((vendor) => origin("http", vendor)),
    cartesia: origin("ws", "cartesia"),
    elevenlabs: origin("ws", "elevenlabs"),
    assemblyai: origin("ws", "assemblyai"),
    whisper: origin("http", "whisper"),
    speech: origin("http", "speech"),
  };
  return {
    urls,
    env: () => ({
      DEEPGRAM_URL: urls.deepgram,
      DEEPGRAM_API_KEY: settings.apiKey,
      ASSEMBLYAI_URL: urls.assemblyai,
      ASSEMBLYAI_API_KEY: settings.apiKey,
      WHISPER_URL: urls.whisper,
      WHISPER_API_KEY: settings.apiKey,
      GROQ_WHISPER_URL: urls.whisper,
      ...Object.fromEntries(
        MODEL_VENDORS.flatMap((vendor) => [
          [`${vendor.toUpperCase()}_URL`, urls[vendor]],
          [`${vendor.toUpperCase()}_API_KEY`, settings.apiKey],
        ]),
      ),
      CARTESIA_URL: urls.cartesia,
      CARTESIA_API_KEY: settings.apiKey,
      ELEVENLABS_URL: urls.elevenlabs,
      ELEVENLABS_API_KEY: settings.apiKey,
      OPENAI_SPEECH_URL: urls.speech,
      PIPER_URL: urls.speech,
    }),
    deepgram,
    assemblyai,
    whisper,
    groq: models.groq,
    models,
    cartesia,
    elevenlabs,
    speech,
    log: settings.log,
    get latency() {
      return settings.latency;
    },
    setLatency: (latency) => {
      settings.latency = { ...settings.latency, ...latency };
    },
    setLimits: (limits) => {
      settings.limits = { ...settings.limits, ...limits };
    },
    setRates: (rates) => {
      settings.rates = checkRates({ ...settings.rates, ...rates });
    },
    close,
  };
}

function forEachModel<T>(make: (vendor: ModelVendor) => T): Record<ModelVendor, T> {
  const made = MODEL_VENDORS.map((vendor) => [vendor, make(vendor)] as const);
  return Object.fromEntries(made) as Record<ModelVendor, T>;
}
