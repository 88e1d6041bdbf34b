/**
 * What the ladder is fed with, read once a second: nothing is asked of a shard, since the shard that is in
 * trouble is the one that would not answer. Each writes its figures into its heartbeat's shared memory.
 */
import type { ShardPool } from "#runtime/cluster";
import { EventLoopDelayMonitor, type HotHistogram } from "#runtime/telemetry";
import type { PressureInputs } from "./ladder.js";

export interface PressureSource {
  /** What happened since the last call of this. */
  read(): PressureInputs;
  close(): void;
}

/** The quantile that budgets are written in. */
const QUANTILE = 0.99;

export class NodePressureSource implements PressureSource {
  readonly #pool: ShardPool;
  readonly #pacingErrorMs: HotHistogram;
  readonly #mainLoop = new EventLoopDelayMonitor();

  constructor(pool: ShardPool, pacingErrorMs: HotHistogram) {
    this.#pool = pool;
    this.#pacingErrorMs = pacingErrorMs;
  }

  read(): PressureInputs {
    let eventLoopDelayMs = this.#mainLoop.take().p95;
    let providerUsage = 0;
    let takenCount = 0;
    let slotCount = 0;
    for (const shard of this.#pool.stats()) {
      takenCount += shard.live;
      slotCount += shard.live + (shard.role === "serving" ? shard.free : 0); // the others' are not for new calls
      if (shard.load === null) continue;
      eventLoopDelayMs = Math.max(eventLoopDelayMs, shard.load.eventLoopDelayMs);
      providerUsage = Math.max(providerUsage, shard.load.budgetUsage);
    }
    return {
      pacingLagMs: this.#pacingErrorMs.takeWindow(QUANTILE),
      eventLoopDelayMs,
      slotUsage: slotCount === 0 ? 0 : takenCount / slotCount,
      providerUsage,
    };
  }

  close(): void {
    this.#mainLoop.close();
  }
}
