/**
 * The memory directory's calls: their records, whose room each counts against, and when each runs out.
 *
 * A call's record goes held -> overdue (its time ran out; it no longer counts) -> taken (swept) or ended (released),
 * and is dropped after ENDED_KEPT_MS. A claim or a new reservation makes it held again, ended ones excepted.
 *
 * Invariants
 * M1 A record counts on its node, tenant and reseller exactly while it is `held`.
 */
import type { Lease } from "./directory.js";
import { ExpiryHeap } from "./expiry-heap.js";
import { CALL_KEPT_MS, ENDED_KEPT_MS } from "./limits.js";

export interface CallRecord {
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

/** What one carrier call is known by. */
interface CarrierCall {
  readonly carrier: string;
  readonly carrierCallId: string;
}

export class CallRecords {
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

  clear(): void {
    this.#calls.clear();
    this.#callIds.clear();
    this.#nodeCalls.clear();
    this.#tenantCalls.clear();
    this.#resellerCalls.clear();
    this.#expiries.clear();
    this.#overdue.clear();
    this.#past.clear();
  }

  /** What has run out by now is overdue, what was kept long enough is gone. */
  expire(now: number): void {
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
  }

  get(callId: string): CallRecord | undefined {
    return this.#calls.get(callId);
  }

  /** A record made anew under the old id, of another carrier call, is not meant. */
  byCarrier(wanted: CarrierCall): CallRecord | undefined {
    const callId = this.#callIds.get(carrierKey(wanted));
    const call = callId === undefined ? undefined : this.#calls.get(callId);
    const isIt = call?.carrier === wanted.carrier && call.carrierCallId === wanted.carrierCallId;
    return isIt ? call : undefined;
  }

  onNode(nodeId: string): number {
    return countOf(this.#nodeCalls, nodeId);
  }

  ofTenant(tenantId: string): number {
    return countOf(this.#tenantCalls, tenantId);
  }

  ofReseller(resellerId: string): number {
    return countOf(this.#resellerCalls, resellerId);
  }

  /** Puts a held record in the place of what there was of the call (M1). */
  hold(call: CallRecord): void {
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

  /** It is held until then, whatever it was. */
  renew(call: CallRecord, expiresAtMs: number): void {
    if (call.state !== "held") {
      this.#overdue.delete(call);
      this.#past.delete(call);
      call.state = "held";
      this.#count(call, 1);
    }
    call.expiresAtMs = expiresAtMs;
    this.#expiries.watch(call);
  }

  /** It is over. */
  end(call: CallRecord, now: number): void {
    if (call.state === "held") this.#count(call, -1);
    call.from = "";
    call.to = "";
    this.#calls.set(call.callId, call);
    this.#keepPast(call, "ended", now);
  }

  /** Those that ran out, the longest ago first: they are somebody's to end now. */
  takeOverdue(limit: number, now: number): Lease[] {
    const taken: Lease[] = [];
    for (const call of this.#overdue) {
      if (taken.length >= limit) break;
      taken.push(leaseOf(call));
      this.#keepPast(call, "taken", now);
    }
    return taken;
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

function carrierKey(call: CarrierCall): string {
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

export function leaseOf(call: CallRecord): Lease {
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
