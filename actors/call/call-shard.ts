/**
 * A shard's side of calls: one actor per call over the shard's providers, voice cache and tools. Ready only
 * when it can serve: providers are warm and the tenants' phrases are in memory, as far as that can be had in
 * READY_WITHIN_MS; a node must start without its providers too, and apologise.
 */
import { ActorSystem, type ActorRef, type Clock, SystemClock, type TimerHandle } from "#runtime/actor";
import type { CallOutcome, CallStart, ShardContext, ShardHandler } from "#runtime/cluster";
import { LumentraError } from "#runtime/errors";
import { MULAW_8K, type ShardSlot } from "#runtime/media";
import {
  type Logger,
  type LoggerOptions,
  type Metrics,
  createLogger,
  createMetrics,
} from "#runtime/telemetry";
import {
  type Network,
  type ProviderNotice,
  type ProviderSettings,
  type Providers,
  createProviders,
} from "#actors/providers";
import type { TenantConfig, TtsName } from "#actors/tenants";
import { ToolRegistry } from "#actors/tools";
import { type CallMessage, RINGS_READY, callActorProps } from "./call-actor.js";
import type { Call } from "./call.js";
import { CallCounters } from "./counters.js";
import type { JournalEvent } from "#actors/journal";
import { Lull } from "./lull.js";
import { MessageFiles } from "./message-files.js";
import { collectProviders, providerMetrics } from "./provider-metrics.js";
import { RingLosses } from "./ring-losses.js";
import { TenantVoices, voiceKey } from "./tenant-voices.js";
import { type CachedSpeech, VoiceCache } from "./voice-cache.js";
import { voiceDirectory } from "./voice-files.js";

/** Rendering a few tenants' phrases takes a second or two; a provider that is down must not hold up the start. */
const READY_WITHIN_MS = 5_000;
/** How long before a drain's deadline the calls that are left are told goodbye. */
const GOODBYE_BEFORE_MS = 5_000;

/** Of the node's backpressure ladder. */
const NO_SPECULATION_RUNG = 1;

/** What the node hands each shard at spawn; plain data. */
export interface CallShardData {
  readonly providers: ProviderSettings;
  readonly dataDirectory: string;
  /** This shard's part of what an account may run at once, by provider's name; absent ones have no bound. */
  readonly providerLimits?: Readonly<Record<string, number>>;
  readonly log: Pick<LoggerOptions, "level" | "logPii">;
}

/** Replaces the one before; calls keep the tenant they began with. */
export interface CallShardConfig {
  readonly tenants: readonly TenantConfig[];
}

/** What a shard tells the node besides how calls end. */
export type CallShardEvent =
  | { readonly kind: "journal"; readonly tenure: number; readonly event: JournalEvent }
  /** The audio the edge plays to the tenant's callers when this shard is gone; µ-law, 8 kHz. */
  | { readonly kind: "apology"; readonly tenantId: string; readonly audio: Uint8Array }
  /** The tenant's overflow message, which the edge has carriers play to callers it refuses; µ-law, 8 kHz. */
  | {
      readonly kind: "overflow";
      readonly tenantId: string;
      readonly text: string;
      readonly audio: Uint8Array;
    }
  /** Something for the other shards to know. */
  | { readonly kind: "provider"; readonly notice: ProviderNotice };

/** Topics of `ask`; "provider" tells a ProviderNotice. */
export type CallShardTopic = "metrics" | "provider";

/** What a simulation puts in the machine's place. */
export interface CallShardParts {
  /** The way to the providers. @default the machine's */
  readonly network?: Network;
  /** @default one of the shard's own, with its disk half */
  readonly cache?: VoiceCache;
  readonly log?: Logger;
  /** @default the thread's own set */
  readonly metrics?: Metrics;
  /** Where callers' messages go. @default the disk */
  readonly messages?: Pick<MessageFiles, "start" | "open" | "settled">;
  /** Told of each call before it begins. */
  readonly onCall?: (start: CallStart, call: Call) => void;
}

export function createCallShard(context: ShardContext, parts: CallShardParts = {}): ShardHandler {
  return new CallShard(context, parts);
}

interface OpenCall {
  readonly actor: ActorRef<CallMessage>;
  readonly lull: Lull;
}

