/**
 * The calls a node carries right now: who they are, whose slot they hold, how far they are. Main thread.
 *
 *   admit        media socket opens        actor says closed / leg ends, in either order
 *   reserved ──────────> open ──────────────> leaving ──────────────> gone
 *       └── token ran out ─────────────────────────────────────────────^
 */
import type { SlotLease } from "#runtime/cluster";
import type { AudioFormat } from "#runtime/media";

export interface LiveCall {
  readonly callId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly tenantId: string;
  readonly lease: SlotLease;
  readonly webhookAtMs: number;
  readonly startedAtUnixMs: number;
  readonly pii: { readonly from: string; readonly to: string };
  /** What the leg carries; null until its media socket has opened. */
  format: AudioFormat | null;
  state: "reserved" | "open" | "leaving";
}

export class LiveCalls {
  readonly #byId = new Map<string, LiveCall>();
  readonly #byCarrierId = new Map<string, LiveCall>();
  readonly #byLease = new Map<SlotLease, LiveCall>();
  readonly #countByTenant = new Map<string, number>();

  get size(): number {
    return this.#byId.size;
  }

  add(call: LiveCall): void {
    this.#byId.set(call.callId, call);
    this.#byCarrierId.set(call.carrierCallId, call);
    this.#byLease.set(call.lease, call);
    this.#countByTenant.set(call.tenantId, this.countOf(call.tenantId) + 1);
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

  countOf(tenantId: string): number {
    return this.#countByTenant.get(tenantId) ?? 0;
  }

  /** Idempotent. */
  remove(call: LiveCall): void {
    if (!this.#byId.delete(call.callId)) return;
    if (this.#byCarrierId.get(call.carrierCallId) === call) this.#byCarrierId.delete(call.carrierCallId);
    this.#byLease.delete(call.lease);
    const count = this.countOf(call.tenantId) - 1;
    if (count > 0) this.#countByTenant.set(call.tenantId, count);
    else this.#countByTenant.delete(call.tenantId);
  }

  *[Symbol.iterator](): IterableIterator<LiveCall> {
    yield* this.#byId.values();
  }
}
