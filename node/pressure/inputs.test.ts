import t from "tap";
import type { ShardPool, ShardStats } from "#runtime/cluster";
import { createMetrics } from "#runtime/telemetry";
import { NodePressureSource } from "./inputs.js";

const SHARD: ShardStats = {
  shardId: 0,
  state: "ready",
  role: "serving",
  live: 0,
  free: 10,
  lingering: 0,
  restarts: 0,
  heartbeatAgeMs: 5,
  load: { eventLoopDelayMs: 0, budgetUsage: 0 },
};

void t.test("the worst thread, the tightest budget, all slots, and the second's own lateness", async (t) => {
  const metrics = createMetrics({ thread: "main" });
  let shards: readonly ShardStats[] = [SHARD];
  const pool = { stats: () => shards } as unknown as ShardPool;
  const source = new NodePressureSource(pool, metrics.edgePacingErrorMs);
  t.teardown(() => {
    source.close();
    metrics.close();
  });
  t.match(source.read(), { pacingLagMs: 0, slotUsage: 0, providerUsage: 0 });
  shards = [
    { ...SHARD, live: 6, free: 4, load: { eventLoopDelayMs: 10_000, budgetUsage: 0.2 } },
    { ...SHARD, shardId: 1, live: 3, free: 7, load: { eventLoopDelayMs: 20_000, budgetUsage: 0.9 } },
    // It is being replaced: no slots to take, and nothing known of it.
    { ...SHARD, shardId: 2, state: "starting", live: 0, free: 0, load: null },
  ];
  metrics.edgePacingErrorMs.record(42);
  t.strictSame(source.read(), {
    pacingLagMs: 42,
    eventLoopDelayMs: 20_000,
    slotUsage: 0.45,
    providerUsage: 0.9,
  });
  t.equal(source.read().pacingLagMs, 0, "that was the second before");
  shards = [];
  t.equal(source.read().slotUsage, 0, "no shard at all is readiness' business");
});

void t.test("the main thread's own delay counts", async (t) => {
  const metrics = createMetrics({ thread: "main" });
  const source = new NodePressureSource(
    { stats: () => [] } as unknown as ShardPool,
    metrics.edgePacingErrorMs,
  );
  t.teardown(() => {
    source.close();
    metrics.close();
  });
  source.read();
  // Stalls until its monitor has seen them: how many it takes depends on what else was sampled.
  for (let delayMs = 0; delayMs < 30; delayMs = source.read().eventLoopDelayMs) {
    for (let stall = 0; stall < 5; stall++) {
      const untilMs = performance.now() + 50;
      while (performance.now() < untilMs);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  t.pass("it was seen");
});
