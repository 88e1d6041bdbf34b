/**
 * The slots of one incarnation of a shard, and who holds them.
 *
 * ```
 *             open()           shard said callClosed
 * reserved ------------> open -----------------------> closed
 *     |                    |                              |
 *     | release()          | release(): remembered        | release(), or at once if remembered
 *     v                    v                              v
 *   free again          still open                      reset, free again
 * ```
 * T1 a slot is free again only when the edge has released it and the shard has finished with it (or never
 *    heard of it): both sides are quiescent then, which is what reset() needs.
 * T2 after `loseAll` every lease is closed or lost, and no slot of this table is ever given out again.
 */
import assert from "node:assert/strict";
import type { Arena, EdgeSlot } from "#runtime/media";
import type { SlotLease, SlotLeaseState } from "./slot-lease.js";

class Lease implements SlotLease {
  readonly shardId: number;
  readonly slot: number;
  readonly generation: number;
  readonly side: EdgeSlot;
  readonly table: SlotTable;
  state: SlotLeaseState = "reserved";
  releasedByEdge = false;

  constructor(table: SlotTable, shardId: number, slot: number, generation: number) {
    this.table = table;
    this.shardId = shardId;
    this.slot = slot;
    this.generation = generation;
    this.side = table.arena.edgeSide(slot);
  }

  ringShard(): void {
    if (this.table.arena.inBell.ring(this.slot)) this.table.wakeOwed = true;
  }
}

export class SlotTable {
  readonly arena: Arena;
  /** The in-bell wants its shard woken. A shard that nobody wakes polls. */
  wakeOwed = false;
  readonly #shardId: number;
  readonly #nextGeneration: () => number;
  readonly #leases: (Lease | null)[];
  /** Free slots; the last one freed is the first used, so that few pages of a large arena are ever touched. */
  readonly #free: number[];
  #visit: (lease: SlotLease) => void = () => {};
  readonly #visitSlot = (slot: number): void => {
    const lease = this.#leases[slot];
    if (lease !== null && lease !== undefined && !lease.releasedByEdge) this.#visit(lease);
  };

  constructor(shardId: number, arena: Arena, nextGeneration: () => number) {
    this.arena = arena;
    this.#shardId = shardId;
    this.#nextGeneration = nextGeneration;
    this.#leases = Array.from({ length: arena.slotCount }, () => null);
    this.#free = Array.from({ length: arena.slotCount }, (_, i) => arena.slotCount - 1 - i);
  }

  /** The table that gave the lease out; of a shard's earlier incarnation, maybe. */
  static of(lease: SlotLease): SlotTable {
    return ownLease(lease).table;
  }

  /** Slots taken, in whatever state. */
  get liveCount(): number {
    return this.arena.slotCount - this.#free.length;
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** Slots the edge has given back and the shard still holds. */
  get lingeringCount(): number {
    return this.#leases.reduce((count, lease) => (lease?.releasedByEdge === true ? count + 1 : count), 0);
  }

  reserve(): SlotLease | null {
    const slot = this.#free.pop();
    if (slot === undefined) return null;
    const lease = new Lease(this, this.#shardId, slot, this.#nextGeneration());
    this.#leases[slot] = lease;
    return lease;
  }

  /** False when the lease is lost: the caller has heard of it, or is about to. */
  markOpen(lease: SlotLease): boolean {
    const own = ownLease(lease);
    if (own.state === "lost") return false;
    assert(own.state === "reserved" && !own.releasedByEdge, `cannot open a lease that is ${own.state}`);
    own.state = "open";
    return true;
  }

  /** Takes markOpen back: the shard could not be told. */
  markReserved(lease: SlotLease): void {
    ownLease(lease).state = "reserved";
  }

  /** The shard has finished with the slot. Null when that lease is not open: nothing is to be done. */
  markClosed(slot: number, generation: number): SlotLease | null {
    const lease = this.find(slot, generation);
    if (lease === null || lease.state !== "open") return null;
    const own = ownLease(lease);
    own.state = "closed";
    if (own.releasedByEdge) this.#freeSlot(own);
    return own;
  }

  /** The edge has finished with the slot. Idempotent. */
  release(lease: SlotLease): void {
    const own = ownLease(lease);
    if (own.releasedByEdge) return;
    own.releasedByEdge = true;
    if (own.state === "closed" || own.state === "reserved") this.#freeSlot(own);
  }

  find(slot: number, generation: number): SlotLease | null {
    const lease = this.#leases[slot] ?? null;
    return lease?.generation === generation ? lease : null;
  }

  /** Visits the leases whose out-ring was touched; `visit` is made once, not per call. */
  drainOutBell(visit: (lease: SlotLease) => void): number {
    this.#visit = visit;
    return this.arena.outBell.drain(this.#visitSlot);
  }

  /** The shard is dead. Returns the leases that died with it. */
  loseAll(): readonly SlotLease[] {
    const lost: Lease[] = [];
    for (const lease of this.#leases) {
      if (lease === null || lease.state === "closed" || lease.state === "lost") continue;
      lease.state = "lost";
      lost.push(lease);
    }
    this.#leases.fill(null);
    this.#free.length = 0;
    return lost;
  }

  #freeSlot(lease: Lease): void {
    // After loseAll (T2) the slot is nobody's.
    if (this.#leases[lease.slot] !== lease) return;
    lease.side.reset();
    this.#leases[lease.slot] = null;
    this.#free.push(lease.slot);
  }
}

function ownLease(lease: SlotLease): Lease {
  assert(lease instanceof Lease, "a lease comes from ShardPool.reserve()");
  return lease;
}
