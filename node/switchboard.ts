/**
 * Between the edge and the shards: joins a media socket to a slot, and sees to it that every call ends once, on both
 * sides, with an outcome. Who is let in is the Admitter's matter.
 *
 * Invariants
 * S1 a slot goes back when the edge has let go of the leg and the shard has closed the call (or is lost).
 * S2 a live call counts against its tenant from its webhook on, until it has ended or nobody resumed it in time.
 * S3 whoever loses actor or shard goes on with another (Recovery), or hears an apology: the socket stays open for it.
 * S4 what an owner writes after its lease was lost goes nowhere: not into the journal here, not to the control plane. Nor
 *    does what a call's earlier actors on this node write.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "#runtime/actor";
import type { CallOutcome, LastOfShard, ShardPool, ShardPoolDelegate, SlotLease } from "#runtime/cluster";
import type {
  Admission,
  AfterMedia,
  ClaimedCall,
  Edge,
  EdgeDelegate,
  InboundCall,
  OverflowPolicy,
} from "#runtime/edge";
import { type AudioFormat, LegEnd } from "#runtime/media";
import { type Logger, type Metrics, MetricsMerge, type MetricsSnapshot } from "#runtime/telemetry";
import type { CallShardEvent, CallShardTopic } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import { Admitter, type AdmitterDeps, type NodeTenants, cutOff } from "./admitter.js";
import type { ApologyStore } from "./apologies.js";
import type { HeldCall } from "./control/held-call.js";
import type { CallPlacement } from "./control/placement.js";
import type { JournalStore } from "./journal-store.js";
import { type LiveCall, LiveCalls } from "./live-calls.js";
import { mulawTo } from "./mulaw-to.js";
import type { Pressure } from "./pressure/index.js";
import { ProviderBoard } from "./provider-board.js";
import { Quarantine } from "./quarantine.js";
import { Recovery } from "./recovery.js";
import { SuspendedCalls } from "./suspended-calls.js";

/** A shard that cannot answer a scrape in this time is busy; its last figures stand in for it. */
const METRICS_DEADLINE_MS = 1_000;

/** A carrier asks within seconds of the socket's close; at 50 endings a second these last for twenty. */
const LEG_ENDS_KEPT_MAX = 1_000;
/** Calls that were lost to another owner, or sent to one, and may still be heard of: minutes of either. */
const GONE_KEPT_MAX = 10_000;

export interface SwitchboardDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nodeId: string;
  readonly tenants: NodeTenants;
  readonly placement: CallPlacement;
  readonly journals: JournalStore;
  readonly apologies: ApologyStore;
  /** What a caller left as audio on this node. @default nobody ever does */
  readonly readMessage?: (callId: string) => Promise<Uint8Array | null>;
  /** How long a call whose leg was lost waits for the carrier to ask. */
  readonly resumeGraceMs: number;
  readonly readJournal: AdmitterDeps["readJournal"];
  /** Every event that is ours to write, in order per call: for the spool. */
  readonly onJournal: ((event: JournalEvent) => void) | null;
  /** By carrier: the one account whose calls are ours; undefined for any. */
  readonly accounts: Readonly<Record<string, string | undefined>>;
  readonly canServe: AdmitterDeps["canServe"];
  /**
   * Room for calls that are gone, allocated at once; a simulated node, of which there are thousands, needs little.
   * @default GONE_KEPT_MAX
   */
  readonly goneKeptMax?: number;
}

/** What the end of a journal says of its call. */
type EndedCall = Pick<LiveCall, "callId" | "epoch" | "startedAtUnixMs">;

export class Switchboard implements EdgeDelegate, ShardPoolDelegate {
  readonly #deps: SwitchboardDeps;
  readonly #calls = new LiveCalls();
  readonly #suspended: SuspendedCalls;
  readonly #admitter: Admitter;
  /** Calls whose leg has ended and whose shard has yet to say so. */
  readonly #closing = new WeakMap<SlotLease, LiveCall>();
  readonly #providers: ProviderBoard;
  readonly #merge = new MetricsMerge();
  /** How the latest legs ended, for the carrier that asks what to do next. */
  readonly #legEnds: LRUCache<string, LegEnd>;
  /** S4: by call, the epoch from which on writing is allowed again. */
  readonly #fences: LRUCache<string, number>;
  /** S4: by call that had several actors here, the tenure of the last. */
  readonly #tenures: LRUCache<string, number>;
  readonly #quarantine: Quarantine;
  readonly #recovery: Recovery;
  #pool!: ShardPool;
  #edge!: Edge;
  #pressure!: Pressure;
  readonly #pumpLease = (lease: SlotLease): void => this.#edge.pump(lease.side);
  #onEmpty: (() => void) | null = null;
  #isStopping = false;

