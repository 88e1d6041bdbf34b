/**
 * Many seeds over a thread per core: counts, digest, failures. The digest is of all seeds in order, whichever thread ran
 * them, so that two runs of the same seeds can be compared.
 */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SeedResult } from "./run-seed.js";
import { CALLS_PER_WORLD, type FaultKind, STEPS_MAX } from "./script.js";
import type { SeedTask } from "./sim-worker.js";

/** What a world leaves is garbage all at once: with V8's 16 MiB for new objects much of it is copied first. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 64 } as const;
const WORKER = new URL("./sim-worker.js", import.meta.url);
/** A run that fails everywhere need not go on. */
const FAILURES_MAX = 5;

export interface SimulateOptions {
  readonly seed: number;
  readonly calls: number;
  readonly kinds: readonly FaultKind[];
  /** At most, of a caller. @default STEPS_MAX */
  readonly steps?: number | undefined;
  /** Goes on with further seeds for so long, beyond `calls`. */
  readonly seconds?: number | undefined;
  readonly threads?: number | undefined;
  /** @internal Another thread than sim-worker.ts, with a bug to be found. */
  readonly worker?: URL | undefined;
  readonly onProgress?: (done: number) => void;
}

export interface Simulation {
  readonly worlds: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly digest: string;
  readonly failures: readonly SeedResult[];
  readonly wallMs: number;
}

export async function simulate(options: SimulateOptions): Promise<Simulation> {
  const { seed, calls, kinds, steps = STEPS_MAX, seconds = 0, worker = WORKER } = options;
  const wanted = Math.ceil(calls / CALLS_PER_WORLD);
  // Who goes on for some seconds has work for all of them, however few calls are wanted at least.
  const threads = Math.min(options.threads ?? availableParallelism(), seconds > 0 ? Infinity : wanted);
  const beganAtMs = performance.now();
  const results: SeedResult[] = [];
  let next = 0;
  let failed = 0;
  const task = (): SeedTask | null => {
    const isLong = (performance.now() - beganAtMs) / 1_000 < seconds;
    if (failed >= FAILURES_MAX || (next >= wanted && !isLong)) return null;
    const at = next++;
    return { seed: seed + at, kinds, steps, calls: callsOfWorld(calls, at) };
  };
  const work = (thread: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      const give = (): void => {
        const given = task();
        if (given === null) resolve();
        else thread.postMessage(given);
      };
      thread.on("message", (result: SeedResult) => {
        results.push(result);
        if (result.violations.length > 0) failed += 1;
        options.onProgress?.(results.length);
        give();
      });
      thread.on("error", reject);
      give();
    });
  const workers = Array.from(
    { length: threads },
    () => new Worker(worker, { resourceLimits: WORKER_LIMITS }),
  );
  try {
    await Promise.all(workers.map(work));
  } finally {
    await Promise.all(workers.map((thread) => thread.terminate()));
  }
  results.sort((a, b) => a.seed - b.seed);
  const digest = createHash("sha256");
  for (const result of results) digest.update(`${result.seed} ${result.digest}`);
  return {
    worlds: results.length,
    counts: sumOf(results.map((result) => result.counts)),
    faults: sumOf(results.map((result) => result.faults)),
    digest: digest.digest("hex").slice(0, 16),
    failures: results.filter(({ violations }) => violations.length > 0),
    wallMs: performance.now() - beganAtMs,
  };
}

/** Of the `at`th seed, where so many are wanted in all; what goes on beyond them is full. */
export function callsOfWorld(calls: number, at: number): number {
  const left = calls - at * CALLS_PER_WORLD;
  return left <= 0 ? CALLS_PER_WORLD : Math.min(left, CALLS_PER_WORLD);
}

function sumOf(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + count;
  return Object.fromEntries(Object.entries(sum).sort(([a], [b]) => (a < b ? -1 : 1)));
}
