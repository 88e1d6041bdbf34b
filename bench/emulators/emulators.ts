/** All servers together: started, pointed at, closed. */
import { type AssemblyControl, AssemblyServer } from "./assemblyai/server.js";
import { type CartesiaControl, CartesiaServer } from "./cartesia/server.js";
import { type ElevenLabsControl, ElevenLabsServer } from "./elevenlabs/server.js";
import { type DeepgramControl, DeepgramServer } from "./deepgram/server.js";
import type { GroqControl } from "./groq/control.js";
import { GroqServer } from "./groq/server.js";
import type { EmulatorLog } from "./log.js";
import {
  type EmulatorLatency,
  type EmulatorLimits,
  type EmulatorOptions,
  type EmulatorRates,
  checkRates,
  resolveEmulatorOptions,
} from "./options.js";

export interface EmulatorUrls {
  /** `ws://127.0.0.1:port` */
  readonly deepgram: string;
  /** `ws://127.0.0.1:port` */
  readonly assemblyai: string;
  /** `http://127.0.0.1:port` */
  readonly groq: string;
  /** `ws://127.0.0.1:port` */
  readonly cartesia: string;
  /** `ws://127.0.0.1:port` */
  readonly elevenlabs: string;
}

export interface Emulators {
  readonly urls: EmulatorUrls;
  /** What to set for a node so that it uses them. */
  env(): Record<string, string>;
  readonly deepgram: DeepgramControl;
  readonly assemblyai: AssemblyControl;
  readonly groq: GroqControl;
  readonly cartesia: CartesiaControl;
  readonly elevenlabs: ElevenLabsControl;
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
  const groq = new GroqServer(settings);
  const cartesia = new CartesiaServer(settings);
  const elevenlabs = new ElevenLabsServer(settings);
  const servers = { deepgram, assemblyai, groq, cartesia, elevenlabs };
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
    groq: origin("http", "groq"),
    cartesia: origin("ws", "cartesia"),
    elevenlabs: origin("ws", "elevenlabs"),
    assemblyai: origin("ws", "assemblyai"),
  };
  return {
    urls,
    env: () => ({
      DEEPGRAM_URL: urls.deepgram,
      DEEPGRAM_API_KEY: settings.apiKey,
      ASSEMBLYAI_URL: urls.assemblyai,
      ASSEMBLYAI_API_KEY: settings.apiKey,
      GROQ_URL: urls.groq,
      GROQ_API_KEY: settings.apiKey,
      CARTESIA_URL: urls.cartesia,
      CARTESIA_API_KEY: settings.apiKey,
      ELEVENLABS_URL: urls.elevenlabs,
      ELEVENLABS_API_KEY: settings.apiKey,
    }),
    deepgram,
    assemblyai,
    groq,
    cartesia,
    elevenlabs,
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
