/** The right to one slot of one shard, for one call. */
import type { EdgeSlot } from "#runtime/media";

/**
 * `reserved`: counted, not yet used; the shard does not know of it.
 * `open`: the shard was told; it owns the rings' other ends.
 * `closed`: the shard has finished with the slot.
 * `lost`: the shard died first. The rings may still be read and written, to no effect; the slot never
 * comes back, its successor has rings of its own.
 */
export type SlotLeaseState = "reserved" | "open" | "closed" | "lost";

export interface SlotLease {
  readonly shardId: number;
  readonly slot: number;
  /** Unique among all leases of this shard, over its restarts too. */
  readonly generation: number;
  /** The edge's ends of the slot's rings. */
  readonly side: EdgeSlot;
  readonly state: SlotLeaseState;
  /** Tells the shard that there is something in the in-ring; it looks at its next tick, or at ShardPool.wakeRung. */
  ringShard(): void;
}
