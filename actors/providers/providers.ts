/**
 * The providers of one shard, by the names tenants choose them by. Each is built when first asked for, so
 * that a shard holds no socket to a vendor none of its calls use.
 *
 * A call gets one of each kind that is its tenant's ordered list (`forCall`); phrases are rendered by voice (`voice`).
 */
import { LRUCache } from "lru-cache";
import type { LlmName, SttName, TenantConfig, TtsName } from "#actors/tenants";
import { DueSweep } from "./due-sweep.js";
import type { LlmProvider } from "./llm/provider.js";
import type { ProviderKind } from "./failures.js";
import { type ProviderDeps, accountOf, buildProvider, isOffered } from "./registry.js";
import type {
  AccountMetrics,
  ProviderAccount,
  ProviderAccountState,
  ProviderNotice,
} from "./resilience/account.js";
import { ProviderAccounts } from "./resilience/accounts.js";
import type { ChainMetrics } from "./resilience/chain.js";
import { LlmChain } from "./resilience/llm-chain.js";
import { SttChain } from "./resilience/stt-chain.js";
import { TtsChain } from "./resilience/tts-chain.js";
import type { ProviderSettings } from "./settings.js";
import type { SttProvider } from "./stt/provider.js";
import type { TtsProvider } from "./tts/provider.js";

/** How a shard's providers share what they learn, and count it. */
export interface ResilienceDeps {
  readonly metrics: AccountMetrics & ChainMetrics;
  /** For the other shards of the node. */
  readonly notify: (notice: ProviderNotice) => void;
  /** Most at once on this shard, by provider. @default Infinity */
  readonly ceilingOf?: (kind: ProviderKind, provider: string) => number;
}

const ALONE: ResilienceDeps = {
  metrics: { breaker: () => {}, denied: () => {}, fallback: () => {}, hedge: () => {} },
  notify: () => {},
};

/** Different lists are few: tenants choose among a handful of providers. One that was forgotten comes with its next call. */
const LISTS_MAX = 256;

/** One of a list. */
interface Member {
  readonly account: ProviderAccount;
  /** Of the provider's own bound. */
  readonly own: () => number;
}

/** Whose share of an account phrases are that are rendered ahead: no tenant's. */
const PHRASES = "(phrases)";

/** One of each kind, with the tenant's fallbacks behind it. */
export interface CallProviders {
  readonly stt: SttProvider;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
}

export interface Providers {
  /** @throws LumentraError PROVIDER_NOT_SET_UP for a first choice; fallbacks that are not set up are left out. */
  forCall(tenant: TenantConfig): CallProviders;
  /** @throws LumentraError PROVIDER_NOT_SET_UP, as do the others. */
  stt(name: SttName): SttProvider;
  llm(name: LlmName): LlmProvider;
  tts(name: TtsName): TtsProvider;
  /** One voice, let in by its account as it is for calls: for phrases that are rendered ahead. */
  voice(choice: Pick<TenantConfig["tts"], "provider" | "model" | "voice">): TtsProvider;
  /**
   * How near this shard's calls are to finding nobody: of each list that calls have, the share in use of the provider
   * that has most room; the highest of them, 0 to 1.
   */
  usage(): number;
  /** Another shard's word on a provider. */
  hear(notice: ProviderNotice): void;
  /** Of every provider that was asked for. */
  accounts(): readonly ProviderAccountState[];
  /** Ends every stream with `<kind>_CLOSED` and closes every socket; resolves when they are gone. */
  close(): Promise<void>;
}

export function createProviders(
  settings: ProviderSettings,
  deps: ProviderDeps,
  resilience: ResilienceDeps = ALONE,
): Providers {
  return new ShardProviders(settings, deps, resilience);
}

class ShardProviders implements Providers {
  readonly #settings: ProviderSettings;
  readonly #deps: ProviderDeps & { readonly sweep: DueSweep };
  readonly #stt = new Map<SttName, SttProvider>();
  readonly #llm = new Map<LlmName, LlmProvider>();
  readonly #tts = new Map<TtsName, TtsProvider>();

  readonly #chainMetrics: ChainMetrics;
  readonly #accounts: ProviderAccounts;
  /** Lists of calls by what they say; those used last. */
  readonly #lists = new LRUCache<string, readonly Member[]>({ max: LISTS_MAX });

