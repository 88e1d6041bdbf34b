/**
 * What the machine and the node say of themselves, window by window: CPU per process and thread from the kernel,
 * memory, and the node's own metrics. What cannot be read (a node elsewhere, no admin port) is null, never 0.
 */
import { type ProcessUsage, readUsage } from "#bench/processes";
import { type MetricsPage, quantileBound, scrapeMetrics } from "./metrics.js";
import type { Subject } from "./subject.js";

const PACING = "lumentra_edge_pacing_error_ms";

export interface NodeWindow {
  /** Cores' worth of CPU; from the kernel, or from the node's metrics when it is elsewhere. */
  readonly cores: number;
  /** Of the main thread; null for one that is elsewhere and says nothing of itself. */
  readonly edgeCores: number | null;
  /** By name, shards only. */
  readonly shardCores: Readonly<Record<string, number>>;
  readonly rssBytes: number;
  readonly fds: number | null;
  readonly timers: number | null;
  readonly calls: number | null;
  readonly eventLoopP99Ms: number | null;
  readonly edgeLoopP99Ms: number | null;
  /** Bound of the bucket; null when nothing was sent. */
  readonly pacingP99Ms: number | null;
  /** Observations by bucket, of this window alone. */
  readonly pacingBuckets: ReadonlyMap<number, number>;
  readonly drops: number | null;
  /** Of the ladder: from 1 on the node gives something up, replies prepared early first. */
  readonly pressureRung: number | null;
}

/** Of a process that has no metrics to ask: the kernel knows its CPU and memory, and that is all. */
const UNSAID = {
  shardCores: {},
  fds: null,
  timers: null,
  calls: null,
  eventLoopP99Ms: null,
  edgeLoopP99Ms: null,
  pacingP99Ms: null,
  pacingBuckets: new Map<number, number>(),
  drops: null,
  pressureRung: null,
} as const;

export interface MachineWindow {
  readonly atMs: number;
  readonly seconds: number;
  readonly node: NodeWindow | null;
  readonly generatorCores: number;
  /** Of the busiest generator's main thread. */
  readonly busiestGeneratorCores: number;
  readonly emulatorCores: number | null;
}

interface Reading {
  readonly atMs: number;
  readonly page: MetricsPage | null;
  readonly nodeCpuMs: number | null;
  readonly mainThreadCpuMs: number | null;
  readonly rssBytes: number | null;
  readonly emulatorCpuMs: number | null;
  readonly generators: readonly { readonly cpuMs: number; readonly mainMs: number }[];
}

export class Sampler {
  readonly #subject: Subject;
  readonly #generatorPids: readonly number[];
  #last: Reading | null = null;

  constructor(subject: Subject, generatorPids: readonly number[]) {
    this.#subject = subject;
    this.#generatorPids = generatorPids;
  }

  /** What happened since the last time; null the first time. */
  async take(): Promise<MachineWindow | null> {
    const before = this.#last;
    const after = await this.#read();
    this.#last = after;
    if (before === null) return null;
    const ms = after.atMs - before.atMs;
    const cores = (used: number): number => Math.max(0, used) / ms;
    const generators = after.generators.map(({ cpuMs, mainMs }, i) => ({
      all: cores(cpuMs - (before.generators[i]?.cpuMs ?? cpuMs)),
      main: cores(mainMs - (before.generators[i]?.mainMs ?? mainMs)),
    }));
    return {
      atMs: after.atMs,
      seconds: ms / 1_000,
      node: nodeWindow(before, after),
      generatorCores: generators.reduce((sum, { all }) => sum + all, 0),
      busiestGeneratorCores: Math.max(0, ...generators.map(({ main }) => main)),
      emulatorCores:
        after.emulatorCpuMs === null || before.emulatorCpuMs === null
          ? null
          : cores(after.emulatorCpuMs - before.emulatorCpuMs),
    };
  }

  async #read(): Promise<Reading> {
    const { pid, emulators, target } = this.#subject;
    const page =
      target.adminUrl === undefined ? null : await scrapeMetrics(target.adminUrl).catch(() => null);
    const node = pid === null ? null : usageOf(pid);
    return {
      atMs: Number(process.hrtime.bigint()) / 1e6,
      page,
      nodeCpuMs:
        node?.cpuMs ??
        (page === null || pid !== null ? null : page.total("process_cpu_seconds_total") * 1_000),
      mainThreadCpuMs: pid === null ? null : (node?.threadCpuMs.get(pid) ?? null),
      rssBytes: node?.rssBytes ?? page?.total("process_resident_memory_bytes") ?? null,
      emulatorCpuMs: emulators === null ? null : (usageOf(emulators.pid)?.cpuMs ?? null),
      generators: this.#generatorPids.map(generatorUsage),
    };
  }
}

/** Of one that has ended: nothing more. */
function generatorUsage(pid: number): { readonly cpuMs: number; readonly mainMs: number } {
  const usage = usageOf(pid);
  return { cpuMs: usage?.cpuMs ?? 0, mainMs: usage?.threadCpuMs.get(pid) ?? 0 };
}

/** Null of a process that is gone. */
function usageOf(pid: number): ProcessUsage | null {
  try {
    return readUsage(pid);
  } catch {
    return null;
  }
}

function nodeWindow(before: Reading, after: Reading): NodeWindow | null {
  const { page, nodeCpuMs, mainThreadCpuMs, rssBytes } = after;
  if (nodeCpuMs === null || before.nodeCpuMs === null) return null;
  const ms = after.atMs - before.atMs;
  const cores = Math.max(0, nodeCpuMs - before.nodeCpuMs) / ms;
  const kernelsMain =
    mainThreadCpuMs === null || before.mainThreadCpuMs === null
      ? null
      : (mainThreadCpuMs - before.mainThreadCpuMs) / ms;
  if (page === null || before.page === null) {
    return { ...UNSAID, cores, edgeCores: kernelsMain, rssBytes: rssBytes ?? 0 };
  }
  const threads = page.byLabel("lumentra_thread_cpu_ms_total", "thread");
  const earlier = before.page.byLabel("lumentra_thread_cpu_ms_total", "thread");
  const shardCores: Record<string, number> = {};
  for (const [thread, cpuMs] of threads) {
    // A shard that was restarted counts from zero.
    if (thread !== "main") shardCores[thread] = Math.max(0, cpuMs - (earlier.get(thread) ?? 0)) / ms;
  }
  const since = (name: string): number => page.total(name) - before.page!.total(name);
  const buckets = page.buckets(PACING);
  const bucketsBefore = before.page.buckets(PACING);
  const loops = page.byLabels("lumentra_event_loop_delay_ms", ["thread", "quantile"]);
  const p99s = [...loops].filter(([key]) => key.endsWith("/p99"));
  return {
    cores,
    edgeCores: Math.max(0, (threads.get("main") ?? 0) - (earlier.get("main") ?? 0)) / ms,
    shardCores,
    rssBytes: rssBytes ?? 0,
    fds: page.total("process_open_fds"),
    timers: page.total("lumentra_timers"),
    calls: page.total("lumentra_calls"),
    eventLoopP99Ms: Math.max(0, ...p99s.map(([, value]) => value)),
    edgeLoopP99Ms: loops.get("main/p99") ?? 0,
    pacingP99Ms: quantileBound(bucketsBefore, buckets, 0.99),
    pacingBuckets: new Map(
      [...buckets].map(([bound, count]) => [bound, count - (bucketsBefore.get(bound) ?? 0)]),
    ),
    drops: since("lumentra_ring_drops_total"),
    pressureRung: page.total("lumentra_pressure_rung"),
  };
}
