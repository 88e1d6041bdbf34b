/**
 * Where a call goes, as the switchboard sees it: one interface over the node's own memory (standalone, or while no
 * control plane answers) and over the control plane's placement.
 *
 * Invariants
 * C1 epochs grow: a new lease of a call has max(old + 1, unix ms), on whichever side it was given, so that the two
 *    sides never give the same one twice.
 * C2 whatever was placed is released once it is over, or expires by itself where it was placed.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "#runtime/actor";

/** Of an existing call. */
export interface Resume {
  readonly callId: string;
  /**
   * The epoch of the lease under which the media was opened that has ended; 0 when the redirect does not say. A call
   * that has a newer lease already was resumed when the same redirect came before, and keeps it.
   */
  readonly afterEpoch: number;
}

export interface PlaceRequest {
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly tenantId: string;
  /** Live calls that the tenant may have at once. */
  readonly tenantCap: number;
  readonly pii: { readonly from: string; readonly to: string };
  /**
   * The carrier asks what follows our media element, and the call is taken over under a new lease. Null for a call that
   * is new.
   */
  readonly resume: Resume | null;
}

export type Placed =
  /** On this node, under this lease. `resumed`: it had an owner before, whose journal is to be gone on from. */
  | {
      readonly kind: "here";
      readonly callId: string;
      readonly epoch: number;
      readonly resumed: boolean;
      /** `local`: this node decided by itself. */
      readonly path: PlacementPath;
    }
  | {
      readonly kind: "elsewhere";
      readonly callId: string;
      readonly epoch: number;
      readonly mediaUrl: string;
    }
  | { readonly kind: "refused"; readonly reason: PlacementRefusal }
  /** The call is over. */
  | { readonly kind: "ended" }
  /** Nothing is known of the call that is to be resumed, which says nothing of whether it is over. */
  | { readonly kind: "unknown" };

export type PlacementPath = "remote" | "local";
export type PlacementRefusal = "tenantCap" | "resellerCap" | "noCapacity" | "suspended";

/** A call that another node sent here: all this one needs to know of it. */
export interface ClaimedPlace {
  readonly callId: string;
  readonly epoch: number;
  readonly tenantId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly pii: { readonly from: string; readonly to: string };
  readonly resumed: boolean;
}

export interface CallPlacement {
  /** Whether a call may be placed on another node. */
  readonly canPlaceElsewhere: boolean;
  /** A promise is bounded in time, and does not reject: without a control plane this node decides. */
  place(request: PlaceRequest): Placed | Promise<Placed>;
  /** Media has arrived for a call that was placed here. Returns at once; a lease that was lost is told otherwise. */
  confirm(callId: string, epoch: number): void;
  /** A media socket came for a call that is not known here. Null: it is not ours, or nobody can say. */
  claim(callId: string): Promise<ClaimedPlace | null>;
  /** The call is over. Returns at once, and sees to it. */
  release(callId: string, epoch: number): void;
}

interface LocalLease {
  readonly tenantId: string;
  readonly carrierKey: string;
  epoch: number;
}

/** All of it in memory: every call is placed on this node while its tenant's cap allows. */
export class LocalPlacement implements CallPlacement {
  readonly canPlaceElsewhere = false;
  readonly #clock: Clock;
  readonly #newCallId: () => string;
  /** Bounded by the slots and the suspended calls: the switchboard releases what it does not hold. */
  readonly #leases = new Map<string, LocalLease>();
  readonly #callIds = new Map<string, string>();
  readonly #countByTenant = new Map<string, number>();

  /** `newCallId`: must never repeat itself, on any node. */
  constructor(clock: Clock, newCallId: () => string = randomUUID) {
    this.#clock = clock;
    this.#newCallId = newCallId;
  }

  place(request: PlaceRequest): Placed {
    const carrierKey = keyOf(request.carrier, request.carrierCallId);
    const { resume } = request;
    const known = resume === null ? this.#callIds.get(carrierKey) : resume.callId;
    const lease = known === undefined ? undefined : this.#leases.get(known);
    if (known !== undefined && lease !== undefined) {
      const isRepeated = resume !== null && resume.afterEpoch > 0 && lease.epoch > resume.afterEpoch;
      if (resume !== null && !isRepeated) lease.epoch = this.#nextEpoch(lease.epoch);
      return { kind: "here", callId: known, epoch: lease.epoch, resumed: resume !== null, path: "local" };
    }
    if (resume !== null) return { kind: "unknown" };
    if (this.countOf(request.tenantId) >= request.tenantCap) return { kind: "refused", reason: "tenantCap" };
    const callId = this.#newCallId();
    const epoch = this.#nextEpoch(0);
    this.adopt(callId, epoch, request);
    return { kind: "here", callId, epoch, resumed: false, path: "local" };
  }

  /** Another side has placed this call here: it counts like one of ours from now on. */
  adopt(
    callId: string,
    epoch: number,
    call: Pick<PlaceRequest, "carrier" | "carrierCallId" | "tenantId">,
  ): void {
    const lease = this.#leases.get(callId);
    if (lease !== undefined) {
      lease.epoch = Math.max(lease.epoch, epoch);
      return;
    }
    const carrierKey = keyOf(call.carrier, call.carrierCallId);
    this.#leases.set(callId, { tenantId: call.tenantId, carrierKey, epoch });
    this.#callIds.set(carrierKey, callId);
    this.#countByTenant.set(call.tenantId, this.countOf(call.tenantId) + 1);
  }

  has(callId: string): boolean {
    return this.#leases.has(callId);
  }

  confirm(): void {}

  claim(): Promise<null> {
    return Promise.resolve(null);
  }

  release(callId: string, epoch: number): void {
    const lease = this.#leases.get(callId);
    if (lease === undefined || lease.epoch > epoch) return;
    this.#leases.delete(callId);
    if (this.#callIds.get(lease.carrierKey) === callId) this.#callIds.delete(lease.carrierKey);
    const count = this.countOf(lease.tenantId) - 1;
    if (count > 0) this.#countByTenant.set(lease.tenantId, count);
    else this.#countByTenant.delete(lease.tenantId);
  }

  countOf(tenantId: string): number {
    return this.#countByTenant.get(tenantId) ?? 0;
  }

  /** C1 */
  #nextEpoch(epoch: number): number {
    return Math.max(epoch + 1, Math.floor(this.#clock.unixMs()));
  }
}

function keyOf(carrier: string, carrierCallId: string): string {
  return `${carrier}/${carrierCallId}`;
}
