/** What a ShardPool can be told, and what it runs with. */
import assert from "node:assert/strict";
import type { ResourceLimits } from "node:worker_threads";
import { type Clock, type Random, type RestartBudgetOptions, systemRandom } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { ShardBoot } from "./messages.js";
import { type ShardThread, startWorker } from "./shard-thread.js";
import { type ThreadCpu, threadCpu } from "./thread-cpu.js";

export interface WatchdogOptions {
  /** How often a shard beats. @default 100 */
  readonly heartbeatMs: number;
  /** How often the watchdog looks. @default 50 */
  readonly lookEveryMs: number;
  /**
   * Silence after which a shard is taken for hung whatever it does, and replaced. @default 2_000
   *
   * Time in which it could have run and got no processor does not count, nor does time in which the main thread
   * was held up itself.
   */
  readonly hungAfterMs: number;
  /**
   * Silence after which a shard that is seen to run is taken for one in a loop. @default 330
   *
   * It ran for 60 % of it without finishing one callback, while the callers of all its calls hear nothing new; they
   * have up to a second and a half of audio from before, so that a longer wait is silence only to those who wait for an answer.
   * They wait half a second at most: this, two looks, and 70 ms for the spare to go on. A shorter one takes a callback of
   * 300 ms for a loop, and moving all its calls costs their callers more than waiting for it. Between the longest things
   * a shard does (a major collection: 20 ms for the heap of five hundred calls) it beats every few milliseconds. Where the system does not tell what a thread
   * runs, `hungAfterMs` alone decides.
   */
  readonly spinningAfterMs: number;
}

export interface ShardPoolOptions {
  readonly shardCount: number;
  /** Calls a shard can carry; its arena is sized by it. */
  readonly slotsPerShard: number;
  /**
   * One shard more, with the code loaded and the providers warm, that gets no calls until another dies: then it
   * takes that one's place at once, and the restarted one is the spare. @default false
   */
  readonly spare?: boolean;
  /** The worker's entry file; it calls runShard(). Or, in a simulation, what starts a thread. */
  readonly entry: URL | ((boot: ShardBoot) => ShardThread);
  /** Handed to each shard as it is; structured-clonable. */
  readonly workerData?: unknown;
  /** The environment of the shards' threads. @default a copy of the process's */
  readonly env?: NodeJS.ProcessEnv;
  /** From the start of a thread until its handler has started. @default 10_000 */
  readonly readyTimeoutMs?: number;
  readonly watchdog?: Partial<WatchdogOptions>;
  /**
   * Restarts allowed per shard within a window; a shard that needs more is given up, and the pool reports
   * not ready. @default 5 within 60_000
   */
  readonly restart?: RestartBudgetOptions;
  /** How often a shard with calls looks at its rings. @default 5 */
  readonly pollMs?: number;
  /** How long close() waits for a shard to stop by itself. @default 5_000 */
  readonly closeGraceMs?: number;
  /** V8's limits per shard; at the bound the shard dies alone. @default V8's own */
  readonly resourceLimits?: ResourceLimits;
  /** Sizes of the rings. @default the arena's own */
  readonly arena?: { readonly inRecordCount?: number; readonly outRecordCount?: number };
  readonly clock: Clock;
  readonly log: Logger;
  /** For the jitter of restarts. @default systemRandom */
  readonly random?: Random;
  /** What is known of a thread, by its number. @default what the operating system tells */
  readonly threadCpu?: (threadId: number) => ThreadCpu | null;
}

export interface ResolvedShardPoolOptions {
  readonly shardCount: number;
  readonly slotsPerShard: number;
  readonly spare: boolean;
  readonly startThread: (boot: ShardBoot) => ShardThread;
  readonly workerData: unknown;
  readonly readyTimeoutMs: number;
  readonly watchdog: WatchdogOptions;
  readonly restart: RestartBudgetOptions;
  readonly pollMs: number;
  readonly closeGraceMs: number;
  readonly arena: { readonly inRecordCount?: number; readonly outRecordCount?: number };
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  readonly threadCpu: (threadId: number) => ThreadCpu | null;
}

/** Spawning takes 32 ms, loading the providers' clients some hundred; a cold disk and a busy machine the rest. */
const DEFAULT_READY_TIMEOUT_MS = 10_000;
/** Ten beats a second cost nothing; a shard with calls beats with each tick besides. */
const DEFAULT_HEARTBEAT_MS = 100;
/** A load of shared memory per shard; a loop is seen within a fifth of the time that makes it one. */
const DEFAULT_LOOK_EVERY_MS = 50;
/** See WatchdogOptions.spinningAfterMs. Between the sixth silent look, which a callback of 300 ms may meet, and the seventh. */
const DEFAULT_SPINNING_AFTER_MS = 330;
/** See WatchdogOptions.hungAfterMs. */
const DEFAULT_HUNG_AFTER_MS = 2_000;
/** Fewer than this many looks per hang, and one late look would be most of the evidence. */
const MIN_LOOKS_PER_HANG = 4;
/** A call that kills its shard is gone with it; a cause that does so five times a minute is in the code or the machine. */
const DEFAULT_RESTART: RestartBudgetOptions = { maxRestarts: 5, withinMs: 60_000 };
/**
 * Measured with 50 frames a second per call: polling every 5 ms costs 0.15 us per frame and 1.1 % of a core
 * per shard, and adds 2.6 ms (p50) to 5.1 ms (p99); a wake-up per packet costs 7.3 us of the edge's thread
 * and 3.3 % of the shard's at 5,000 frames a second. At 10 ms the delay doubles to save 0.7 % of a core.
 */
const DEFAULT_POLL_MS = 5;
/** Provider sockets are closed politely in well under a second; the process around us has a grace of its own. */
const DEFAULT_CLOSE_GRACE_MS = 5_000;

export function resolveShardPoolOptions(options: ShardPoolOptions): ResolvedShardPoolOptions {
  const { entry, env, resourceLimits } = options;
  const watchdog = {
    heartbeatMs: options.watchdog?.heartbeatMs ?? DEFAULT_HEARTBEAT_MS,
    lookEveryMs: options.watchdog?.lookEveryMs ?? DEFAULT_LOOK_EVERY_MS,
    hungAfterMs: options.watchdog?.hungAfterMs ?? DEFAULT_HUNG_AFTER_MS,
    spinningAfterMs: options.watchdog?.spinningAfterMs ?? DEFAULT_SPINNING_AFTER_MS,
  };
  assert(Number.isInteger(options.shardCount) && options.shardCount >= 1, "shardCount must be at least 1");
  assert(
    watchdog.hungAfterMs >= MIN_LOOKS_PER_HANG * watchdog.heartbeatMs,
    `hungAfterMs must be at least ${MIN_LOOKS_PER_HANG} times heartbeatMs`,
  );
  return {
    shardCount: options.shardCount,
    slotsPerShard: options.slotsPerShard,
    spare: options.spare ?? false,
    startThread: entry instanceof URL ? (boot) => startWorker(entry, { env, resourceLimits }, boot) : entry,
    workerData: options.workerData,
    readyTimeoutMs: options.readyTimeoutMs ?? DEFAULT_READY_TIMEOUT_MS,
    watchdog,
    restart: options.restart ?? DEFAULT_RESTART,
    pollMs: options.pollMs ?? DEFAULT_POLL_MS,
    closeGraceMs: options.closeGraceMs ?? DEFAULT_CLOSE_GRACE_MS,
    arena: options.arena ?? {},
    clock: options.clock,
    log: options.log,
    random: options.random ?? systemRandom,
    threadCpu: options.threadCpu ?? threadCpu,
  };
}
