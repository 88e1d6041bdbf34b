/** Shared by the tests of this folder: a pool of real threads, and a delegate that writes everything down. */
import { SystemClock } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { silentLogger } from "#runtime/telemetry";
import type { CallOutcome, CallStart } from "./call-start.js";
import type { ShardPoolOptions } from "./options.js";
import { ShardPool, type ShardPoolDelegate } from "./shard-pool.js";
import type { TestShardData } from "./shard.fixture.js";
import type { LastOfShard } from "./shard-host.js";
import type { ShardLossReason } from "./shard-incarnation.js";
import type { SlotLease } from "./slot-lease.js";

export type Seen =
  | { readonly kind: "wake"; readonly shardId: number }
  | { readonly kind: "event"; readonly shardId: number; readonly event: unknown }
  | { readonly kind: "hangUp"; readonly lease: SlotLease }
  | { readonly kind: "closed"; readonly lease: SlotLease; readonly outcome: CallOutcome }
  | {
      readonly kind: "lost";
      readonly shardId: number;
      readonly leases: readonly SlotLease[];
      readonly reason: ShardLossReason;
      readonly culprit: SlotLease | null;
    }
  | { readonly kind: "ready"; readonly shardId: number };

/** Everything the pool said, in order; tests wait for what they need instead of sleeping. */
export class SeenLog implements ShardPoolDelegate {
  readonly all: Seen[] = [];
  #waiters: { matches: (seen: Seen) => boolean; resolve: (seen: Seen) => void }[] = [];

  onWake(shardId: number): void {
    this.#add({ kind: "wake", shardId });
  }
  onEvent(shardId: number, event: unknown): void {
    this.#add({ kind: "event", shardId, event });
  }
  onHangUp(lease: SlotLease): void {
    this.#add({ kind: "hangUp", lease });
  }
  onCallClosed(lease: SlotLease, outcome: CallOutcome): void {
    this.#add({ kind: "closed", lease, outcome });
  }
  onShardLost(
    shardId: number,
    leases: readonly SlotLease[],
    reason: ShardLossReason,
    { culprit }: LastOfShard,
  ): void {
    this.#add({ kind: "lost", shardId, leases, reason, culprit });
  }
  onShardReady(shardId: number): void {
    this.#add({ kind: "ready", shardId });
  }

  of<K extends Seen["kind"]>(kind: K): Extract<Seen, { kind: K }>[] {
    return this.all.filter((seen): seen is Extract<Seen, { kind: K }> => seen.kind === kind);
  }

  /** The next of this kind from now on, or the first that was seen since `since`. */
  async next<K extends Seen["kind"]>(
    kind: K,
    matches: (seen: Extract<Seen, { kind: K }>) => boolean = () => true,
    since = this.all.length,
  ): Promise<Extract<Seen, { kind: K }>> {
    const fits = (seen: Seen): boolean => seen.kind === kind && matches(seen as Extract<Seen, { kind: K }>);
    const found =
      this.all.slice(since).find(fits) ??
      (await new Promise<Seen>((resolve) => this.#waiters.push({ matches: fits, resolve })));
    return found as Extract<Seen, { kind: K }>;
  }

  #add(seen: Seen): void {
    this.all.push(seen);
    const waiters = this.#waiters;
    this.#waiters = waiters.filter(({ matches }) => !matches(seen));
    for (const { matches, resolve } of waiters) if (matches(seen)) resolve(seen);
  }
}

export interface PoolWorld {
  readonly pool: ShardPool;
  readonly seen: SeenLog;
}

const shardEntry = new URL("./shard.fixture.js", import.meta.url);

export function poolWorld(
  data: TestShardData = {},
  options: Partial<ShardPoolOptions> = {},
  seen = new SeenLog(),
): PoolWorld {
  const pool = new ShardPool(
    {
      shardCount: 1,
      slotsPerShard: 4,
      entry: shardEntry,
      workerData: data,
      clock: new SystemClock(),
      log: silentLogger,
      // A thread takes 50 ms to start on an idle machine, and seconds on one that runs everybody's tests.
      readyTimeoutMs: 60_000,
      // Small rings: what is tested here is not their size.
      arena: { inRecordCount: 16, outRecordCount: 16 },
      ...options,
    },
    seen,
  );
  return { pool, seen };
}

export function callStart(callId = "call-1"): CallStart {
  return {
    callId,
    carrierCallId: `CA-${callId}`,
    carrier: "twilio",
    tenantId: "tenant-1",
    epoch: 1,
    nodeId: "node-1",
    tenure: 0,
    resumed: null,
    format: MULAW_8K,
    webhookAtMs: 0,
    openedAtMs: 0,
    pii: { from: "+12025550100", to: "+12025550101" },
  };
}