  constructor(settings: ProviderSettings, deps: ProviderDeps, resilience: ResilienceDeps) {
    this.#settings = settings;
    this.#deps = { ...deps, sweep: new DueSweep(deps.clock) };
    this.#chainMetrics = resilience.metrics;
    this.#accounts = new ProviderAccounts({
      ...resilience,
      clock: deps.clock,
      random: deps.random,
      vendorAccountOf: (kind, provider) => accountOf(kind, provider) ?? provider,
    });
  }

  forCall(tenant: TenantConfig): CallProviders {
    const { clock, random, log, sweep } = this.#deps;
    const metrics = this.#chainMetrics;
    const { id: tenantId, stt, llm, tts } = tenant;
    // The first choices are built now: what is not set up is found out before the call begins.
    this.stt(stt.provider);
    this.llm(llm.provider);
    this.tts(tts.provider);
    const sttRoutes = [stt, ...this.#offered("STT", stt.fallbacks)].map(({ provider, model }) => ({
      name: provider,
      model,
      account: this.#accounts.get("STT", provider),
      provider: () => this.stt(provider),
    }));
    const llmRoutes = [llm, ...this.#offered("LLM", llm.fallbacks)].map(({ provider, model }) => ({
      name: provider,
      model,
      account: this.#accounts.get("LLM", provider),
      provider: () => this.llm(provider),
    }));
    const ttsRoutes = [tts, ...this.#offered("TTS", tts.fallbacks)].map(({ provider, model, voice }) => ({
      name: provider,
      model,
      voice,
      account: this.#accounts.get("TTS", provider),
      provider: () => this.tts(provider),
    }));
    this.#note("STT", sttRoutes, this.#stt);
    this.#note("LLM", llmRoutes, this.#llm);
    this.#note("TTS", ttsRoutes, this.#tts);
    return {
      stt: new SttChain(sttRoutes, { clock, random, log, tenantId, metrics }),
      llm: new LlmChain(llmRoutes, { clock, sweep, tenantId, hedge: llm.hedge, metrics }),
      tts: new TtsChain(ttsRoutes, { clock, sweep, tenantId, metrics }),
    };
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

  voice({ provider, model, voice }: Parameters<Providers["voice"]>[0]): TtsProvider {
    const { clock, sweep } = this.#deps;
    const built = this.tts(provider);
    const account = this.#accounts.get("TTS", provider);
    const route = { name: provider, model, voice, account, provider: () => built };
    return new TtsChain([route], { clock, sweep, tenantId: PHRASES, metrics: this.#chainMetrics });
  }

  usage(): number {
    return Math.max(0, ...[...this.#lists.values()].map(usageOf));
  }

  hear(notice: ProviderNotice): void {
    this.#accounts.hear(notice);
  }

  accounts(): readonly ProviderAccountState[] {
    return this.#accounts.states();
  }

  async close(): Promise<void> {
    const all = [...this.#stt.values(), ...this.#llm.values(), ...this.#tts.values()];
    await Promise.all(all.map((provider) => provider.close()));
  }

  #note(
    kind: ProviderKind,
    routes: readonly { readonly name: string; readonly account: ProviderAccount }[],
    built: ReadonlyMap<string, { readonly name: string; readonly usage?: number }>,
  ): void {
    const key = [kind, ...routes.map(({ name }) => name)].join(" ");
    if (this.#lists.get(key) !== undefined) return;
    this.#lists.set(
      key,
      routes.map(({ name, account }) => ({ account, own: () => built.get(name)?.usage ?? 0 })),
    );
  }

  #offered<Choice extends { readonly provider: string }>(
    kind: ProviderKind,
    choices: readonly Choice[],
  ): Choice[] {
    return choices.filter(({ provider }) => isOffered(kind, provider, this.#settings));
  }
}

/** By its best alternative whose breaker lets anybody in; when there is none, the failure is no lack of room. */
function usageOf(members: readonly Member[]): number {
  const open = members.filter(({ account }) => account.isOpen);
  const counted = open.length > 0 ? open : members;
  return Math.min(...counted.map(({ account, own }) => Math.max(account.budget.usage, own())));
}

function obtain<Name, Provider>(known: Map<Name, Provider>, name: Name, make: () => Provider): Provider {
  const provider = known.get(name) ?? make();
  known.set(name, provider);
  return provider;
}
