/**
 * What each thread of a node has in use, asked for from outside: a signal to the process, a word to its threads, and a file
 * with what they answered. Each collects its garbage first, so that what it counts is what something holds.
 */
import { rename, writeFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BroadcastChannel } from "node:worker_threads";

export interface ThreadMemory {
  /** `edge`, or the shard's. */
  readonly thread: string;
  /** Objects and compiled code. */
  readonly heapBytes: number;
  /** Buffers beside the heap; the rings, which are all set aside at start, are the same in every count. */
  readonly bufferBytes: number;
}

/** Tells the process to count. */
export const COUNT_SIGNAL = "SIGUSR2";
/** The names under which a node's process finds where its counts go, and how many threads are to answer. */
export const FILE_VARIABLE = "BENCH_MEMORY_FILE";
export const THREADS_VARIABLE = "BENCH_MEMORY_THREADS";

const CHANNEL = "bench-memory";
/** Collecting takes a tenth of a second; a thread that does not answer is left out, and the count is refused then. */
const ANSWER_TIMEOUT_MS = 5_000;

/** For a shard's thread: answers whenever it is asked. */
export function answerCounts(thread: string): void {
  const collect = collector();
  const channel = new BroadcastChannel(CHANNEL);
  channel.unref();
  channel.onmessage = (message) => {
    if ((message as { data: unknown }).data === null) channel.postMessage(countOwn(thread, collect));
  };
}

/** For the main thread: counts at each signal, and writes a whole file each time. */
export function countOnSignal(): void {
  const file = process.env[FILE_VARIABLE]!;
  const threads = Number(process.env[THREADS_VARIABLE]);
  const collect = collector();
  const channel = new BroadcastChannel(CHANNEL);
  channel.unref();
  process.on(COUNT_SIGNAL, () => {
    const counts = [countOwn("edge", collect)];
    const finish = (): void => {
      clearTimeout(timer);
      channel.onmessage = () => {};
      void writeFile(`${file}.part`, JSON.stringify(counts)).then(() => rename(`${file}.part`, file));
    };
    const timer = setTimeout(finish, ANSWER_TIMEOUT_MS);
    channel.onmessage = (message) => {
      counts.push((message as { data: ThreadMemory }).data);
      if (counts.length === threads) finish();
    };
    channel.postMessage(null);
  });
}

function countOwn(thread: string, collect: () => void): ThreadMemory {
  // What the first finds dead may have held buffers, which the second no longer finds.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { thread, heapBytes: heapUsed, bufferBytes: external };
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