  constructor(deps: SwitchboardDeps) {
    this.#deps = deps;
    const { goneKeptMax = GONE_KEPT_MAX } = deps;
    this.#legEnds = new LRUCache({ max: Math.min(LEG_ENDS_KEPT_MAX, goneKeptMax) });
    this.#fences = new LRUCache({ max: goneKeptMax });
    this.#tenures = new LRUCache({ max: goneKeptMax });
    this.#providers = new ProviderBoard(deps.clock, deps.log);
    this.#suspended = new SuspendedCalls(deps.clock, deps.resumeGraceMs, ({ call }) => this.#lost(call));
    const tenantOf = (tenantId: string) => deps.tenants.byId(tenantId);
    this.#quarantine = new Quarantine({
      ...deps,
      tenantOf,
      onCount: (count) => deps.metrics.tenantsQuarantined.set(count),
    });
    deps.tenants.onChange(() => this.#quarantine.reconsider());
    this.#recovery = new Recovery({
      ...deps,
      calls: this.#calls,
      quarantine: this.#quarantine,
      pool: () => this.#pool,
      edge: () => this.#edge,
      tenantOf,
      onTakenOver: ({ callId, tenure }) => this.#tenures.set(callId, tenure),
      onGivenUp: (call, outcome) => this.#giveUp(call, outcome),
    });
    this.#admitter = new Admitter({
      ...deps,
      isQuarantined: (tenantId) => this.#quarantine.isQuarantined(tenantId),
      calls: this.#calls,
      suspended: this.#suspended,
      pool: () => this.#pool,
      mayTakeCalls: () => this.#pressure.mayTakeCalls(),
      overflowAudioUrl: (tenantId, text) => this.#edge.overflowAudio.url(tenantId, text),
      onLost: (call) => this.#lost(call),
      onResumed: ({ callId, epoch }) => this.#fences.set(callId, epoch),
      onNoRoom: (call) => this.#complete(call, { kind: "legLost" }),
    });
    deps.metrics.onCollect(() => this.#collect());
  }

  /** Pool and edge were made with this as their delegate; nothing happens before this. */
  connect(pool: ShardPool, edge: Edge, pressure: Pressure): void {
    this.#pool = pool;
    this.#edge = edge;
    this.#pressure = pressure;
  }

  /** New calls get their overflow. Resolves when the last live call is gone, and none waits to be resumed. */
  drain(): Promise<void> {
    this.#isStopping = true;
    this.#admitter.setDraining(true);
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#noticeEmpty();
    });
  }

  /** An operator drains the node, or takes that back: new calls go elsewhere, or get their overflow. */
  setDraining(draining: boolean): void {
    this.#admitter.setDraining(draining || this.#isStopping);
  }

  /** No timer is left. */
  close(): void {
    this.#suspended.close();
    this.#recovery.close();
  }

  // ---- what the control plane asks

  /** Every call this node holds a lease of. */
  *held(): IterableIterator<HeldCall> {
    for (const call of this.#calls) yield heldCall(call, call.state !== "reserved");
    for (const { call } of this.#suspended) yield heldCall(call, true);
  }

  /** The process was told to stop. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  get heldCount(): number {
    return this.#calls.size + this.#suspended.size;
  }

  /** Says goodbye and ends the call, whoever asked. False: it is not here. */
  endCall(callId: string, outcome: CallOutcome): boolean {
    const suspended = this.#suspended.take(callId);
    if (suspended !== null) {
      this.#finish(suspended.call, outcome);
      return true;
    }
    const call = this.#calls.get(callId);
    if (call === undefined) return false;
    call.ending ??= outcome; // its actor may be gone before it hears of it: then the next is told (V6 of Recovery)
    if (call.state === "open") this.#pool.endCall(call.lease, outcome);
    else if (call.state !== "recovering") this.#edge.hangUp(callId); // nobody listens yet, or it is leaving anyhow
    return true;
  }

  /** S4: another owner has the call under this epoch. It ends here without a word. */
  leaseLost(callId: string, epoch: number): void {
    const call = this.#calls.get(callId) ?? this.#suspended.get(callId)?.call;
    if (call !== undefined && call.epoch >= epoch) return; // it came back to us since
    this.#fences.set(callId, epoch);
    if (call === undefined) return;
    const { metrics, log, placement } = this.#deps;
    log.warn({ callId, ownEpoch: call.epoch, epoch }, "the call's lease is another's");
    metrics.leaseLosses.inc();
    placement.release(callId, call.epoch);
    if (this.#suspended.take(callId) !== null) return this.#noticeEmpty();
    if (call.state === "open") {
      call.state = "leaving";
      this.#pool.endCall(call.lease, { kind: "leaseLost" });
    }
    this.#edge.hangUp(callId);
    this.#legEnds.delete(callId); // what the carrier asks next is not answered from this leg
  }

  // ---- what the edge asks

  admit(call: InboundCall): Admission | Promise<Admission> {
    return this.#admitter.admit(call);
  }

  overflowFor(call: InboundCall): OverflowPolicy {
    return this.#admitter.overflowFor(call);
  }

  claim(callId: string): Promise<ClaimedCall | null> {
    return this.#admitter.claim(callId);
  }

  mediaOpened(callId: string, format: AudioFormat, openedAtMs: number): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return this.#edge.hangUp(callId);
    call.state = "open";
    call.format = format;
    call.tenant = this.#deps.tenants.byId(call.tenantId) ?? null;
    const { carrier, carrierCallId, tenantId, epoch, tenure, webhookAtMs, pii } = call;
    const resumed = call.resumed && {
      ...call.resumed,
      playing: null,
      replay: null,
      reason: "legLost" as const,
    };
    call.resumed = null;
    this.#deps.placement.confirm(callId, epoch);
    const opened = this.#pool.open(call.lease, {
      callId,
      carrierCallId,
      carrier,
      tenantId,
      epoch,
      tenure,
      nodeId: this.#deps.nodeId,
      resumed,
      format,
      webhookAtMs,
      openedAtMs,
      pii,
    });
    if (!opened) this.#recovery.shardLost([call], 0, null); // it died between the webhook and the media socket
  }

  mediaExpired(callId: string): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return; // sent elsewhere: its reservation expires there
    const outcome = { kind: call.resumed === null ? "mediaNeverCame" : "legLost" } as const;
    this.#deps.metrics.callsEnded.inc({ outcome: outcome.kind });
    this.#deps.log.warn({ callId }, "no media socket came for an admitted call");
    if (call.resumed !== null) this.#completeJournal(call, outcome);
    this.#forget(call);
    this.#release(call);
  }

  legEnded(callId: string, end: LegEnd, lastHeardAtMs: number): void {
    this.#legEnds.set(callId, end);
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    const hadNobody = this.#recovery.forget(call);
    this.#closing.set(call.lease, call);
    this.#forget(call);
    // One whose end was asked for is not gone on with.
    if (end === LegEnd.socketLost && call.ending === null && (call.state === "open" || hadNobody)) {
      const { clock, log } = this.#deps;
      const silentMs = clock.nowMs() - lastHeardAtMs;
      log.info({ callId, silentMs }, "leg lost: the call waits to be resumed");
      this.#suspended.add(call, clock.unixMs() - silentMs);
      if (hadNobody) this.#suspended.closed(callId);
      return;
    }
    if (hadNobody) this.#complete(call, endedBy(call, OUTCOME_OF_LEG_END[end]));
    this.#deps.journals.release(callId);
    this.#release(call);
  }

  afterMedia(callId: string | undefined, epoch: number, call: InboundCall): AfterMedia | Promise<AfterMedia> {
    // The carrier asks as soon as the socket has closed; the shard's last words may still be on their way.
    if (callId !== undefined && this.#legEnds.get(callId) === LegEnd.hungUp) return "hangUp";
    const { first, last } = this.#deps.journals.ends(callId ?? call.carrierCallId) ?? {};
    if (last?.kind === "callEnded" && last.outcome.kind !== "legLost") return "hangUp";
    if (last?.kind === "callEnded" || callId === undefined) {
      return cutOff(first?.kind === "callStarted" ? this.#deps.tenants.byId(first.tenantId) : undefined);
    }
    return this.#admitter.resume(callId, epoch, call);
  }

  ready(): { readonly ready: boolean; readonly detail: Readonly<Record<string, unknown>> } {
    const { ready, reason } = this.#readiness();
    const liveCalls = this.#calls.size;
    const suspendedCalls = this.#suspended.size;
    const pressure = this.#pressure.current();
    // A provider that is down does not make the node unready: others stand behind it, and none is better elsewhere.
    const providers = this.#providers.states();
    const quarantined = this.#quarantine.list();
    const shards = this.#pool.stats();
    return { ready, detail: { reason, liveCalls, suspendedCalls, pressure, providers, quarantined, shards } };
  }

  /** New calls are welcome. */
  get isReady(): boolean {
    return this.#readiness().ready;
  }

  #readiness(): { readonly ready: boolean; readonly reason: string } {
    const readiness = this.#pool.readiness();
    if (!readiness.ready || this.#deps.tenants.isKnown !== false) return readiness;
    return { ready: false, reason: "no control plane has told the tenants yet" };
  }

  drainShard(shardId: number): { readonly callCount: number } | null {
    return this.#recovery.drainShard(shardId);
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

  message(callId: string): Promise<Uint8Array | null> {
    // The carrier's own id will do, as for the journal.
    const ours = this.#deps.journals.ends(callId)?.first.callId ?? callId;
    return this.#deps.readMessage?.(ours) ?? Promise.resolve(null);
  }

  async metricsText(): Promise<string> {
    await this.#gatherMetrics();
    return this.#merge.text();
  }

  async metricsSnapshot(): Promise<MetricsSnapshot> {
    await this.#gatherMetrics();
    return this.#merge.snapshot();
  }

  async #gatherMetrics(): Promise<void> {
    const topic: CallShardTopic = "metrics";
    for (const answer of await this.#pool.askAll(topic, null, METRICS_DEADLINE_MS)) {
      if (answer.ok) this.#merge.update(`shard-${answer.shardId}`, answer.value as MetricsSnapshot);
      else this.#deps.log.warn({ err: answer.error, shardId: answer.shardId }, "a shard gave no metrics");
    }
    this.#merge.update("main", await this.#deps.metrics.snapshot());
  }

  // ---- what the shards tell

  onWake(shardId: number): void {
    this.#pool.drainOutBell(shardId, this.#pumpLease);
  }

  wakeShards(): void {
    this.#pool.wakeRung();
  }

  pumpRung(): void {
    this.#pool.drainOutBells(this.#pumpLease);
  }

  onEvent(shardId: number, event: unknown): void {
    const told = event as CallShardEvent;
    switch (told.kind) {
      case "provider":
        return this.#providers.note(this.#pool, shardId, told.notice);
      case "journal":
        if (told.tenure >= (this.#tenures.get(told.event.callId) ?? 0)) return this.#write(told.event);
        return this.#deps.metrics.journalEvents.inc({ result: "fenced" }); // S4
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
    if (call?.state === "open") {
      if (outcome.kind === "handedOver") return this.#recovery.handedOver(call);
      if (outcome.kind === "actorCrashed") return this.#recovery.crashed(call, outcome.code);
    }
    const ended = call ?? this.#closing.get(lease);
    if (ended !== undefined) this.#closed(ended, outcome);
    if (call === undefined || call.state === "leaving") return;
    call.state = "leaving";
    this.#edge.hangUp(call.callId);
  }

  onShardLost(
    shardId: number,
    leases: readonly SlotLease[],
    reason: string,
    { culprit, silentMs }: LastOfShard,
  ): void {
    const { metrics, log } = this.#deps;
    log.error({ shardId, reason, calls: leases.length }, "shard lost");
    if (reason !== "closed") metrics.shardRestarts.inc({ reason });
    this.#merge.retire(`shard-${shardId}`); // its totals stay; its successor counts from zero
    // Its leg has ended, and the shard will not say that the call has.
    for (const call of leases.map((lease) => this.#closing.get(lease))) {
      if (call === undefined) continue;
      const end = this.#legEnds.get(call.callId);
      this.#closed(call, end === undefined ? { kind: "shardLost" } : OUTCOME_OF_LEG_END[end]);
    }
    // A reserved one has nobody listening yet: it gets another slot when its media socket opens.
    const open = leases.map((lease) => this.#calls.byLease(lease)).filter((call) => call?.state === "open");
    const lost = open.filter((call) => call !== undefined);
    const culprits = culprit === null ? undefined : this.#calls.byLease(culprit);
    this.#recovery.shardLost(lost, silentMs, lost.find((call) => call === culprits) ?? null);
  }

  onShardReady(shardId: number): void {
    this.#deps.log.info({ shardId }, "shard ready");
    this.#providers.welcome(this.#pool, shardId);
    this.#recovery.onShardReady();
  }

  /** The shard has written its last of this leg. */
  #closed(call: LiveCall, told: CallOutcome): void {
    const { callId } = call;
    // It let go for another actor just as the leg ended: as that says.
    const end = this.#legEnds.get(callId);
    const ofLeg = told.kind === "handedOver" && end !== undefined ? OUTCOME_OF_LEG_END[end] : told;
    const outcome = endedBy(call, ofLeg);
    const isSuspended = this.#suspended.get(callId)?.call === call;
    const isSucceeded = (this.#calls.get(callId) ?? call) !== call;
    if (outcome.kind === "leaseLost" || isSucceeded) return;
    if (outcome.kind !== "legLost") this.#complete(call, outcome);
    if (!isSuspended) return;
    if (!this.#deps.journals.isComplete(callId)) return this.#suspended.closed(callId);
    // The leg was lost just as the call had ended for another reason.
    this.#suspended.take(callId);
    this.#release(call);
  }

  /** Nobody went on with it. */
  #lost(call: LiveCall): void {
    this.#deps.metrics.callResumes.inc({ result: "expired" });
    this.#finish(call, { kind: "legLost" });
  }

  /** A call without a leg ends. */
  #finish(call: LiveCall, outcome: CallOutcome): void {
    this.#complete(call, outcome);
    this.#release(call);
  }

  /** S3 */
  #giveUp(call: LiveCall, outcome: CallOutcome): void {
    call.state = "leaving";
    this.#complete(call, outcome);
    this.#apologise(call);
  }

  /** No actor is there to write its end, or what it wrote was dropped: then it has not counted it either. */
  #complete(call: EndedCall, outcome: CallOutcome): void {
    if (this.#deps.journals.isComplete(call.callId)) return;
    this.#deps.metrics.callsEnded.inc({ outcome: outcome.kind });
    this.#completeJournal(call, outcome);
  }

  /** S4 */
  #write(event: JournalEvent): void {
    if (event.epoch < (this.#fences.get(event.callId) ?? 0)) {
      this.#deps.metrics.journalEvents.inc({ result: "fenced" });
      return;
    }
    this.#deps.journals.append(event);
    this.#deps.onJournal?.(event);
  }

  /** A shard that is gone, or so far behind that it dropped the event, has not written the end: it is written here. */
  #completeJournal({ callId, epoch, startedAtUnixMs }: EndedCall, outcome: CallOutcome): void {
    const { clock, journals } = this.#deps;
    if (journals.isComplete(callId)) return;
    const atUnixMs = clock.unixMs();
    this.#write({
      kind: "callEnded",
      outcome,
      durationMs: atUnixMs - startedAtUnixMs,
      callId,
      sequence: journals.nextSequence(callId),
      epoch,
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

  /** S1: the pool waits for the shard's part. */
  #forget(call: LiveCall): void {
    this.#calls.remove(call);
    this.#pool.release(call.lease);
  }

  /** S2: it is over. */
  #release({ callId, epoch }: LiveCall): void {
    this.#deps.placement.release(callId, epoch);
    this.#noticeEmpty();
  }

  #noticeEmpty(): void {
    if (this.heldCount > 0 || this.#onEmpty === null) return;
    this.#onEmpty();
    this.#onEmpty = null;
  }

  #collect(): void {
    const { metrics } = this.#deps;
    const counts = { reserved: 0, open: 0, recovering: 0, leaving: 0, suspended: this.#suspended.size };
    for (const call of this.#calls) counts[call.state] += 1;
    for (const [state, count] of Object.entries(counts)) metrics.calls.set({ state }, count);
  }
}

const OUTCOME_OF_LEG_END = {
  [LegEnd.stopped]: { kind: "callerHungUp" },
  [LegEnd.socketLost]: { kind: "legLost" },
  [LegEnd.evicted]: { kind: "legEvicted" },
  [LegEnd.hungUp]: { kind: "agentHungUp" },
} as const satisfies Record<LegEnd, CallOutcome>;

/** A leg that is lost ends no call, but one that was to end anyhow. */
function endedBy({ ending }: LiveCall, outcome: CallOutcome): CallOutcome {
  return outcome.kind === "legLost" && ending !== null ? ending : outcome;
}

function heldCall({ callId, epoch, tenantId, carrier, carrierCallId }: LiveCall, live: boolean): HeldCall {
  return { callId, epoch, tenantId, carrier, carrierCallId, live };
}
