/**
 * What a call has in use: a node carries few callers and then many, its threads collect their garbage and count, and the
 * difference is divided by the callers that were added. Unlike the growth of the process this holds no room for garbage, and
 * does not depend on when the collector came by. Counting stops a thread for a tenth of a second, and callers then hear "One
 * moment, please." first: that each is answered is checked, and their words are `load`'s to check.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CALL_MEMORY_KIB,
  type CallMix,
  type LoadOptions,
  loadMix,
  mixNameOf,
  runLoad,
  startSubject,
} from "#bench/load";
import { UNPRESSED, makeScratchFolder, readUsage } from "#bench/processes";
import { DEFAULT_BYTES_PER_SLOT } from "#runtime/media";
import { LumentraError } from "#runtime/errors";
import { MEMORY_NODE_ENTRY } from "./memory-node.js";
import { COUNT_SIGNAL, FILE_VARIABLE, THREADS_VARIABLE, type ThreadMemory } from "./memory-threads.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export interface MemoryOptions extends SuiteOptions {
  /** The many. @default 150 */
  readonly calls?: number;
  /** @default conversation */
  readonly mix?: string;
}

const DEFAULT_CALLS = 150;
/** The few are a fifth of the many. */
const FEW_SHARE = 0.2;
/** A machine that stands still just then leaves no moment to count in: again, for twice as long. */
const ATTEMPTS_MAX = 3;
/** Two moments differ in who speaks just then: the mean of several is taken. */
const COUNTS_MAX = 8;
/** Edge, shard and spare shard. */
const THREADS = 3;
const CALLS_PER_SECOND = 50;
/** Calls that come have been greeted by then. */
const SETTLE_S = 5;
const COUNT_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Means of several counts, bytes. */
interface InUse {
  readonly calls: number;
  readonly edgeHeap: number;
  readonly edgeBuffers: number;
  readonly shardHeaps: number;
  readonly shardBuffers: number;
  readonly resident: number;
  readonly counts: number;
  readonly failures: readonly string[];
}

/** @throws LumentraError BENCH_MIX_INVALID */
export async function run(options: MemoryOptions): Promise<SuiteResult> {
  const calls = options.calls ?? DEFAULT_CALLS;
  const mixName = options.mix ?? "conversation";
  const mix = await loadMix(mixName);
  if (mix.front !== "calls") {
    throw new LumentraError("BENCH_MIX_INVALID", `Mix ${mixName}: memory of calls wants a mix of callers`);
  }
  const folder = await makeScratchFolder("memory");
  const file = join(folder.path, "counts.json");
  const subject = await startSubject({
    calls,
    entry: MEMORY_NODE_ENTRY,
    environment: {
      LUMENTRA_SHARDS: "1",
      // Counts stop threads, and a node that takes this for too much load refuses the many.
      ...UNPRESSED,
      [FILE_VARIABLE]: file,
      [THREADS_VARIABLE]: String(THREADS),
    },
  });
  try {
    const few = Math.max(1, Math.round(calls * FEW_SHARE));
    const anyWords: CallMix = { ...mix, replies: "any" };
    const load = { subject, mix: anyWords, mixName, seconds: options.seconds };
    const before = await counted(file, { ...load, calls: few });
    // The node is warm by now.
    const after = await counted(file, { ...load, calls, warmUpCalls: 0 });
    return resultOf(before, after, mixNameOf(mixName));
  } finally {
    await subject.stop();
    await folder.remove();
  }
}

type CountedLoad = Omit<LoadOptions, "rampS" | "settleS" | "onWindow">;

async function counted(file: string, load: CountedLoad): Promise<InUse> {
  for (let attempt = 1; ; attempt += 1) {
    const got = await inUse(file, { ...load, seconds: load.seconds * 2 ** (attempt - 1) });
    if (got.counts > 0 || attempt === ATTEMPTS_MAX) return got;
  }
}

