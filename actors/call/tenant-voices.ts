/**
 * What each tenant's agent says without a model, rendered ahead and kept up: in the tenant's voice, or while that one
 * is down in the first of its fallbacks that works, so that no caller is left without words. What is missing is
 * rendered again and again until the tenant's own voice has said it.
 *
 * Invariants
 * T1 one timer per shard, one round at a time; a round asks a provider that is down nothing its breaker forbids.
 * T2 a tenant that was replaced is not told of any more.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { type AudioFormat, MULAW_8K } from "#runtime/media";
import type { TenantConfig } from "#actors/tenants";
import { cacheableTexts, essentialTexts, overflowMessage, shardLostApology } from "./tenant-phrases.js";
import type { CachedSpeech, VoiceCache, VoiceKey } from "./voice-cache.js";

/** Between rounds: as often as a breaker that stays open asks for a probe. */
export const RENDER_AGAIN_MS = 30_000;

export interface TenantVoicesDeps {
  readonly clock: Clock;
  readonly cache: VoiceCache;
  /** For the main thread, which needs it when no shard can be asked; µ-law, 8 kHz. */
  readonly emit: (kind: "apology" | "overflow", tenantId: string, speech: CachedSpeech) => void;
}

export class TenantVoices {
  readonly #deps: TenantVoicesDeps;
  /** Those of which something is missing; by id, so that the newest configuration counts. */
  readonly #unfinished = new Map<string, TenantConfig>();
  #tenants: ReadonlySet<TenantConfig> = new Set();
  #again: TimerHandle | null = null;
  #isRunning = false;
  #closed = false;

  constructor(deps: TenantVoicesDeps) {
    this.#deps = deps;
  }

  /** The tenants there are from now on. */
  replace(tenants: readonly TenantConfig[]): void {
    this.#tenants = new Set(tenants);
    this.#unfinished.clear(); // T2
  }

  /** Settles when all is there, or could not be had for now. */
  async warm(tenant: TenantConfig): Promise<void> {
    const { cache } = this.#deps;
    const overflow = overflowMessage(tenant);
    const texts = [...cacheableTexts(tenant), ...(overflow === null ? [] : [overflow])];
    const missingCount = await cache.warm(voiceKey(tenant, MULAW_8K), texts, standIns(tenant, MULAW_8K));
    if (this.#closed || !this.#tenants.has(tenant)) return; // T2
    this.#emit("apology", tenant, shardLostApology(tenant));
    if (overflow !== null) this.#emit("overflow", tenant, overflow);
    if (missingCount === 0) {
      this.#unfinished.delete(tenant.id);
    } else {
      this.#unfinished.set(tenant.id, tenant);
      this.#arm();
    }
  }

  /** For a leg in another format than the one that is kept up. */
  warmFor(tenant: TenantConfig, format: AudioFormat): void {
    void this.#deps.cache.warm(voiceKey(tenant, format), cacheableTexts(tenant), standIns(tenant, format));
  }

  close(): void {
    this.#closed = true;
    this.#again?.cancel();
  }

  #emit(kind: "apology" | "overflow", tenant: TenantConfig, text: string): void {
    const speech = this.#deps.cache.get(voiceKey(tenant, MULAW_8K), text);
    if (speech !== null) this.#deps.emit(kind, tenant.id, speech);
  }

  #arm(): void {
    if (this.#closed || this.#isRunning) return; // T1: the round arms it when it is over
    this.#again ??= this.#deps.clock.setTimer(RENDER_AGAIN_MS, () => void this.#round());
  }

  async #round(): Promise<void> {
    this.#again = null;
    this.#isRunning = true;
    const round = Array.from(this.#unfinished.values()); // those that fail again are put back
    for (const tenant of round) {
      if (!this.#closed) await this.warm(tenant);
    }
    this.#isRunning = false;
    if (this.#unfinished.size > 0) this.#arm();
  }
}

export function voiceKey(tenant: TenantConfig, format: AudioFormat): VoiceKey {
  const { provider, model, voice } = tenant.tts;
  return { provider, model, voice, language: tenant.language, format };
}

function standIns(tenant: TenantConfig, format: AudioFormat) {
  const { language, tts } = tenant;
  const voices = tts.fallbacks.map(({ provider, model, voice }) => ({
    provider,
    model,
    voice,
    language,
    format,
  }));
  return { voices, texts: essentialTexts(tenant) };
}
