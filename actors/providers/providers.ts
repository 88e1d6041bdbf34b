/**
 * The providers of one shard, by the names tenants choose them by. Each is built when first asked for, so
 * that a shard holds no socket to a vendor none of its calls use.
 *
 * A call asks for one provider of each kind today; ordered fallback lists will be built here, over the same
 * lookups, and look like one provider to the call.
 */
import type { LlmName, SttName, TtsName } from "#actors/tenants";
import { DueSweep } from "./due-sweep.js";
import type { LlmProvider } from "./llm/provider.js";
import { type ProviderDeps, buildProvider } from "./registry.js";
import type { ProviderSettings } from "./settings.js";
import type { SttProvider } from "./stt/provider.js";
import type { TtsProvider } from "./tts/provider.js";

export interface Providers {
  /** @throws LumentraError PROVIDER_NOT_SET_UP, as do the others. */
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
  readonly #deps: ProviderDeps & { readonly sweep: DueSweep };
  readonly #stt = new Map<SttName, SttProvider>();
  readonly #llm = new Map<LlmName, LlmProvider>();
  readonly #tts = new Map<TtsName, TtsProvider>();

  constructor(settings: ProviderSettings, deps: ProviderDeps) {
    this.#settings = settings;
    this.#deps = { ...deps, sweep: new DueSweep(deps.clock) };
  }

  stt(name: SttName): SttProvider {
    return obtain(this.#stt, name, () => buildProvider("STT", name, this.#settings, this.#deps));
  }

  llm(name: LlmName): LlmProvider {
    return obtain(this.#llm, name, () => buildProvider("LLM", name, this.#settings, this.#deps));
  }

  tts(name: TtsName): TtsProvider {
    return obtain(this.#tts, name, () => buildProvider("TTS", name, this.#settings, this.#deps));
  }

  usage(): number {
    const providers = [...this.#llm.values(), ...this.#tts.values()];
    return Math.max(0, ...providers.map((provider) => provider.usage ?? 0));
  }

  async close(): Promise<void> {
    const all = [...this.#stt.values(), ...this.#llm.values(), ...this.#tts.values()];
    await Promise.all(all.map((provider) => provider.close()));
  }
}

function obtain<Name, Provider>(known: Map<Name, Provider>, name: Name, make: () => Provider): Provider {
  const provider = known.get(name) ?? make();
  known.set(name, provider);
  return provider;
}
