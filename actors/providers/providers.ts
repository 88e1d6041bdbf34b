/**
 * The providers of one shard, by the names tenants choose them by. Each is built when first asked for, so
 * that a shard holds no socket to a vendor none of its calls use.
 *
 * A call asks for one provider of each kind today; ordered fallback lists will be built here, over the same
 * lookups, and look like one provider to the call.
 */
import type { Clock, Random } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { DueSweep } from "./due-sweep.js";
import { Failures, type ProviderErrorListener } from "./failures.js";
import { GroqProvider } from "./llm/groq.js";
import type { LlmProvider } from "./llm/provider.js";
import type { Network } from "./network.js";
import type { ProviderSettings } from "./settings.js";
import { deepgramV1 } from "./stt/deepgram.js";
import type { DeepgramDialect } from "./stt/deepgram-dialect.js";
import { deepgramFlux } from "./stt/deepgram-flux.js";
import { DeepgramProvider } from "./stt/deepgram-provider.js";
import type { SttProvider } from "./stt/provider.js";
import { CartesiaProvider } from "./tts/cartesia.js";
import type { TtsProvider } from "./tts/provider.js";

export type SttName = "deepgram" | "deepgram-flux";
export type LlmName = "groq";
export type TtsName = "cartesia";

export interface ProviderDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** For a counter: every failed stream and every failed dial ahead, by provider and code. */
  readonly onProviderError?: ProviderErrorListener;
  /** @default the machine's */
  readonly network?: Network | undefined;
}

export interface Providers {
  stt(name: SttName): SttProvider;
  llm(name: LlmName): LlmProvider;
  tts(name: TtsName): TtsProvider;
  /** Share of the tightest provider's budget in use on this shard, 0 to 1. Recognisers have no budget here. */
  usage(): number;
  /** Ends every stream with `<kind>_CLOSED` and closes every socket; resolves when they are gone. */
  close(): Promise<void>;
}

export function createProviders(settings: ProviderSettings, deps: ProviderDeps): Providers {
  return new ShardProviders(settings, deps);
}

class ShardProviders implements Providers {
  readonly #settings: ProviderSettings;
  readonly #deps: ProviderDeps;
  readonly #sweep: DueSweep;
  readonly #stt = new Map<SttName, SttProvider>();
  readonly #llm = new Map<LlmName, LlmProvider>();
  readonly #tts = new Map<TtsName, TtsProvider>();

  constructor(settings: ProviderSettings, deps: ProviderDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#sweep = new DueSweep(deps.clock);
  }

  stt(name: SttName): SttProvider {
    return obtain(this.#stt, name, () => {
      switch (name) {
        case "deepgram":
          return this.#deepgram(deepgramV1);
        case "deepgram-flux":
          return this.#deepgram(deepgramFlux);
        default:
          return unknownName(name);
      }
    });
  }

  llm(name: LlmName): LlmProvider {
    return obtain(this.#llm, name, () => {
      if (name !== "groq") return unknownName(name);
      const settings = this.#settings.groq;
      const failures = new Failures("LLM", name, settings.apiKey, this.#deps.onProviderError);
      return new GroqProvider({ ...this.#deps, settings, failures, sweep: this.#sweep });
    });
  }

  tts(name: TtsName): TtsProvider {
    return obtain(this.#tts, name, () => {
      if (name !== "cartesia") return unknownName(name);
      const settings = this.#settings.cartesia;
      const failures = new Failures("TTS", name, settings.apiKey, this.#deps.onProviderError);
      return new CartesiaProvider({ ...this.#deps, settings, failures, sweep: this.#sweep });
    });
  }

  usage(): number {
    const providers = [...this.#llm.values(), ...this.#tts.values()];
    return Math.max(0, ...providers.map((provider) => provider.usage ?? 0));
  }

  async close(): Promise<void> {
    const all = [...this.#stt.values(), ...this.#llm.values(), ...this.#tts.values()];
    await Promise.all(all.map((provider) => provider.close()));
  }

  #deepgram(dialect: DeepgramDialect): SttProvider {
    const settings = this.#settings.deepgram;
    const failures = new Failures("STT", dialect.name, settings.apiKey, this.#deps.onProviderError);
    return new DeepgramProvider(dialect, { ...this.#deps, settings, failures, sweep: this.#sweep });
  }
}

function obtain<Name, Provider>(known: Map<Name, Provider>, name: Name, make: () => Provider): Provider {
  const provider = known.get(name) ?? make();
  known.set(name, provider);
  return provider;
}

/** A name that came past the tenants' schema. */
function unknownName(name: never): never {
  throw new LumentraError("TENANT_CONFIG_INVALID", `no provider is named ${JSON.stringify(name)}`);
}
