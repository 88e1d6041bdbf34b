/**
 * What a node's main thread alone can carry: media sockets under full load, shards that only drain their rings. The
 * first wall of a machine with many cores, since all of a process's packets go through this one thread.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  JsonLineProcess,
  UNPRESSED,
  inherited,
  makeScratchFolder,
  readUsage,
  usageSince,
} from "#bench/processes";
import { type MetricsPage, quantileBound, scrapeMetrics } from "../load/metrics.js";
import { EDGE_LOAD_ENTRY } from "./edge-load.js";
import {
  EDGE_ROWS,
  FRAMES_METRIC,
  type LoadReport,
  TO_RING_METRIC,
  TO_SHARD_METRIC,
  WRONG_METRIC,
} from "./edge-measures.js";
import { EDGE_NODE_ENTRY } from "./edge-node.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export interface EdgeBenchOptions extends SuiteOptions {
  /** Media sockets at once. @default 200 */
  readonly calls?: number;
  /** Every call is spoken to without a pause, too. @default false */
  readonly speak?: boolean;
  /** @default 1 */
  readonly shards?: number;
}

const DEFAULT_CALLS = 200;
const FRAMES_PER_SECOND = 50;
/** For what is in the kernel when the load ends. */
const ARRIVAL_TIMEOUT_MS = 30_000;
/** The load's report is written when it is told to end, with as much of a processor as it gets. */
const REPORT_TIMEOUT_MS = 30_000;
const ARRIVAL_POLL_MS = 50;
/** Until hot code is compiled. */
const RUN_IN_MS = 3_000;

export async function run(options: EdgeBenchOptions): Promise<SuiteResult> {
  if (process.platform !== "linux") throw new Error("bench edge reads /proc, so it runs on Linux alone");
  const calls = options.calls ?? DEFAULT_CALLS;
  const scratch = await makeScratchFolder("bench");
  const folder = scratch.path;
  try {
    await writeFile(join(folder, "tenants.json"), JSON.stringify(benchTenants(calls)));
    const { process: node, ready } = await JsonLineProcess.start({
      name: "The node",
      script: EDGE_NODE_ENTRY,
      isReady: (line) => line["event"] === "listening",
      environment: {
        ...inherited(),
        LUMENTRA_EDGE_HOST: "127.0.0.1",
        LUMENTRA_EDGE_PORT: "0",
        LUMENTRA_ADMIN_PORT: "0",
        LUMENTRA_DATA_DIR: folder,
        LUMENTRA_TENANTS_FILE: join(folder, "tenants.json"),
        LUMENTRA_SHARDS: String(options.shards ?? 1),
        LUMENTRA_CALLS_PER_SHARD: String(calls),
        LUMENTRA_LOG_LEVEL: "warn",
        // It has as many calls as it is told, on a machine that may stand still.
        ...UNPRESSED,
        DEEPGRAM_API_KEY: "unused",
        GROQ_API_KEY: "unused",
        CARTESIA_API_KEY: "unused",
        BENCH_SINK_SPEAKS: options.speak === true ? "1" : "0",
      },
    });
    try {
      const edgeUrl = `http://127.0.0.1:${String(ready["edgePort"])}`;
      const adminUrl = `http://127.0.0.1:${String(ready["adminPort"])}`;
      return await measure(node.pid, edgeUrl, adminUrl, calls, options, join(folder, "load.json"));
    } finally {
      await node.stop();
    }
  } finally {
    await scratch.remove();
  }
}

