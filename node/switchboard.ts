/**
 * Between the edge and the shards: joins a media socket to a slot, and sees to it that every call ends once, on both
 * sides, with an outcome. Who is let in is the Admitter's matter.
 *
 * Invariants
 * S1 a slot goes back when the edge has let go of the leg and the shard has closed the call (or is lost).
 * S2 a live call counts against its tenant from its webhook on, until it has ended or nobody resumed it in time.
 * S3 whoever loses actor or shard goes on with another (Recovery), or hears an apology: the socket stays open for it.
 * S4 all that is written of a call passes the JournalGate, which knows who may.
 */
import { LRUCache } from "lru-cache";
import {
  type CallOutcome,
  type LastOfShard,
  OUTCOME_OF_LEG_END,
  type ShardPool,
  type ShardPoolDelegate,
  type SlotLease,
} from "#runtime/cluster";
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
import type { Logger } from "#runtime/telemetry";
import type { CallShardEvent } from "#actors/call";
import { Admitter, type AdmitterDeps, type NodeTenants, cutOff } from "./admitter.js";
import type { ApologyStore } from "./apologies.js";
import type { HeldCall } from "./control/held-call.js";
import type { CallPlacement } from "./control/placement.js";
import { GONE_KEPT_MAX, JournalGate, type JournalGateDeps } from "./journal-gate.js";
import { type LiveCall, LiveCalls } from "./live-calls.js";
import { mulawTo } from "./mulaw-to.js";
import { NodeAdmin, type NodeAdminDeps } from "./node-admin.js";
import type { Pressure } from "./pressure/index.js";
import { ProviderBoard } from "./provider-board.js";
import { Quarantine } from "./quarantine.js";
import { Recovery } from "./recovery.js";
import { SuspendedCalls } from "./suspended-calls.js";

/** A carrier asks within seconds of the socket's close; at 50 endings a second these last for twenty. */
const LEG_ENDS_KEPT_MAX = 1_000;

export interface SwitchboardDeps extends JournalGateDeps, Pick<NodeAdminDeps, "readMessage"> {
  readonly log: Logger;
  readonly nodeId: string;
  readonly tenants: NodeTenants;
  readonly placement: CallPlacement;
  readonly apologies: ApologyStore;
  /** How long a call whose leg was lost waits for the carrier to ask. */
  readonly resumeGraceMs: number;
  readonly readJournal: AdmitterDeps["readJournal"];
  /** By carrier: the one account whose calls are ours; undefined for any. */
  readonly accounts: Readonly<Record<string, string | undefined>>;
  readonly canServe: AdmitterDeps["canServe"];
}

