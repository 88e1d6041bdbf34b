/**
 * Hot shared state of all control planes: nodes, reservations, leases, counters, fan-out. Redis for many
 * machines, memory for one; one compliance suite runs against both.
 *
 * Invariants
 * D1 A call has at most one lease; its epoch only grows, also over a loss of the directory's memory: a new epoch
 *    is max(old + 1, unix ms).
 * D2 Counting and granting are one atomic step: no cap and no node's capacity is ever exceeded by a race.
 * D3 Whatever is counted expires by itself: a reservation without media, a lease nobody renews. Nothing leaks.
 * D4 After a loss of memory nothing is granted until the nodes had REBUILD_MS to tell what they hold.
 *
 * Every method throws LumentraError DIRECTORY_UNAVAILABLE when the directory cannot be reached, and those marked
 * (R) DIRECTORY_REBUILDING while D4 holds.
 */

/** As in lumentra.control.v1.PressureRung, 0 to 4. */
export type Rung = 0 | 1 | 2 | 3 | 4;

export interface Pressure {
  readonly rung: Rung;
  readonly pacingLagMs: number;
  readonly eventLoopDelayMs: number;
  /** 0 to 1. */
  readonly slotUsage: number;
  /** 0 to 1. */
  readonly providerUsage: number;
}

export interface NodeRegistration {
  readonly nodeId: string;
  /** Unique per start of the node; a later one replaces an earlier. */
  readonly incarnation: string;
  readonly region: string;
  readonly version: string;
  readonly mediaUrl: string;
  readonly capacityCalls: number;
}

export interface NodeReport {
  readonly ready: boolean;
  /** The node's own drain: its process was told to stop. */
  readonly stopping: boolean;
  readonly pressure: Pressure;
}

export interface NodeRecord extends NodeRegistration, NodeReport {
  /** An operator drained it; outlives the node's restarts. */
  readonly draining: boolean;
  /** Leases and reservations counted on it now. */
  readonly calls: number;
  readonly registeredAtUnixMs: number;
  readonly reportedAtUnixMs: number;
  /** False when no report came for its lease time: it counts as lost. */
  readonly alive: boolean;
}

export interface Lease {
  readonly callId: string;
  readonly epoch: number;
  readonly nodeId: string;
  readonly tenantId: string;
  readonly resellerId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  /** Media has arrived (confirmed). */
  readonly live: boolean;
  /** This call had another owner before. */
  readonly resumed: boolean;
  readonly expiresAtUnixMs: number;
  readonly pii: { readonly from: string; readonly to: string };
}

export interface ReserveRequest {
  /** Used when the call is new. */
  readonly callId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly tenantId: string;
  readonly resellerId: string;
  readonly tenantCap: number;
  readonly resellerCap: number;
  /** In order of preference; the first with room is taken, after the preferred two were compared by load (see pickOf). */
  readonly nodeIds: readonly string[];
  /** How many of nodeIds' head are compared: the least loaded (calls / capacity) of them goes first. 1 keeps the order. */
  readonly pickOf: number;
  readonly reservationMs: number;
  /**
   * Take the call over from its present owner, under a new epoch. Caps do not apply: it counts already. When the
   * carrier call is not known here (any more), `callId` names the call.
   */
  readonly resume: boolean;
  /** The highest epoch the caller knows the call to have had; the new one is above it, whatever clocks say. @default 0 */
  readonly knownEpoch?: number;
  /**
   * With `resume`: only from the owner under this epoch, or an earlier one. Who was resumed since keeps the call, and the
   * answer is `existing`. 0: from whoever has it. @default 0
   */
  readonly afterEpoch?: number;
  readonly pii: { readonly from: string; readonly to: string };
}

export type ReserveResult =
  /** A new lease (or, resumed, a new epoch of one). */
  | { readonly kind: "reserved"; readonly lease: Lease }
  /** The same carrier call holds one already, and `resume` is false or was granted before: the same answer again. */
  | { readonly kind: "existing"; readonly lease: Lease }
  | { readonly kind: "refused"; readonly reason: "tenantCap" | "resellerCap" }
  /** None of nodeIds has room (or is alive, ready, not draining). */
  | { readonly kind: "full" }
  /** The carrier call was released before; kept for ENDED_KEPT_MS. */
  | { readonly kind: "ended"; readonly callId: string };

/** What a node says it holds. */
export interface LeaseClaim {
  readonly callId: string;
  readonly epoch: number;
  readonly tenantId: string;
  readonly resellerId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly live: boolean;
}

export type LeaseVerdict =
  | { readonly callId: string; readonly kind: "held" }
  | { readonly callId: string; readonly kind: "lost"; readonly epoch: number };

export interface Counts {
  readonly tenantCalls: number;
  readonly resellerCalls: number;
}

export interface Directory {
  readonly kind: "redis" | "memory";

  // ---- nodes

  /**
   * A node is there (again). Its operator's drain is kept. Leases it does not claim afterwards expire by D3.
   * Without a report the same incarnation's last one stays, and another incarnation is not ready.
   */
  registerNode(
    registration: NodeRegistration,
    leaseTimeMs: number,
    report?: NodeReport | null,
  ): Promise<{ readonly draining: boolean }>;
  /** "replaced": a later incarnation has registered. "unknown": memory was lost; register again and tell leases. */
  reportNode(
    nodeId: string,
    incarnation: string,
    report: NodeReport,
    leaseTimeMs: number,
  ): Promise<"ok" | "replaced" | "unknown">;
  /** It said goodbye. Nothing when a later incarnation has registered. Its leases stay until released or expired. */
  removeNode(nodeId: string, incarnation: string): Promise<void>;
  /** All, lost ones too (kept for a day). */
  nodes(): Promise<readonly NodeRecord[]>;
  /** False: no such node. */
  setDraining(nodeId: string, draining: boolean): Promise<boolean>;

  // ---- calls

  /** (R) */
  reserve(request: ReserveRequest): Promise<ReserveResult>;
  /** (R) Media arrived. epoch 0: the one in force. "lost": another owner. "unknown": no such reservation (any more). */
  confirm(
    callId: string,
    epoch: number,
    nodeId: string,
    leaseTimeMs: number,
  ): Promise<Lease | "lost" | "unknown">;
  /** Renews what the node holds and adopts what is unknown here; also while rebuilding: that is what it is for. */
  claim(nodeId: string, claims: readonly LeaseClaim[], leaseTimeMs: number): Promise<readonly LeaseVerdict[]>;
  /**
   * Gives back everything the call counts for, and remembers it as ended. False: no lease, another epoch, or taken out
   * as expired already. Idempotent.
   */
  release(callId: string, epoch: number): Promise<boolean>;
  /** An expired lease is still found until somebody takes it out (see expiresAtUnixMs). */
  lookUp(callId: string): Promise<Lease | null>;
  counts(tenantId: string, resellerId: string): Promise<Counts>;
  /** Takes up to `limit` leases out whose time has run out, the longest first, each given to one caller only. None while D4 holds. */
  takeExpired(limit: number): Promise<readonly Lease[]>;

  // ---- fan-out

  /** At most once, to subscribers that are connected now: a hint to look, never the only copy of anything. */
  publish(topic: string, message: string): Promise<void>;
  subscribe(topic: string, listener: (message: string) => void): Promise<() => void>;

  /** Memory was lost; fires once per loss in every control plane. Nodes must be registered and their leases claimed again. */
  onRebuild(listener: () => void): () => void;
  /** Resolves when it answers. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