async function inUse(file: string, load: CountedLoad): Promise<InUse> {
  const { calls, seconds } = load;
  const pid = load.subject.pid!;
  const taken: { threads: readonly ThreadMemory[]; resident: number }[] = [];
  const failures: string[] = [];
  let counting = Promise.resolve();
  let isCounting = false;
  const result = await runLoad({
    ...load,
    rampS: calls / CALLS_PER_SECOND,
    settleS: Math.min(SETTLE_S, seconds),
    onWindow: ({ phase, up }) => {
      if (phase !== "steady" || up !== calls || isCounting || taken.length === COUNTS_MAX) return;
      isCounting = true;
      counting = countThreads(pid, file)
        .then(
          (threads) => void taken.push({ threads, resident: readUsage(pid).rssBytes }),
          (error: unknown) => void failures.push(error instanceof Error ? error.message : String(error)),
        )
        .finally(() => (isCounting = false));
    },
  });
  await counting;
  if (taken.length === 0) failures.push(`no count was taken with ${calls} calls up: give it more --seconds`);
  const mean = (of: (threads: readonly ThreadMemory[]) => number): number =>
    taken.reduce((sum, { threads }) => sum + of(threads), 0) / taken.length;
  const total =
    (part: "heapBytes" | "bufferBytes", isEdge: boolean) =>
    (threads: readonly ThreadMemory[]): number =>
      threads
        .filter(({ thread }) => (thread === "edge") === isEdge)
        .reduce((sum, memory) => sum + memory[part], 0);
  return {
    calls,
    edgeHeap: mean(total("heapBytes", true)),
    edgeBuffers: mean(total("bufferBytes", true)),
    shardHeaps: mean(total("heapBytes", false)),
    shardBuffers: mean(total("bufferBytes", false)),
    resident: taken.reduce((sum, { resident }) => sum + resident, 0) / taken.length,
    counts: taken.length,
    failures: [...result.failures, ...failures],
  };
}

/** @throws when not all threads have answered in time */
async function countThreads(pid: number, file: string): Promise<readonly ThreadMemory[]> {
  await rm(file, { force: true });
  process.kill(pid, COUNT_SIGNAL);
  const deadlineMs = performance.now() + COUNT_TIMEOUT_MS;
  for (;;) {
    const text = await readFile(file, "utf8").catch(() => null);
    if (text !== null) {
      const threads = JSON.parse(text) as ThreadMemory[];
      if (threads.length === THREADS) return threads;
      throw new Error(`${threads.length} of ${THREADS} threads told what they have in use`);
    }
    if (performance.now() > deadlineMs) throw new Error("the node did not tell what it has in use");
    await sleep(POLL_MS);
  }
}

function resultOf(few: InUse, many: InUse, mixName: string): SuiteResult {
  const added = many.calls - few.calls;
  const row = (what: string, bytes: number): Record<string, number | string> => ({
    what,
    KiBPerCall: Number((bytes / 1024).toFixed(1)),
  });
  const perCall = (of: (inUse: InUse) => number): number => (of(many) - of(few)) / added;
  const parts: [string, number][] = [
    // Set aside for every slot at start, so in no difference between counts.
    ["rings", DEFAULT_BYTES_PER_SLOT],
    ["shard's heap", perCall(({ shardHeaps }) => shardHeaps)],
    ["shard's buffers", perCall(({ shardBuffers }) => shardBuffers)],
    ["edge's heap", perCall(({ edgeHeap }) => edgeHeap)],
    ["edge's buffers", perCall(({ edgeBuffers }) => edgeBuffers)],
  ];
  const failures = [...few.failures, ...many.failures];
  return {
    name: "memory",
    rows: [
      ...parts.map(([what, bytes]) => row(what, bytes)),
      row(
        "in use, all of it",
        parts.reduce((sum, [, bytes]) => sum + bytes, 0),
      ),
      row(
        "growth of the process, room for garbage included",
        perCall(({ resident }) => resident),
      ),
    ],
    notes: [
      `mix ${mixName}: what each call from ${few.calls} to ${many.calls} adds; means of ${few.counts} and ${many.counts} counts, each after a collection in every thread; the goal is ${CALL_MEMORY_KIB} KiB`,
      "not in use by V8's count, so in the growth alone: the kernel's and uWebSockets.js' sockets, compiled code, the allocator's room",
      ...failures,
    ],
    ...(failures.length === 0 ? {} : { failures }),
  };
}