export class Switchboard implements EdgeDelegate, ShardPoolDelegate {
  /** What the admin port is told. */
  readonly admin: NodeAdmin;
  readonly #deps: SwitchboardDeps;
  readonly #calls = new LiveCalls();
  readonly #suspended: SuspendedCalls;
  readonly #admitter: Admitter;
  /** Calls whose leg has ended and whose shard has yet to say so. */
  readonly #closing = new WeakMap<SlotLease, LiveCall>();
  readonly #providers: ProviderBoard;
  /** How the latest legs ended, for the carrier that asks what to do next. */
  readonly #legEnds: LRUCache<string, LegEnd>;
  readonly #journal: JournalGate;
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
    this.#journal = new JournalGate(deps);
    this.#providers = new ProviderBoard(deps.clock, deps.log);
    this.#suspended = new SuspendedCalls(deps.clock, deps.resumeGraceMs, ({ call }) => this.#lost(call));
    const tenantOf = (tenantId: string) => deps.tenants.byId(tenantId);
    this.#quarantine = new Quarantine({ ...deps, tenantOf });
    deps.tenants.onChange(() => this.#quarantine.reconsider());
    this.#recovery = new Recovery({
      ...deps,
      calls: this.#calls,
      quarantine: this.#quarantine,
      pool: () => this.#pool,
      edge: () => this.#edge,
      tenantOf,
      onTakenOver: ({ callId, epoch, tenure }) => this.#journal.fenceTenure(callId, epoch, tenure),
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
      onGone: (call) => this.#letGo(call),
      onResumed: ({ callId, epoch }) => this.#journal.fence(callId, epoch),
      onNoRoom: (call) => this.#journal.complete(call, { kind: "legLost" }),
    });
    this.admin = new NodeAdmin({
      ...deps,
      calls: this.#calls,
      suspended: this.#suspended,
      providers: this.#providers,
      quarantine: this.#quarantine,
      recovery: this.#recovery,
      pool: () => this.#pool,
      pressure: () => this.#pressure,
    });
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
    this.#journal.fence(callId, epoch);
    if (call === undefined) return;
    const { metrics, log, placement } = this.#deps;
    log.warn({ callId, ownEpoch: call.epoch, epoch }, "the call's lease is another's");
    metrics.leaseLosses.inc();
    if (this.#suspended.take(callId) !== null) return this.#letGo(call);
    placement.release(callId, call.epoch);
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
    const outcome = endedBy(call, { kind: call.resumed === null ? "mediaNeverCame" : "legLost" });
    this.#deps.metrics.callsEnded.inc({ outcome: outcome.kind });
    this.#deps.log.warn({ callId }, "no media socket came for an admitted call");
    this.#forget(call);
    if (call.resumed === null) return this.#release(call);
    this.#journal.writeEnd(call, outcome);
    this.#letGo(call);
  }

  /** One that has no leg just now will not come back: its caller hung up. A leg tells of its end itself. */
  carrierEnded(carrier: string, carrierCallId: string): void {
    const outcome = { kind: "callerHungUp" } as const;
    const live = this.#calls.byCarrierId(carrierCallId);
    if (live?.carrier === carrier) live.ending ??= outcome;
    const suspended = this.#suspended.byCarrierId(carrierCallId);
    if (suspended === null || suspended.call.carrier !== carrier) return;
    const { callId } = suspended.call;
    void this.#suspended.lastWords(callId).then(() => {
      if (this.#suspended.get(callId) !== suspended) return; // somebody went on with it, or ended it
      this.#suspended.take(callId);
      this.#finish(suspended.call, outcome);
    });
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
    if (hadNobody) this.#journal.complete(call, endedBy(call, OUTCOME_OF_LEG_END[end]));
    this.#letGo(call);
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
        return this.#journal.take(told.event, told.tenure);
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
    this.admin.retireShard(shardId);
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
    // It let go for another actor, or crashed, just as the leg ended: as that says.
    const end = this.#legEnds.get(callId);
    const letsGo = told.kind === "handedOver" || told.kind === "actorCrashed";
    const ofLeg = letsGo && end !== undefined ? OUTCOME_OF_LEG_END[end] : told;
    if (told.kind === "actorCrashed") this.#quarantine.noteCrash(call);
    const outcome = endedBy(call, ofLeg);
    const isSuspended = this.#suspended.get(callId)?.call === call;
    const isSucceeded = (this.#calls.get(callId) ?? call) !== call;
    if (outcome.kind === "leaseLost" || isSucceeded) return;
    if (outcome.kind !== "legLost") this.#journal.complete(call, outcome);
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
    this.#journal.complete(call, outcome);
    this.#release(call);
  }

  /** S3 */
  #giveUp(call: LiveCall, outcome: CallOutcome): void {
    call.state = "leaving";
    this.#journal.complete(call, outcome);
    this.#apologise(call);
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

  /** What is still written of it comes from its shard; or nothing is, for another owner writes on. */
  #letGo(call: LiveCall): void {
    this.#deps.journals.release(call.callId);
    this.#release(call);
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
}

/** A leg that is lost ends no call, but one that was to end anyhow. */
function endedBy({ ending }: LiveCall, outcome: CallOutcome): CallOutcome {
  return outcome.kind === "legLost" && ending !== null ? ending : outcome;
}

function heldCall({ callId, epoch, tenantId, carrier, carrierCallId }: LiveCall, live: boolean): HeldCall {
  return { callId, epoch, tenantId, carrier, carrierCallId, live };
}
