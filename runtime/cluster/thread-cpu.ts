/**
 * What the operating system says of one thread of this process: how long it ran, and whether it wants to. Linux tells;
 * elsewhere nobody does, and that is an answer too.
 */
import { readFileSync, readlinkSync } from "node:fs";

export interface ThreadCpu {
  readonly ranMs: number;
  /** It runs, or waits for a processor; else it waits for something else, as a thread does that has nothing to do. */
  readonly isRunnable: boolean;
}

/** Of the calling thread; 0 where the system does not tell. */
export function ownThreadId(): number {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  } catch {
    return 0;
  }
}

/** Null: not known. Takes some 40 us. */
export function threadCpu(threadId: number): ThreadCpu | null {
  if (threadId === 0) return null;
  try {
    const [ranNs] = readFileSync(`/proc/self/task/${threadId}/schedstat`, "latin1").split(" ");
    const status = readFileSync(`/proc/self/task/${threadId}/stat`, "latin1");
    const ranMs = Number(ranNs) / 1e6;
    // The name, in parentheses, may hold anything; a kernel without these statistics shows zeros.
    const state = status[status.lastIndexOf(")") + 2];
    return ranMs > 0 ? { ranMs, isRunnable: state === "R" } : null;
  } catch {
    return null;
  }
}
