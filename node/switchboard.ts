/**
 * Between the edge and the shards: admits calls, joins a media socket to a slot, and sees to it that every
 * call ends once, on both sides, with an outcome.
 *
 * Invariants
 * S1 a slot goes back when the edge has let go of the leg and the shard has closed the call (or is lost).
 * S2 a live call counts against its tenant from its webhook on.
 * S3 whoever loses a shard hears an apology: the socket stays open for it.
 */
import { randomUUID } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "#runtime/actor";
import type { CallOutcome, ShardPool, ShardPoolDelegate, SlotLease } from "#runtime/cluster";
import type {
  Admission,
  Edge,
  EdgeDelegate,
  InboundCall,
  OverflowPolicy,
  RefusalReason,
} from "#runtime/edge";
import { type AudioFormat, LegEnd } from "#runtime/media";
import { type Logger, type Metrics, MetricsMerge, type MetricsSnapshot } from "#runtime/telemetry";
import type { CallShardEvent, CallShardTopic } from "#actors/call";
import type { TenantConfig, TenantDirectory } from "#actors/tenants";
import type { ApologyStore } from "./apologies.js";
import type { JournalStore } from "./journal-store.js";
import { type LiveCall, LiveCalls } from "./live-calls.js";
import { mulawTo } from "./mulaw-to.js";
import type { Pressure } from "./pressure/index.js";

/** A shard that cannot answer a scrape in this time is busy; its last figures stand in for it. */
const METRICS_DEADLINE_MS = 1_000;

/** A carrier asks within seconds of the socket's close; at 50 endings a second these last for twenty. */
const LEG_ENDS_KEPT_MAX = 1_000;

const CUT_OFF = {
  en: "We were cut off. Please call again.",
  es: "Se ha cortado la llamada. Llame de nuevo, por favor.",
  fr: "Nous avons été coupés. Veuillez rappeler.",
} as const;

export interface SwitchboardDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tenants: TenantDirectory;
  readonly journals: JournalStore;
  readonly apologies: ApologyStore;
  /** By carrier: the one account whose calls are ours; undefined for any. */
  readonly accounts: Readonly<Record<string, string | undefined>>;
}

export class Switchboard implements EdgeDelegate, ShardPoolDelegate {
  readonly #deps: SwitchboardDeps;
  readonly #calls = new LiveCalls();
  /** Calls whose leg has ended and whose shard has yet to say so. */
  readonly #closing = new WeakMap<SlotLease, LiveCall>();
  readonly #merge = new MetricsMerge();
  /** How the latest legs ended, for the carrier that asks what to do next. */
  readonly #legEnds = new LRUCache<string, LegEnd>({ max: LEG_ENDS_KEPT_MAX });
  #pool!: ShardPool;
  #edge!: Edge;
  #pressure!: Pressure;
  readonly #pumpLease = (lease: SlotLease): void => this.#edge.pump(lease.side);
  #draining = false;
  #onEmpty: (() => void) | null = null;

