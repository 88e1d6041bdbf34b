/**
 * The calls a node carries right now: who they are, whose slot they hold, how far they are. Main thread.
 *
 *   admit        media socket opens        actor says closed / leg ends, in either order
 *   reserved ──────────> open ──────────────> leaving ──────────────> gone
 *       │                  │ └── leg lost ──> suspended (SuspendedCalls), its slot given back
 *       │                  └── actor or shard lost ──> recovering ──> open (Recovery), with another slot
 *       └── token ran out ─────────────────────────────────────────────^
 */
import type { CallOutcome, SlotLease } from "#runtime/cluster";
import type { AudioFormat } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";
import type { TenantConfig } from "#actors/tenants";

export interface LiveCall {
  readonly callId: string;
  /** Of the lease under which this node owns it. */
  readonly epoch: number;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly tenantId: string;
  /** What its present actor began with, which a change does not touch; null before the first. */
  tenant: TenantConfig | null;
  lease: SlotLease;
  /** Counts the actors it had on this node before; see CallStart.tenure. */
  tenure: number;
  readonly webhookAtMs: number;
  readonly startedAtUnixMs: number;
  readonly pii: { readonly from: string; readonly to: string };
  /** Set: it had an owner before, here or elsewhere, and waits for its media socket. */
  resumed: null | { readonly gapMs: number; readonly journal: readonly JournalEvent[] };
  /** What the leg carries; null until its media socket has opened. */
  format: AudioFormat | null;
  state: "reserved" | "open" | "recovering" | "leaving";
  /** Somebody has asked for its end, to be recorded as this: whichever actor has it says goodbye. */
  ending: CallOutcome | null;
}

export class LiveCalls {
  readonly #byId = new Map<string, LiveCall>();
  readonly #byCarrierId = new Map<string, LiveCall>();
  readonly #byLease = new Map<SlotLease, LiveCall>();

  get size(): number {
    return this.#byId.size;
  }

  add(call: LiveCall): void {
    this.#byId.set(call.callId, call);
    this.#byCarrierId.set(call.carrierCallId, call);
    this.#byLease.set(call.lease, call);
  }

  get(callId: string): LiveCall | undefined {
    return this.#byId.get(callId);
  }

  byCarrierId(carrierCallId: string): LiveCall | undefined {
    return this.#byCarrierId.get(carrierCallId);
  }

  byLease(lease: SlotLease): LiveCall | undefined {
    return this.#byLease.get(lease);
  }

  /** Its slot is another one from here on. */
  move(call: LiveCall, lease: SlotLease): void {
    this.#byLease.delete(call.lease);
    call.lease = lease;
    this.#byLease.set(lease, call);
  }

  /** Idempotent. */
  remove(call: LiveCall): void {
    if (this.#byId.get(call.callId) !== call) return;
    this.#byId.delete(call.callId);
    if (this.#byCarrierId.get(call.carrierCallId) === call) this.#byCarrierId.delete(call.carrierCallId);
    this.#byLease.delete(call.lease);
  }

  *[Symbol.iterator](): IterableIterator<LiveCall> {
    yield* this.#byId.values();
  }
}
