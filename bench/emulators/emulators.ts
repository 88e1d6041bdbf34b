/** All servers together: started, pointed at, closed. */
import { type CartesiaControl, CartesiaServer } from "./cartesia/server.js";
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
  /** `http://127.0.0.1:port` */
  readonly groq: string;
  /** `ws://127.0.0.1:port` */
  readonly cartesia: string;
}

export interface Emulators {
  readonly urls: EmulatorUrls;
  /** What to set for a node so that it uses them. */
  env(): Record<string, string>;
  readonly deepgram: DeepgramControl;
  readonly groq: GroqControl;
  readonly cartesia: CartesiaControl;
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
  const groq = new GroqServer(settings);
  const cartesia = new CartesiaServer(settings);
  const close = async (): Promise<void> => {
    deepgram.close();
    cartesia.close();
    await groq.close();
    settings.clock.cancelAll();
  };
  const listening = await Promise.allSettled([deepgram.listen(), groq.listen(), cartesia.listen()]);
  const failed = listening.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await close();
    throw failed.reason;
  }
  const [deepgramPort, groqPort, cartesiaPort] = listening.map((result) =>
    result.status === "fulfilled" ? result.value : 0,
  );
  const urls: EmulatorUrls = {
    deepgram: `ws://${settings.host}:${deepgramPort}`,
    groq: `http://${settings.host}:${groqPort}`,
    cartesia: `ws://${settings.host}:${cartesiaPort}`,
  };
  return {
    urls,
    env: () => ({
      DEEPGRAM_URL: urls.deepgram,
      DEEPGRAM_API_KEY: settings.apiKey,
      GROQ_URL: urls.groq,
      GROQ_API_KEY: settings.apiKey,
      CARTESIA_URL: urls.cartesia,
      CARTESIA_API_KEY: settings.apiKey,
    }),
    deepgram,
    groq,
    cartesia,
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