async function measure(
  nodePid: number,
  edgeUrl: string,
  adminUrl: string,
  calls: number,
  options: EdgeBenchOptions,
  reportFile: string,
): Promise<SuiteResult> {
  const base = readUsage(nodePid);
  const { process: load } = await JsonLineProcess.start({
    name: "The load",
    script: EDGE_LOAD_ENTRY,
    parameters: [edgeUrl, String(calls), reportFile],
    isReady: (line) => line["event"] === "streaming",
    environment: inherited(),
  });
  const runInMs = Math.min(RUN_IN_MS, options.seconds * 1000);
  await sleep(runInMs);
  const pageBefore = await scrapeMetrics(adminUrl);
  const nodeBefore = readUsage(nodePid);
  const loadBefore = readUsage(load.pid);
  await sleep(options.seconds * 1000);
  const used = usageSince(nodeBefore, readUsage(nodePid), nodePid);
  const loadUsed = usageSince(loadBefore, readUsage(load.pid), load.pid);
  const pageAfter = await scrapeMetrics(adminUrl);
  const loaded = readUsage(nodePid);
  await load.stop(REPORT_TIMEOUT_MS);
  const report = JSON.parse(await readFile(reportFile, "utf8")) as LoadReport;

  const failures: string[] = [];
  const frames = pageAfter.total(FRAMES_METRIC) - pageBefore.total(FRAMES_METRIC);
  // Calls that are spoken to end with audio of ours unread, and so with a reset that may take their last frames along.
  const arrived =
    options.speak === true ? report.framesSent : await framesArrived(adminUrl, report.framesSent);
  if (arrived !== report.framesSent)
    failures.push(`of ${report.framesSent} frames ${arrived} reached a shard`);
  const dropped = pageAfter.total("lumentra_ring_drops_total");
  const bad = pageAfter.total("lumentra_edge_bad_input_total");
  const wrong = pageAfter.total(WRONG_METRIC);
  if (report.lostCalls > 0) failures.push(`${report.lostCalls} media sockets were closed`);
  if (dropped + bad + wrong > 0) {
    failures.push(`${dropped} records dropped, ${bad} messages refused, ${wrong} frames not as sent`);
  }
  const edgeShare = used.mainThreadCpuMs / used.elapsedMs;
  const perCall = used.mainThreadCpuMs / calls / (used.elapsedMs / 1000);
  return {
    name: "edge",
    rows: [
      { what: EDGE_ROWS.cpuPerCall, value: round(perCall, 3) },
      { what: "edge thread, µs of CPU per packet", value: round((perCall * 1000) / FRAMES_PER_SECOND, 2) },
      { what: EDGE_ROWS.share, value: round(edgeShare, 3) },
      { what: "calls at a whole core, extrapolated", value: Math.round(calls / edgeShare) },
      { what: "node RSS per call, KiB", value: round((loaded.rssBytes - base.rssBytes) / calls / 1024, 1) },
      delayRow("from sending to the ring, ms", TO_RING_METRIC, pageBefore, pageAfter),
      delayRow("from sending to the shard, ms", TO_SHARD_METRIC, pageBefore, pageAfter),
      delayRow("pacing error, ms", "lumentra_edge_pacing_error_ms", pageBefore, pageAfter),
      { what: "an HTTP request to the same port, ms", ...report.requestMs },
    ],
    notes: [
      `${calls} calls, ${frames} frames over ${round(used.elapsedMs / 1000, 1)} s; the sinks used ${round((used.cpuMs - used.mainThreadCpuMs) / used.elapsedMs, 2)} cores, the load ${round(loadUsed.cpuMs / loadUsed.elapsedMs, 2)}`,
      `the load itself was late by ${report.lateMs.p50} ms at p50 and ${report.lateMs.p99} at p99; it received ${Math.round(report.bytesReceived / 1024)} KiB; ${report.stalledFrames} frames waited for the kernel`,
      ...failures,
    ],
    ...(failures.length === 0 ? {} : { failures }),
  };
}

/** How many frames the shards have had once they have had all, or at the latest when that can be given up. */
async function framesArrived(adminUrl: string, sent: number): Promise<number> {
  for (let waitedMs = 0; ; waitedMs += ARRIVAL_POLL_MS) {
    const arrived = (await scrapeMetrics(adminUrl)).total(FRAMES_METRIC);
    if (arrived >= sent || waitedMs >= ARRIVAL_TIMEOUT_MS) return arrived;
    await sleep(ARRIVAL_POLL_MS);
  }
}

/** Bounds of buckets: the true figure is at most that. */
function delayRow(
  what: string,
  name: string,
  before: MetricsPage,
  after: MetricsPage,
): Record<string, number | string> {
  const bound = (quantile: number): number | string =>
    quantileBound(before.buckets(name), after.buckets(name), quantile) ?? "–";
  return { what, p50: bound(0.5), p95: bound(0.95), p99: bound(0.99) };
}

function benchTenants(calls: number): unknown {
  return {
    tenants: [
      {
        id: "bench",
        name: "Bench Dental",
        industry: "dental practice",
        numbers: ["+12025550101"],
        timeZone: "America/New_York",
        agentName: "Ava",
        greeting: "Hello.",
        limits: { concurrentCalls: Math.min(10_000, calls) },
      },
    ],
  };
}

function round(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
