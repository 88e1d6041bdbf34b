/**
 * The directory of one machine, and of the simulator: everything in this process, time by the clock that is passed
 * in. The same answers as Redis gives, step for step (directory-model.test.ts).
 *
 * A call's record goes held -> overdue (its time ran out; it no longer counts) -> taken (swept) or ended (released),
 * and is dropped after ENDED_KEPT_MS. A claim or a new reservation makes it held again, ended ones excepted.
 *
 * Invariants
 * M1 A record counts on its node, tenant and reseller exactly while it is `held`.
 * M2 Every method first moves what expired to `overdue`, so that no answer rests on a lease that has run out.
 * M3 Each method runs to its end without waiting: that is its atomicity (D2).
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type {
  Counts,
  Directory,
  Lease,
  LeaseClaim,
  LeaseVerdict,
  NodeRecord,
  NodeRegistration,
  NodeReport,
  ReserveRequest,
  ReserveResult,
} from "./directory.js";
import { ExpiryHeap } from "./expiry-heap.js";
import { CALL_KEPT_MS, ENDED_KEPT_MS, NODE_KEPT_MS } from "./limits.js";

export interface MemoryDirectoryOptions {
  readonly clock: Clock;
  /**
   * How long D4 holds after the start: a control plane that starts again has forgotten what its nodes hold.
   * @default 0, as tests and the simulator want it; openDirectory passes REBUILD_MS
   */
  readonly rebuildMs?: number;
}

interface CallRecord {
  readonly callId: string;
  epoch: number;
  nodeId: string;
  tenantId: string;
  resellerId: string;
  carrier: string;
  carrierCallId: string;
  live: boolean;
  resumed: boolean;
  from: string;
  to: string;
  state: "held" | "overdue" | "taken" | "ended";
  expiresAtMs: number;
  heapDueAtMs: number;
}

interface NodeEntry {
  registration: NodeRegistration;
  report: NodeReport;
  draining: boolean;
  /** It said goodbye: not listed, its drain kept. */
  gone: boolean;
  registeredAtMs: number;
  reportedAtMs: number;
  expiresAtMs: number;
}

/** Of a node that has registered and not yet reported. */
export const NO_REPORT: NodeReport = {
  ready: false,
  stopping: false,
  pressure: { rung: 0, pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 },
};

export class MemoryDirectory implements Directory {
  readonly kind = "memory";
  readonly #clock: Clock;
  readonly #rebuildMs: number;
  /** What makes unix time of monotonic time: a wall clock that is set must not expire leases. */
  readonly #unixOffsetMs: number;
  readonly #nodes = new Map<string, NodeEntry>();
  readonly #calls = new Map<string, CallRecord>();
  readonly #callIds = new Map<string, string>();
  readonly #nodeCalls = new Map<string, number>();
  readonly #tenantCalls = new Map<string, number>();
  readonly #resellerCalls = new Map<string, number>();
  readonly #expiries = new ExpiryHeap<CallRecord>();
  /** In the order they ran out. */
  readonly #overdue = new Set<CallRecord>();
  /** Taken and ended calls, in the order they became so, with the instant they are forgotten. */
  readonly #past = new Map<CallRecord, number>();
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  readonly #rebuildListeners = new Set<() => void>();
  #rebuildUntilMs: number;
  #closed = false;

  constructor(options: MemoryDirectoryOptions) {
    this.#clock = options.clock;
    this.#rebuildMs = options.rebuildMs ?? 0;
    this.#unixOffsetMs = options.clock.unixMs() - options.clock.nowMs();
    this.#rebuildUntilMs = this.#now() + this.#rebuildMs;
  }

