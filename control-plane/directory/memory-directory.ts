/**
 * The directory of one machine, and of the simulator: everything in this process, time by the clock that is passed
 * in. The same answers as Redis gives, step for step (directory-model.test.ts).
 *
 * Invariants
 * M2 Every method first moves what expired to `overdue`, so that no answer rests on a lease that has run out.
 * M3 Each method runs to its end without waiting: that is its atomicity (D2).
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { type Logger, silentLogger } from "#runtime/telemetry";
import { type CallRecord, CallRecords, leaseOf } from "./call-records.js";
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
import { NODE_KEPT_MS } from "./limits.js";
import { Listeners, Topics } from "./listeners.js";

export interface MemoryDirectoryOptions {
  readonly clock: Clock;
  /** @default none */
  readonly log?: Logger;
  /**
   * How long D4 holds after the start: a control plane that starts again has forgotten what its nodes hold.
   * @default 0, as tests and the simulator want it; openDirectory passes REBUILD_MS
   */
  readonly rebuildMs?: number;
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
  readonly #calls = new CallRecords();
  readonly #topics: Topics;
  readonly #rebuilds: Listeners<void>;
  #rebuildUntilMs: number;
  #closed = false;

  constructor(options: MemoryDirectoryOptions) {
    this.#clock = options.clock;
    const { log = silentLogger } = options;
    this.#topics = new Topics(log);
    this.#rebuilds = new Listeners(log);
    this.#rebuildMs = options.rebuildMs ?? 0;
    this.#unixOffsetMs = options.clock.unixMs() - options.clock.nowMs();
    this.#rebuildUntilMs = this.#now() + this.#rebuildMs;
  }

  /** Loses everything, as a Redis without persistence does when it restarts. */
  forget(): void {
    this.#nodes.clear();
    this.#calls.clear();
    this.#rebuildUntilMs = this.#now() + this.#rebuildMs;
    this.#rebuilds.tell();
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
        calls: this.#calls.onNode(nodeId),
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
      if (this.#calls.ofTenant(request.tenantId) >= request.tenantCap)
        return { kind: "refused", reason: "tenantCap" };
      if (this.#calls.ofReseller(request.resellerId) >= request.resellerCap)
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
    this.#calls.hold(granted);
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
    this.#calls.renew(call, now + leaseTimeMs);
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
      this.#calls.end({ ...UNKNOWN_CALL, callId, epoch }, now);
      return false;
    }
    if (call.state === "ended" || call.epoch !== epoch) return false;
    const counted = call.state !== "taken";
    this.#calls.end(call, now);
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
      tenantCalls: this.#calls.ofTenant(tenantId),
      resellerCalls: this.#calls.ofReseller(resellerId),
    };
  }

  async takeExpired(limit: number): Promise<readonly Lease[]> {
    const now = this.#begin();
    return now < this.#rebuildUntilMs ? [] : this.#calls.takeOverdue(limit, now);
  }

  // ---- fan-out

  async publish(topic: string, message: string): Promise<void> {
    this.#begin();
    const tell = this.#topics.of(topic)?.later();
    // Never inside the publisher's own step, as with Redis.
    if (tell !== undefined) setImmediate(() => tell(message));
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<() => void> {
    this.#begin();
    const stop = this.#topics.add(topic, listener);
    return () => stop();
  }

  onRebuild(listener: () => void): () => void {
    return this.#rebuilds.add(listener);
  }

  async ping(): Promise<void> {
    this.#begin();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#topics.clear();
    this.#rebuilds.clear();
  }

  // ---- inside

  #now(): number {
    return Math.floor(this.#clock.nowMs() + this.#unixOffsetMs);
  }

  /** M2. */
  #begin(): number {
    if (this.#closed) throw new LumentraError("DIRECTORY_UNAVAILABLE", "the directory is closed");
    const now = this.#now();
    this.#calls.expire(now);
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
    return this.#calls.byCarrier(request) ?? this.#calls.get(request.callId);
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
      const calls = this.#calls.onNode(nodeId) - own;
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
        this.#calls.renew(call, Math.max(now + leaseTimeMs, floorMs));
        return { callId, kind: "held" };
      }
    }
    // The same carrier call under another id: it was placed anew while nobody knew of this one. One of them stays: the
    // one with media, which a reservation whose answer came too late for its webhook has not; of two with media the newer.
    // Before either has any nobody can say which one the carrier was told of: neither is lost, and the first is counted.
    const other = this.#calls.byCarrier(claim);
    if (
      other !== undefined &&
      other.callId !== callId &&
      (other.state === "held" || other.state === "overdue")
    ) {
      const isReservedOnly = !other.live;
      if (isReservedOnly && !claim.live && other.state === "held") return { callId, kind: "held" };
      if (other.epoch >= epoch && !isReservedOnly) return { callId, kind: "lost", epoch: other.epoch };
      this.#calls.end(other, now);
    }
    this.#calls.hold({
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

/** The same redirect came before. */
function wasResumed({ epoch }: CallRecord, { afterEpoch = 0 }: ReserveRequest): boolean {
  return afterEpoch > 0 && epoch > afterEpoch;
}
