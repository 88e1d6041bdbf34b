/**
 * What a process used, from /proc: CPU as user plus system time of all its threads, and memory that is
 * resident now. The kernel counts CPU in ticks of 10 ms, so measure over seconds.
 */
import { readFileSync, readdirSync } from "node:fs";

/** USER_HZ: the kernel reports in these to every program, whatever it counts in. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/<pid>/stat after the command's closing parenthesis: utime is the 12th, stime the 13th. */
const UTIME_FIELD = 11;
const STIME_FIELD = 12;

export interface ProcessUsage {
  readonly atMs: number;
  readonly cpuMs: number;
  /** Per kernel thread, by its id. */
  readonly threadCpuMs: ReadonlyMap<number, number>;
  readonly rssBytes: number;
}

export interface UsedSince {
  readonly elapsedMs: number;
  readonly cpuMs: number;
  /** The main thread's share. */
  readonly mainThreadCpuMs: number;
  readonly rssGrowthBytes: number;
}

/** Throws when there is no such process, or no /proc. */
export function readUsage(pid: number): ProcessUsage {
  const threadCpuMs = new Map<number, number>();
  for (const name of readdirSync(`/proc/${pid}/task`)) {
    // A thread may end between the listing and the reading; the process's own sum has it still.
    try {
      threadCpuMs.set(Number(name), cpuMsOf(`/proc/${pid}/task/${name}/stat`));
    } catch (error) {
      if (
        (error as NodeJS.ErrnoException).code !== "ENOENT" &&
        (error as NodeJS.ErrnoException).code !== "ESRCH"
      ) {
        throw error;
      }
    }
  }
  const rssKb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return {
    atMs: Number(process.hrtime.bigint()) / 1e6,
    cpuMs: cpuMsOf(`/proc/${pid}/stat`),
    threadCpuMs,
    rssBytes: Number(rssKb ?? 0) * 1024,
  };
}

export function usageSince(before: ProcessUsage, after: ProcessUsage, pid: number): UsedSince {
  return {
    elapsedMs: after.atMs - before.atMs,
    cpuMs: after.cpuMs - before.cpuMs,
    mainThreadCpuMs: (after.threadCpuMs.get(pid) ?? 0) - (before.threadCpuMs.get(pid) ?? 0),
    rssGrowthBytes: after.rssBytes - before.rssBytes,
  };
}

function cpuMsOf(path: string): number {
  const text = readFileSync(path, "utf8");
  // The command may hold spaces and parentheses; what follows the last one is plain.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[UTIME_FIELD]) + Number(fields[STIME_FIELD])) * 1000) / TICKS_PER_SECOND;
}