  constructor(deps: SwitchboardDeps) {
    this.#deps = deps;
    deps.metrics.onCollect(() => this.#collect());
  }

  /** Pool and edge were made with this as their delegate; nothing happens before this. */
  connect(pool: ShardPool, edge: Edge, pressure: Pressure): void {
    this.#pool = pool;
    this.#edge = edge;
    this.#pressure = pressure;
  }

  /** New calls get their overflow. Resolves when the last live call is gone. */
  drain(): Promise<void> {
    this.#draining = true;
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#noticeEmpty();
    });
  }

  // ---- what the edge asks

  admit(call: InboundCall): Admission {
    const { tenants, clock, log, accounts } = this.#deps;
    const account = accounts[call.carrier];
    const tenant =
      account === undefined || account === call.accountId ? tenants.byNumber(call.pii.to) : undefined;
    if (tenant === undefined) return this.#refuse("unknownNumber", { kind: "busy" }, call);
    const overflow = this.#overflowOf(tenant);
    if (this.#draining) return this.#refuse("draining", overflow, call);
    const again = this.#calls.byCarrierId(call.carrierCallId);
    if (again?.state === "reserved") {
      // The carrier repeats a webhook whose answer it did not get: the same call, not another one.
      return admission(again);
    }
    if (this.#calls.countOf(tenant.id) >= tenant.limits.concurrentCalls) {
      return this.#refuse("tenantCap", overflow, call);
    }
    if (!this.#pressure.mayTakeCalls()) return this.#refuse("pressure", overflow, call);
    const lease = this.#pool.reserve();
    if (lease === null) return this.#refuse("noSlot", overflow, call);
    const admitted: LiveCall = {
      callId: randomUUID(),
      carrier: call.carrier,
      carrierCallId: call.carrierCallId,
      tenantId: tenant.id,
      lease,
      webhookAtMs: call.receivedAtMs,
      startedAtUnixMs: clock.unixMs(),
      pii: call.pii,
      format: null,
      state: "reserved",
    };
    this.#calls.add(admitted);
    const { callId, carrierCallId, tenantId, pii } = admitted;
    log.info({ callId, carrierCallId, tenantId, pii }, "call admitted");
    return admission(admitted);
  }

  mediaOpened(callId: string, format: AudioFormat, openedAtMs: number): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return this.#edge.hangUp(callId);
    call.state = "open";
    call.format = format;
    const { carrier, carrierCallId, tenantId, webhookAtMs, pii } = call;
    const opened = this.#pool.open(call.lease, {
      callId,
      carrierCallId,
      carrier,
      tenantId,
      epoch: 1,
      nodeId: "node",
      resumed: null,
      format,
      webhookAtMs,
      openedAtMs,
      pii,
    });
    if (!opened) this.#loseShard(call); // it died between the webhook and the media socket
  }

  mediaExpired(callId: string): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    this.#deps.metrics.callsEnded.inc({ outcome: "mediaNeverCame" });
    this.#deps.log.warn({ callId }, "no media socket came for an admitted call");
    this.#forget(call);
  }

  legEnded(callId: string, end: LegEnd): void {
    this.#legEnds.set(callId, end);
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    this.#deps.journals.release(callId);
    this.#closing.set(call.lease, call);
    this.#forget(call);
  }

  afterMedia(
    callId: string | undefined,
    carrierCallId: string,
  ): "hangUp" | { readonly kind: "say"; readonly text: string; readonly language: string } {
    // The carrier asks as soon as the socket has closed; the shard's last words may still be on their way.
    if (callId !== undefined && this.#legEnds.get(callId) === LegEnd.hungUp) return "hangUp";
    const journal = this.#deps.journals.get(callId ?? carrierCallId);
    const last = journal?.at(-1);
    if (last?.kind === "callEnded" && last.outcome.kind !== "legLost") return "hangUp";
    const started = journal?.[0];
    const tenant = started?.kind === "callStarted" ? this.#deps.tenants.byId(started.tenantId) : undefined;
    const language = tenant?.language ?? "en";
    return { kind: "say", text: CUT_OFF[language], language };
  }

  ready(): { readonly ready: boolean; readonly detail: Readonly<Record<string, unknown>> } {
    const { ready, reason } = this.#pool.readiness();
    const pressure = this.#pressure.current();
    return { ready, detail: { reason, liveCalls: this.#calls.size, pressure, shards: this.#pool.stats() } };
  }

  liveCalls(): readonly unknown[] {
    return Array.from(this.#calls, ({ callId, carrier, carrierCallId, tenantId, state, ...call }) => ({
      callId,
      carrier,
      carrierCallId,
      tenantId,
      state,
      shardId: call.lease.shardId,
      startedAt: new Date(call.startedAtUnixMs).toISOString(),
      pii: call.pii,
    }));
  }

  journal(callId: string): readonly unknown[] | null {
    return this.#deps.journals.get(callId);
  }

  async metricsText(): Promise<string> {
    const topic: CallShardTopic = "metrics";
    for (const answer of await this.#pool.askAll(topic, null, METRICS_DEADLINE_MS)) {
      if (answer.ok) this.#merge.update(`shard-${answer.shardId}`, answer.value as MetricsSnapshot);
      else this.#deps.log.warn({ err: answer.error, shardId: answer.shardId }, "a shard gave no metrics");
    }
    this.#merge.update("main", await this.#deps.metrics.snapshot());
    return this.#merge.text();
  }

  // ---- what the shards tell

  onWake(shardId: number): void {
    this.#pool.drainOutBell(shardId, this.#pumpLease);
  }

  onEvent(_shardId: number, event: unknown): void {
    const told = event as CallShardEvent;
    switch (told.kind) {
      case "journal":
        return this.#deps.journals.append(told.event);
      case "apology":
        return this.#deps.apologies.set(told.tenantId, told.audio);
      case "overflow":
        return this.#edge.overflowAudio.set(told.tenantId, told.text, told.audio);
    }
  }

  onHangUp(lease: SlotLease): void {
    const call = this.#calls.byLease(lease);
    if (call !== undefined) this.#edge.hangUp(call.callId);
  }

  onCallClosed(lease: SlotLease, outcome: CallOutcome): void {
    const call = this.#calls.byLease(lease);
    const ended = call ?? this.#closing.get(lease);
    if (ended !== undefined) this.#completeJournal(ended, outcome);
    if (call === undefined) return;
    call.state = "leaving";
    if (outcome.kind === "actorCrashed") this.#apologise(call);
    else this.#edge.hangUp(call.callId);
  }

  onShardLost(shardId: number, leases: readonly SlotLease[], reason: string): void {
    const { metrics, log } = this.#deps;
    log.error({ shardId, reason, calls: leases.length }, "shard lost");
    if (reason !== "closed") metrics.shardRestarts.inc({ reason });
    this.#merge.retire(`shard-${shardId}`); // its totals stay; its successor counts from zero
    for (const lease of leases) {
      const call = this.#calls.byLease(lease);
      // A reserved one has nobody listening yet: it is told when its media socket opens.
      if (call?.state === "open") this.#loseShard(call);
    }
  }

  onShardReady(shardId: number): void {
    this.#deps.log.info({ shardId }, "shard ready");
  }

  #loseShard(call: LiveCall): void {
    const outcome = { kind: "shardLost" } as const;
    call.state = "leaving";
    this.#deps.metrics.callsEnded.inc({ outcome: outcome.kind });
    this.#completeJournal(call, outcome);
    this.#apologise(call);
  }

  /** A shard that is gone, or so far behind that it dropped the event, has not written the end: it is written here. */
  #completeJournal({ callId, startedAtUnixMs }: LiveCall, outcome: CallOutcome): void {
    const { clock, journals } = this.#deps;
    if (journals.isComplete(callId)) return;
    const atUnixMs = clock.unixMs();
    journals.append({
      kind: "callEnded",
      outcome,
      durationMs: atUnixMs - startedAtUnixMs,
      callId,
      sequence: journals.nextSequence(callId),
      epoch: 1,
      atMs: clock.nowMs(),
      atUnixMs,
    });
  }

  /** S3. */
  #apologise({ callId, tenantId, format }: LiveCall): void {
    const audio = this.#deps.apologies.get(tenantId);
    if (audio === null) this.#edge.hangUp(callId);
    else this.#edge.playAndClose(callId, format === null ? audio : mulawTo(format, audio));
  }

  #overflowOf({ id, overflow, language }: TenantConfig): OverflowPolicy {
    if (overflow.kind !== "message") return overflow;
    return { ...overflow, language, audioUrl: this.#edge.overflowAudio.url(id, overflow.text) };
  }

  #refuse(reason: RefusalReason, overflow: OverflowPolicy, call: InboundCall): Admission {
    this.#deps.log.info({ reason, carrierCallId: call.carrierCallId, pii: call.pii }, "call refused");
    return { kind: "refused", reason, overflow };
  }

  /** S1: the pool waits for the shard's part. */
  #forget(call: LiveCall): void {
    this.#calls.remove(call);
    this.#pool.release(call.lease);
    this.#noticeEmpty();
  }

  #noticeEmpty(): void {
    if (this.#calls.size > 0 || this.#onEmpty === null) return;
    this.#onEmpty();
    this.#onEmpty = null;
  }

  #collect(): void {
    const { metrics } = this.#deps;
    const counts = { reserved: 0, open: 0, leaving: 0 };
    for (const call of this.#calls) counts[call.state] += 1;
    for (const [state, count] of Object.entries(counts)) metrics.calls.set({ state }, count);
  }
}

function admission({ callId, tenantId, lease }: LiveCall): Admission {
  return { kind: "admitted", callId, tenantId, side: lease.side, ringShard: () => lease.ringShard() };
}