class CallShard implements ShardHandler {
  readonly #context: ShardContext;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #providers: Providers;
  readonly #cache: VoiceCache;
  readonly #voices: TenantVoices;
  readonly #messages: Pick<MessageFiles, "start" | "open" | "settled">;
  readonly #tools = new ToolRegistry();
  readonly #counters: CallCounters;
  readonly #losses: RingLosses;
  readonly #system: ActorSystem;
  readonly #calls = new Map<number, OpenCall>();
  readonly #onCall: CallShardParts["onCall"];
  #tenants = new Map<string, TenantConfig>();
  #drain: TimerHandle | null = null;

  constructor(context: ShardContext, parts: CallShardParts) {
    this.#onCall = parts.onCall;
    const data = context.workerData as CallShardData;
    const thread = `shard-${context.shardId}`;
    this.#context = context;
    this.#log = parts.log ?? createLogger({ ...data.log, name: thread });
    this.#metrics = parts.metrics ?? createMetrics({ thread });
    const { clock } = context;
    if (clock instanceof SystemClock) {
      this.#metrics.onCollect(() => this.#metrics.timers.set({ thread }, clock.timerCount));
    }
    this.#counters = new CallCounters(this.#metrics);
    this.#losses = new RingLosses(context.arena, this.#metrics);
    const limits = data.providerLimits ?? {};
    this.#providers = createProviders(
      data.providers,
      {
        clock: context.clock,
        random: context.random,
        log: this.#log,
        onProviderError: (provider, code) => this.#counters.providerFailed(provider, code),
        network: parts.network,
      },
      {
        metrics: providerMetrics(this.#metrics),
        notify: (notice) => {
          this.#log.warn({ ...notice }, "a provider's breaker moved");
          context.emit({ kind: "provider", notice } satisfies CallShardEvent);
        },
        ceilingOf: (_kind, provider) => limits[provider] ?? Number.POSITIVE_INFINITY,
      },
    );
    this.#cache =
      parts.cache ??
      new VoiceCache({
        clock: context.clock,
        log: this.#log,
        directory: voiceDirectory(data.dataDirectory),
        tts: (key) => this.#providers.voice({ ...key, provider: key.provider as TtsName }),
      });
    this.#voices = new TenantVoices({
      clock: context.clock,
      cache: this.#cache,
      emit: (kind, tenantId, speech) => this.#emitSpoken(kind, tenantId, speech),
    });
    this.#messages = parts.messages ?? new MessageFiles(data.dataDirectory, this.#log);
    this.#system = new ActorSystem({ clock: context.clock, random: context.random, log: this.#log });
    this.#metrics.onCollect(() => this.#collect(thread));
  }

  start(): Promise<void> {
    return this.#messages.start();
  }

  async configure(config: unknown): Promise<void> {
    const { tenants } = config as CallShardConfig;
    this.#tenants = new Map(tenants.map((tenant) => [tenant.id, tenant]));
    this.#voices.replace(tenants);
    await within(this.#context.clock, READY_WITHIN_MS, this.#warm(tenants));
  }

  openCall(slot: number, leg: ShardSlot, start: CallStart): void {
    const tenant = this.#tenants.get(start.tenantId);
    if (tenant === undefined) {
      // It was removed between the webhook and the media socket.
      throw new LumentraError("TENANT_CONFIG_INVALID", `there is no tenant ${start.tenantId} any more`);
    }
    const journal = start.resumed?.journal as readonly JournalEvent[] | undefined;
    if (journal?.at(-1)?.kind === "callEnded") {
      throw new LumentraError("CALL_ENDED", `call ${start.callId} is over and cannot be resumed`);
    }
    const lull = new Lull(leg.in);
    const props = callActorProps({
      start,
      leg,
      tenant,
      ...this.#providers.forCall(tenant),
      tools: this.#tools,
      cache: this.#cache,
      messages: this.#messages,
      counters: this.#counters,
      lull,
      emit: (event) =>
        this.#context.emit({ kind: "journal", tenure: start.tenure, event } satisfies CallShardEvent),
      enter: () => this.#context.enter(slot),
      leave: () => this.#context.leave(),
      wakeEdge: () => this.#context.wakeEdge(slot),
      maySpeculate: () => this.#context.pressure() < NO_SPECULATION_RUNG,
      hangUp: () => this.#context.hangUp(slot),
      onEnded: (outcome) => this.#onEnded(slot, outcome),
      onCall: this.#onCall,
    });
    this.#calls.set(slot, { actor: this.#system.spawn(props), lull });
    this.#losses.opened(slot);
    if (start.format.encoding !== MULAW_8K.encoding || start.format.sampleRateHz !== MULAW_8K.sampleRateHz) {
      this.#voices.warmFor(tenant, start.format);
    }
  }

  endCall(slot: number, outcome: CallOutcome): void {
    const call = this.#calls.get(slot)?.actor;
    if (outcome.kind === "handedOver") call?.tell({ kind: "handOver" });
    else call?.tell({ kind: outcome.kind === "leaseLost" ? "abandon" : "endSoon", outcome });
  }

  ringsReady(slot: number): void {
    const call = this.#calls.get(slot);
    if (call !== undefined && !call.lull.mayWait) call.actor.tellOnce(RINGS_READY);
  }

  afterTick(): void {
    this.#system.runReady();
  }

  beginDrain(deadlineMs: number): void {
    const { clock } = this.#context;
    this.#drain = clock.setTimer(Math.max(0, deadlineMs - GOODBYE_BEFORE_MS - clock.nowMs()), () => {
      for (const { actor } of this.#calls.values())
        actor.tell({ kind: "endSoon", outcome: { kind: "drained" } });
    });
  }

  ask(topic: string, payload: unknown): Promise<unknown> {
    if (topic === ("provider" satisfies CallShardTopic)) {
      this.#providers.hear(payload as ProviderNotice);
      return Promise.resolve(null);
    }
    if (topic === ("metrics" satisfies CallShardTopic)) return this.#metrics.snapshot();
    return Promise.reject(new Error(`a shard answers nothing about ${topic}`));
  }

  budgetUsage(): number {
    return this.#providers.usage();
  }

  async stop(): Promise<void> {
    this.#drain?.cancel();
    this.#voices.close();
    await this.#system.shutdown();
    await this.#messages.settled();
    await this.#providers.close();
    this.#metrics.close();
  }

  #onEnded(slot: number, outcome: CallOutcome): void {
    this.#calls.delete(slot);
    this.#losses.closed(slot);
    this.#context.callClosed(slot, outcome);
  }

  async #warm(tenants: readonly TenantConfig[]): Promise<void> {
    await Promise.all(
      tenants.map(async (tenant) => {
        try {
          await this.#warmProviders(tenant);
        } catch (error) {
          // Its calls are refused with the same error; other tenants must not wait for the settings.
          this.#log.warn({ err: error, tenantId: tenant.id }, "a tenant cannot be served here");
          return;
        }
        await this.#voices.warm(tenant);
      }),
    );
  }

  /** @throws LumentraError PROVIDER_NOT_SET_UP; one that is down is not waited for. */
  async #warmProviders(tenant: TenantConfig): Promise<void> {
    const { language, keyterms, stt, llm, tts } = tenant;
    await Promise.allSettled([
      this.#providers.stt(stt.provider).warm({ model: stt.model, language, format: MULAW_8K, keyterms }),
      this.#providers.llm(llm.provider).warm(),
      this.#providers.tts(tts.provider).warm(voiceKey(tenant, MULAW_8K)),
    ]);
  }

  #emitSpoken(kind: "apology" | "overflow", tenantId: string, { text, audio }: CachedSpeech): void {
    const event: CallShardEvent =
      kind === "apology" ? { kind, tenantId, audio } : { kind, tenantId, text, audio };
    this.#context.emit(event);
  }

  #collect(thread: string): void {
    const { arena } = this.#context;
    this.#losses.collect();
    collectProviders(this.#metrics, this.#providers.accounts());
    let inFill = 0;
    let outFill = 0;
    for (const slot of this.#calls.keys()) {
      const stats = arena.stats(slot);
      inFill = Math.max(inFill, stats.inFillRecords);
      outFill = Math.max(outFill, stats.outFillRecords);
    }
    this.#metrics.ringFillMaxRecords.set({ thread, direction: "in" }, inFill);
    this.#metrics.ringFillMaxRecords.set({ thread, direction: "out" }, outFill);
    this.#metrics.mailboxDepthMaxMessages.set({ thread }, this.#system.stats().deepestMailbox);
  }
}

/** Until it is done, and no longer than that. No timer is left. */
function within(clock: Clock, boundMs: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(boundMs, resolve);
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
