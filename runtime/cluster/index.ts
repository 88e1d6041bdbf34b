/**
 * Shards: worker threads that carry calls, under a supervisor that places, watches, restarts and drains.
 *
 * ```ts
 * // shard.ts, the worker's entry file
 * runShard((context) => new CallShard(context));
 *
 * // on the main thread
 * const pool = new ShardPool(
 *   { shardCount: 2, slotsPerShard: 500, entry: new URL("./shard.js", import.meta.url), clock, log },
 *   delegate,
 * );
 * pool.configure(tenants);
 * await pool.start();
 * const lease = pool.reserve(); // null: no room
 * pool.open(lease, callStart); // the media socket has opened
 * lease.side.in.…; lease.ringShard(); // audio in
 * pool.drainOutBell(lease.shardId, visit); // audio out, on delegate.onWake
 * pool.release(lease); // the socket is gone
 * await pool.close();
 * ```
 */
export { type CallOutcome, type CallStart, OUTCOME_OF_LEG_END, type ResumeReason } from "./call-start.js";
export { Heartbeat, type ShardLoad } from "./heartbeat.js";
export type { FromShard, ShardBoot, ShardItem, ToShard } from "./messages.js";
export type { ShardPoolOptions, WatchdogOptions } from "./options.js";
export type { LastOfShard, ShardState, ShardStats } from "./shard-host.js";
export type { ShardLossReason } from "./shard-incarnation.js";
export {
  type ShardAnswer,
  ShardPool,
  type ShardPoolDelegate,
  type ShardPoolReadiness,
} from "./shard-pool.js";
export { type OutboxBounds, ShardOutbox } from "./shard-outbox.js";
export { type ShardContext, type ShardHandler, runShard } from "./shard-runtime.js";
export type { ShardThread } from "./shard-thread.js";
export type { SlotLease, SlotLeaseState } from "./slot-lease.js";
export type { ThreadCpu } from "./thread-cpu.js";
export { type RaiseOutcome, raiseOwnThread, restoreOwnThread } from "./thread-priority.js";
