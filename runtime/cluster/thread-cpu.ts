/**
 * What the operating system says of one thread of this process: how long it ran, and how long it waited for a
 * processor while it could have run. Linux tells; elsewhere nobody does, and that is an answer too.
 */
import { readFileSync, readlinkSync } from "node:fs";

export interface ThreadCpu {
  readonly ranMs: number;
  /** Runnable, and not running: what a starved thread does. */
  readonly waitedMs: number;
}

/** Of the calling thread; 0 where the system does not tell. */
export function ownThreadId(): number {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  } catch {
    return 0;
  }
}

/** Null: not known. Takes some 20 us. */
export function threadCpu(threadId: number): ThreadCpu | null {
  if (threadId === 0) return null;
  try {
    const [ranNs, waitedNs] = readFileSync(`/proc/self/task/${threadId}/schedstat`, "latin1").split(" ");
    const told = { ranMs: Number(ranNs) / 1e6, waitedMs: Number(waitedNs) / 1e6 };
    // A kernel without these statistics shows zeros; a thread that beats has run.
    return told.ranMs > 0 ? told : null;
  } catch {
    return null;
  }
}