  /** Loses everything, as a Redis without persistence does when it restarts. */
  forget(): void {
    this.#nodes.clear();
    this.#calls.clear();
    this.#callIds.clear();
    this.#nodeCalls.clear();
    this.#tenantCalls.clear();
    this.#resellerCalls.clear();
    this.#expiries.clear();
    this.#overdue.clear();
    this.#past.clear();
    this.#rebuildUntilMs = this.#now() + this.#rebuildMs;
    for (const listener of this.#rebuildListeners) listener();
  }

  // ---- nodes

  async registerNode(
    registration: NodeRegistration,
    leaseTimeMs: number,
    report: NodeReport | null = null,
  ): Promise<{ draining: boolean }> {
    const now = this.#begin();
    const known = this.#knownNode(registration.nodeId, now);
    const same = known !== undefined && known.registration.incarnation === registration.incarnation;
    const draining = known?.draining ?? false;
    this.#nodes.set(registration.nodeId, {
      registration: { ...registration },
      report: report !== null ? { ...report } : same ? known.report : NO_REPORT,
      draining,
      gone: false,
      registeredAtMs: same ? known.registeredAtMs : now,
      reportedAtMs: now,
      expiresAtMs: now + leaseTimeMs,
    });
    return { draining };
  }

  async reportNode(
    nodeId: string,
    incarnation: string,
    report: NodeReport,
    leaseTimeMs: number,
  ): Promise<"ok" | "replaced" | "unknown"> {
    const now = this.#begin();
    const node = this.#knownNode(nodeId, now);
    if (node === undefined || node.gone) return "unknown";
    if (node.registration.incarnation !== incarnation) return "replaced";
    node.report = { ...report };
    node.reportedAtMs = now;
    node.expiresAtMs = now + leaseTimeMs;
    return "ok";
  }

  async removeNode(nodeId: string, incarnation: string): Promise<void> {
    const now = this.#begin();
    const node = this.#knownNode(nodeId, now);
    if (node === undefined || node.gone || node.registration.incarnation !== incarnation) return;
    node.gone = true;
    node.expiresAtMs = now;
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    const now = this.#begin();
    const records: NodeRecord[] = [];
    for (const nodeId of this.#nodes.keys()) {
      const node = this.#knownNode(nodeId, now);
      if (node === undefined || node.gone) continue;
      records.push({
        ...node.registration,
        ...node.report,
        draining: node.draining,
        calls: this.#nodeCalls.get(nodeId) ?? 0,
        registeredAtUnixMs: node.registeredAtMs,
        reportedAtUnixMs: node.reportedAtMs,
        alive: node.expiresAtMs > now,
      });
    }
    return records;
  }

  async setDraining(nodeId: string, draining: boolean): Promise<boolean> {
    const node = this.#knownNode(nodeId, this.#begin());
    if (node === undefined || node.gone) return false;
    node.draining = draining;
    return true;
  }

  // ---- calls

  async reserve(request: ReserveRequest): Promise<ReserveResult> {
    const now = this.#begin();
    this.#refuseWhileRebuilding(now);
    const call = this.#find(request);
    if (call?.state === "ended") return { kind: "ended", callId: call.callId };
    if (call?.state === "held" && (!request.resume || wasResumed(call, request)))
      return { kind: "existing", lease: leaseOf(call) };
    if (!request.resume) {
      if (countOf(this.#tenantCalls, request.tenantId) >= request.tenantCap)
        return { kind: "refused", reason: "tenantCap" };
      if (countOf(this.#resellerCalls, request.resellerId) >= request.resellerCap)
        return { kind: "refused", reason: "resellerCap" };
    }
    const nodeId = this.#pickNode(request, call, now);
    if (nodeId === null) return { kind: "full" };
    const granted: CallRecord = {
      callId: call?.callId ?? request.callId,
      // D1
      epoch: Math.max(now, (call?.epoch ?? 0) + 1, (request.knownEpoch ?? 0) + 1),
      nodeId,
      tenantId: call?.tenantId ?? request.tenantId,
      resellerId: call?.resellerId ?? request.resellerId,
      carrier: call?.carrier ?? request.carrier,
      carrierCallId: call?.carrierCallId || request.carrierCallId,
      live: false,
      resumed: request.resume || (call !== undefined && (call.resumed || call.live)),
      from: call?.from || request.pii.from,
      to: call?.to || request.pii.to,
      state: "held",
      expiresAtMs: now + request.reservationMs,
      heapDueAtMs: Number.POSITIVE_INFINITY,
    };
    this.#hold(granted);
    return { kind: "reserved", lease: leaseOf(granted) };
  }

  async confirm(
    callId: string,
    epoch: number,
    nodeId: string,
    leaseTimeMs: number,
  ): Promise<Lease | "lost" | "unknown"> {
    const now = this.#begin();
    this.#refuseWhileRebuilding(now);
    const call = this.#calls.get(callId);
    if (call === undefined || call.state === "taken" || call.state === "ended") return "unknown";
    if (call.nodeId !== nodeId || (epoch !== 0 && epoch !== call.epoch)) return "lost";
    // A reservation that ran out has given its room away.
    if (call.state === "overdue" && !call.live) return "unknown";
    call.live = true;
    this.#renew(call, now + leaseTimeMs);
    return leaseOf(call);
  }

  async claim(
    nodeId: string,
    claims: readonly LeaseClaim[],
    leaseTimeMs: number,
  ): Promise<readonly LeaseVerdict[]> {
    const now = this.#begin();
    return claims.map((claim) => this.#claimOne(nodeId, claim, now, leaseTimeMs));
  }

  async release(callId: string, epoch: number): Promise<boolean> {
    const now = this.#begin();
    const call = this.#calls.get(callId);
    if (call === undefined) {
      // A claim that is on its way must not bring it back.
      this.#end({ ...UNKNOWN_CALL, callId, epoch }, now);
      return false;
    }
    if (call.state === "ended" || call.epoch !== epoch) return false;
    const counted = call.state !== "taken";
    this.#end(call, now);
    return counted;
  }

  async lookUp(callId: string): Promise<Lease | null> {
    this.#begin();
    const call = this.#calls.get(callId);
    return call === undefined || call.state === "taken" || call.state === "ended" ? null : leaseOf(call);
  }

  async counts(tenantId: string, resellerId: string): Promise<Counts> {
    this.#begin();
    return {
      tenantCalls: countOf(this.#tenantCalls, tenantId),
      resellerCalls: countOf(this.#resellerCalls, resellerId),
    };
  }

  async takeExpired(limit: number): Promise<readonly Lease[]> {
    const now = this.#begin();
    const taken: Lease[] = [];
    if (now < this.#rebuildUntilMs) return taken;
    for (const call of this.#overdue) {
      if (taken.length >= limit) break;
      taken.push(leaseOf(call));
      this.#keepPast(call, "taken", now);
    }
    return taken;
  }

  // ---- fan-out

  async publish(topic: string, message: string): Promise<void> {
    this.#begin();
    const listeners = [...(this.#listeners.get(topic) ?? [])];
    // Never inside the publisher's own step, as with Redis.
    setImmediate(() => {
      for (const listener of listeners) if (this.#listeners.get(topic)?.has(listener)) listener(message);
    });
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<() => void> {
    this.#begin();
    // A wrapper, so that one function subscribed twice hears twice.
    const own = (message: string): void => listener(message);
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(own));
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    };
  }

  onRebuild(listener: () => void): () => void {
    const own = (): void => listener();
    this.#rebuildListeners.add(own);
    return () => {
      this.#rebuildListeners.delete(own);
    };
  }

  async ping(): Promise<void> {
    this.#begin();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    this.#rebuildListeners.clear();
  }

  // ---- inside

  #now(): number {
    return Math.floor(this.#clock.nowMs() + this.#unixOffsetMs);
  }

  /** M2. */
  #begin(): number {
    if (this.#closed) throw new LumentraError("DIRECTORY_UNAVAILABLE", "the directory is closed");
    const now = this.#now();
    for (let call = this.#expiries.takeDue(now); call !== undefined; call = this.#expiries.takeDue(now)) {
      if (call.state !== "held" || this.#calls.get(call.callId) !== call) continue;
      this.#count(call, -1);
      call.state = "overdue";
      this.#overdue.add(call);
    }
    for (const call of this.#overdue) {
      if (call.expiresAtMs + CALL_KEPT_MS > now) break;
      this.#overdue.delete(call);
      this.#drop(call);
    }
    for (const [call, keptUntilMs] of this.#past) {
      if (keptUntilMs > now) break;
      this.#past.delete(call);
      this.#drop(call);
    }
    return now;
  }

  #refuseWhileRebuilding(now: number): void {
    if (now < this.#rebuildUntilMs)
      throw new LumentraError(
        "DIRECTORY_REBUILDING",
        "nodes are telling what they hold; try again in a moment",
      );
  }

  #knownNode(nodeId: string, now: number): NodeEntry | undefined {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.expiresAtMs + NODE_KEPT_MS > now) return node;
    this.#nodes.delete(nodeId);
    return undefined;
  }

  #find(request: ReserveRequest): CallRecord | undefined {
    return this.#findByCarrier(request) ?? this.#calls.get(request.callId);
  }

  /** A record made anew under the old id, of another carrier call, is not meant. */
  #findByCarrier(wanted: {
    readonly carrier: string;
    readonly carrierCallId: string;
  }): CallRecord | undefined {
    const callId = this.#callIds.get(carrierKey(wanted));
    const call = callId === undefined ? undefined : this.#calls.get(callId);
    const isIt = call?.carrier === wanted.carrier && call.carrierCallId === wanted.carrierCallId;
    return isIt ? call : undefined;
  }

  /** The first with room, after the head was compared by load. */
  #pickNode(request: ReserveRequest, call: CallRecord | undefined, now: number): string | null {
    const pickOf = Math.max(request.pickOf, 1);
    let best: string | null = null;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (const [index, nodeId] of request.nodeIds.entries()) {
      if (index >= pickOf && best !== null) return best;
      const node = this.#nodes.get(nodeId);
      if (node === undefined || node.gone || node.expiresAtMs <= now) continue;
      if (node.draining || !node.report.ready || node.report.stopping) continue;
      // A call that stays on its node needs no second slot there.
      const own = call?.state === "held" && call.nodeId === nodeId ? 1 : 0;
      const calls = countOf(this.#nodeCalls, nodeId) - own;
      const capacity = node.registration.capacityCalls;
      if (calls >= capacity) continue;
      if (index >= pickOf) return nodeId;
      if (calls / capacity < bestLoad) {
        best = nodeId;
        bestLoad = calls / capacity;
      }
    }
    return best;
  }

  #claimOne(nodeId: string, claim: LeaseClaim, now: number, leaseTimeMs: number): LeaseVerdict {
    const { callId, epoch } = claim;
    const call = this.#calls.get(callId);
    if (call !== undefined) {
      const isNewer = epoch > call.epoch;
      const isOwner = epoch === call.epoch && nodeId === call.nodeId && call.state !== "ended";
      if (!isNewer && !isOwner) return { callId, kind: "lost", epoch: call.epoch };
      if (isOwner) {
        call.live ||= claim.live;
        // A reservation is not made shorter by the node that waits for its media.
        const floorMs = call.live ? 0 : call.expiresAtMs;
        this.#renew(call, Math.max(now + leaseTimeMs, floorMs));
        return { callId, kind: "held" };
      }
    }
    // The same carrier call under another id: it was placed anew while nobody knew of this one. One of them stays: the
    // one with media, which a reservation whose answer came too late for its webhook has not; else the newer.
    const other = this.#findByCarrier(claim);
    if (
      other !== undefined &&
      other.callId !== callId &&
      (other.state === "held" || other.state === "overdue")
    ) {
      const isReservedOnly = claim.live && !other.live;
      if (other.epoch >= epoch && !isReservedOnly) return { callId, kind: "lost", epoch: other.epoch };
      this.#end(other, now);
    }
    this.#hold({
      callId,
      epoch,
      nodeId,
      tenantId: claim.tenantId,
      resellerId: claim.resellerId,
      carrier: claim.carrier,
      carrierCallId: claim.carrierCallId,
      live: claim.live,
      resumed: call !== undefined,
      from: call?.from ?? "",
      to: call?.to ?? "",
      state: "held",
      expiresAtMs: now + leaseTimeMs,
      heapDueAtMs: Number.POSITIVE_INFINITY,
    });
    return { callId, kind: "held" };
  }

  /** Puts a held record in the place of what there was of the call (M1). */
  #hold(call: CallRecord): void {
    const before = this.#calls.get(call.callId);
    if (before !== undefined) {
      if (before.state === "held") this.#count(before, -1);
      this.#overdue.delete(before);
      this.#past.delete(before);
    }
    this.#calls.set(call.callId, call);
    if (call.carrierCallId !== "") this.#callIds.set(carrierKey(call), call.callId);
    this.#count(call, 1);
    this.#expiries.watch(call);
  }

  #renew(call: CallRecord, expiresAtMs: number): void {
    if (call.state !== "held") {
      this.#overdue.delete(call);
      this.#past.delete(call);
      call.state = "held";
      this.#count(call, 1);
    }
    call.expiresAtMs = expiresAtMs;
    this.#expiries.watch(call);
  }

  #end(call: CallRecord, now: number): void {
    if (call.state === "held") this.#count(call, -1);
    call.from = "";
    call.to = "";
    this.#calls.set(call.callId, call);
    this.#keepPast(call, "ended", now);
  }

  #keepPast(call: CallRecord, state: "taken" | "ended", now: number): void {
    this.#overdue.delete(call);
    this.#past.delete(call);
    call.state = state;
    this.#past.set(call, now + ENDED_KEPT_MS);
  }

  #drop(call: CallRecord): void {
    if (this.#calls.get(call.callId) === call) this.#calls.delete(call.callId);
    if (this.#callIds.get(carrierKey(call)) === call.callId) this.#callIds.delete(carrierKey(call));
  }

  #count(call: CallRecord, by: 1 | -1): void {
    add(this.#nodeCalls, call.nodeId, by);
    add(this.#tenantCalls, call.tenantId, by);
    add(this.#resellerCalls, call.resellerId, by);
  }
}

/** What is known of a call that was released before it was heard of. */
const UNKNOWN_CALL: Omit<CallRecord, "callId" | "epoch"> = {
  nodeId: "",
  tenantId: "",
  resellerId: "",
  carrier: "",
  carrierCallId: "",
  live: false,
  resumed: false,
  from: "",
  to: "",
  state: "ended",
  expiresAtMs: 0,
  heapDueAtMs: Number.POSITIVE_INFINITY,
};

function carrierKey(call: { readonly carrier: string; readonly carrierCallId: string }): string {
  return `${call.carrier}:${call.carrierCallId}`;
}

function countOf(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0;
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = countOf(counts, key) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

/** The same redirect came before. */
function wasResumed({ epoch }: CallRecord, { afterEpoch = 0 }: ReserveRequest): boolean {
  return afterEpoch > 0 && epoch > afterEpoch;
}

function leaseOf(call: CallRecord): Lease {
  const { callId, epoch, nodeId, tenantId, resellerId, carrier, carrierCallId, live, resumed } = call;
  return {
    callId,
    epoch,
    nodeId,
    tenantId,
    resellerId,
    carrier,
    carrierCallId,
    live,
    resumed,
    expiresAtUnixMs: call.expiresAtMs,
    pii: { from: call.from, to: call.to },
  };
}
