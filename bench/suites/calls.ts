/**
 * Whole calls against a node of its own process: first that every caller heard its own words and nobody else's,
 * then what it cost and how long it took. Callers, node and emulators are three processes on one machine, so the
 * node's CPU and memory are told apart by the kernel; what the others used is said beside it.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { PhoneCallResult } from "#bench/caller";
import { fetchClosedJournal, phoneClock, turnLedger } from "#bench/caller";
import {
  type EmulatorProcess,
  type NodeProcess,
  type ProcessUsage,
  readUsage,
  startEmulatorProcess,
  startNodeProcess,
  usageSince,
} from "#bench/processes";
import {
  type BenchCaller,
  type BenchTurn,
  hangUpAll,
  heardRight,
  placeCallers,
  takeTurn,
  talk,
  until,
} from "./calls-callers.js";
import { DelayJoiner } from "./calls-delays.js";
import { type MetricsPage, quantileBound, scrapeMetrics } from "./calls-metrics.js";
import { Distribution } from "./calls-distribution.js";
import { CALLERS_MAX, sentenceFor } from "./calls-words.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export interface CallsOptions extends SuiteOptions {
  /** Calls at once. @default 20 */
  readonly calls?: number;
  /** `idle`: everybody listens; `conversation`: everybody talks in turns. @default both, one after the other */
  readonly mix?: "idle" | "conversation";
}

const TO = "+12025550101";
const DEFAULT_CALLS = 20;
/** Calls before the base of the memory figure is taken: code is compiled and pools are filled by then. */
const WARM_UP_CALLS = 10;
const WARM_UP_TURNS = 2;
/** Of load before the CPU window opens: the compiler is busy with hot code for about that long. */
const RUN_IN_MS = 10_000;
/**
 * The agent asks whether anybody is there after 8 s of silence: an idle line's window, and the time over which
 * the callers spread what they say before it, so as not to say it all at once, must stay below that together.
 */
const IDLE_WINDOW_MS = 5_000;
const IDLE_SPREAD_MS = 2_000;
/** Garbage of the warm-up is collected, buffers are given back. */
const SETTLE_MS = 2_000;
/** With fewer calls the collector's comings and goings are larger than what they need. */
const RSS_CALLS_MIN = 50;
/** Wrong turns named in the result; the rest is counted. */
const FAILURES_SHOWN = 5;
const MILLISECOND_DECIMALS = 2;

export async function run(options: CallsOptions): Promise<SuiteResult> {
  const calls = options.calls ?? DEFAULT_CALLS;
  if (calls > CALLERS_MAX) throw new RangeError(`at most ${CALLERS_MAX} callers have words of their own`);
  if (process.platform !== "linux") throw new Error("bench calls reads /proc, so it runs on Linux alone");
  const mixes = options.mix === undefined ? (["idle", "conversation"] as const) : [options.mix];
  const rows: SuiteResult["rows"] = [];
  const notes: string[] = [];
  const failures: string[] = [];
  for (const mix of mixes) {
    const measured = await measure(mix, calls, options.seconds);
    rows.push(...measured.rows.map((row) => ({ mix, ...row })));
    notes.push(...measured.notes.map((note) => `${mix}: ${note}`));
    failures.push(...measured.failures.map((failure) => `${mix}: ${failure}`));
  }
  return { name: "calls", rows, notes, ...(failures.length === 0 ? {} : { failures }) };
}

interface Measured {
  readonly rows: Record<string, number | string>[];
  readonly notes: string[];
  readonly failures: string[];
}

async function measure(mix: "idle" | "conversation", calls: number, seconds: number): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "lumentra-bench-"));
  const emulators = await startEmulatorProcess();
  try {
    const tenants = join(folder, "tenants.json");
    await writeFile(tenants, JSON.stringify(benchTenants(calls)));
    const node = await startNodeProcess({
      environment: {
        ...emulators.environment,
        LUMENTRA_TENANTS_FILE: tenants,
        LUMENTRA_CALLS_PER_SHARD: String(Math.max(64, calls + 2 * WARM_UP_CALLS)),
        LUMENTRA_LOG_LEVEL: "warn",
      },
    });
    try {
      return await measureOn(node, emulators, mix, calls, seconds);
    } finally {
      await node.stop();
    }
  } finally {
    await emulators.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The demo's dental practice, without its cap on calls. */
function benchTenants(calls: number): unknown {
  return {
    tenants: [
      {
        id: "bench",
        name: "Bench Dental",
        industry: "dental practice",
        numbers: [TO],
        timeZone: "America/New_York",
        agentName: "Ava",
        greeting: "Hello.",
        limits: { concurrentCalls: Math.min(10_000, calls + 2 * WARM_UP_CALLS) },
      },
    ],
  };
}

/** What the kernel and the node said over the measured windows. */
interface Window {
  cpuMs: number;
  mainThreadCpuMs: number;
  elapsedMs: number;
  emulatorCpuMs: number;
  phoneCpuMs: number;
}

async function measureOn(
  node: NodeProcess,
  emulators: EmulatorProcess,
  mix: "idle" | "conversation",
  calls: number,
  seconds: number,
): Promise<Measured> {
  const failures: string[] = [];
  await warmUp(node, Math.min(WARM_UP_CALLS, calls), failures);
  const base = readUsage(node.pid);
  const metricsBefore = await scrapeMetrics(node.adminUrl);
  const [lastWarmUpEntry] = (await emulators.remote.log()).slice(-1);

  const placed = await placeCallers(node.edgeUrl, TO, calls, () => {});
  failures.push(...placed.failures);
  const loopDelay = monitorEventLoopDelay({ resolution: 5 });
  loopDelay.enable();
  const window: Window = { cpuMs: 0, mainThreadCpuMs: 0, elapsedMs: 0, emulatorCpuMs: 0, phoneCpuMs: 0 };
  if (mix === "conversation") await converse(node, emulators, placed.callers, seconds, window, failures);
  else await listen(node, emulators, placed.callers, seconds, window, failures);
  loopDelay.disable();
  const loaded = readUsage(node.pid);
  const metricsAfter = await scrapeMetrics(node.adminUrl);

  const results = await hangUpAll(placed.callers);
  const turns = placed.callers.flatMap((caller) => caller.turns);
  for (const turn of turns) {
    if (!heardRight(turn)) failures.push(`“${turn.words}” was to be heard, “${turn.heard}” was`);
  }
  const delays = await delayRows(node, emulators, lastWarmUpEntry?.seq ?? 0, placed.callers, results);
  const underruns = results.reduce((sum, result) => sum + result.stats.underrunCount, 0);
  const violations = results.reduce((sum, result) => sum + result.stats.violations, 0);
  if (violations > 0) failures.push(`${violations} messages broke the carrier's rules`);
  const perCallSecond = (cpuMs: number): number => round(cpuMs / calls / (window.elapsedMs / 1000), 3);
  return {
    failures,
    rows: [
      { what: "turns heard word for word", value: `${turns.filter(heardRight).length} of ${turns.length}` },
      { what: "node CPU per call and second, ms", value: perCallSecond(window.cpuMs) },
      { what: "  of it the main thread (edge), ms", value: perCallSecond(window.mainThreadCpuMs) },
      {
        what: "node RSS per call, KiB",
        value:
          calls < RSS_CALLS_MIN
            ? `– below ${RSS_CALLS_MIN} calls`
            : round((loaded.rssBytes - base.rssBytes) / calls / 1024, 1),
      },
      { what: "node RSS, MiB", value: round(loaded.rssBytes / 2 ** 20, 1) },
      ...delays,
      ...pacingRows(metricsBefore, metricsAfter),
      { what: "underruns heard by callers", value: underruns },
      {
        what: "records dropped by rings",
        value:
          metricsAfter.total("lumentra_ring_drops_total") - metricsBefore.total("lumentra_ring_drops_total"),
      },
    ],
    notes: [
      `${calls} calls, CPU over ${round(window.elapsedMs / 1000, 1)} s; callers used ${round(window.phoneCpuMs / window.elapsedMs, 2)} and emulators ${round(window.emulatorCpuMs / window.elapsedMs, 2)} cores meanwhile, the node ${round(window.cpuMs / window.elapsedMs, 2)}`,
      `the callers' own event loop was late by ${round(loopDelay.percentile(99) / 1e6, 1)} ms at p99`,
      ...failures.slice(0, FAILURES_SHOWN),
    ],
  };
}

async function warmUp(node: NodeProcess, calls: number, failures: string[]): Promise<void> {
  const { callers, failures: placeFailures } = await placeCallers(node.edgeUrl, TO, calls, () => {});
  failures.push(...placeFailures.map((failure) => `warm-up: ${failure}`));
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) {
    await Promise.all(callers.map((caller) => tryTurn(caller, failures)));
  }
  await hangUpAll(callers);
  await until(phoneClock().nowMs() + SETTLE_MS);
}

/** Everybody talks in turns of their own; the window opens once the node is used to it. */
async function converse(
  node: NodeProcess,
  emulators: EmulatorProcess,
  callers: readonly BenchCaller[],
  seconds: number,
  window: Window,
  failures: string[],
): Promise<void> {
  const opensAtMs = phoneClock().nowMs() + Math.min(RUN_IN_MS, seconds * 1000);
  const deadlineMs = opensAtMs + seconds * 1000;
  const talking = callers.map((caller) => talk(caller, deadlineMs, failures));
  await until(opensAtMs);
  const before = usages(node, emulators);
  await until(deadlineMs);
  addUsage(window, before, usages(node, emulators), node, emulators);
  await Promise.all(talking);
}

/** Everybody is silent for as long as the agent lets them, says something, and is silent again. */
async function listen(
  node: NodeProcess,
  emulators: EmulatorProcess,
  callers: readonly BenchCaller[],
  seconds: number,
  window: Window,
  failures: string[],
): Promise<void> {
  const windows = Math.ceil((seconds * 1000) / IDLE_WINDOW_MS);
  const windowMs = (seconds * 1000) / windows;
  for (let i = 0; i < windows; i++) {
    const startedAtMs = phoneClock().nowMs();
    const spread = callers.map(async (caller, index) => {
      await until(startedAtMs + (index / callers.length) * IDLE_SPREAD_MS);
      await tryTurn(caller, failures);
    });
    await Promise.all(spread);
    const before = usages(node, emulators);
    await until(phoneClock().nowMs() + windowMs);
    addUsage(window, before, usages(node, emulators), node, emulators);
  }
}

async function tryTurn(caller: BenchCaller, failures: string[]): Promise<void> {
  try {
    await takeTurn(caller);
  } catch (error) {
    failures.push(`caller ${caller.index}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface Usages {
  readonly node: ProcessUsage;
  readonly emulators: ProcessUsage;
  readonly phones: ProcessUsage;
}

function usages(node: NodeProcess, emulators: EmulatorProcess): Usages {
  return { node: readUsage(node.pid), emulators: readUsage(emulators.pid), phones: readUsage(process.pid) };
}

function addUsage(
  window: Window,
  before: Usages,
  after: Usages,
  node: NodeProcess,
  emulators: EmulatorProcess,
): void {
  const used = usageSince(before.node, after.node, node.pid);
  window.cpuMs += used.cpuMs;
  window.mainThreadCpuMs += used.mainThreadCpuMs;
  window.elapsedMs += used.elapsedMs;
  window.emulatorCpuMs += usageSince(before.emulators, after.emulators, emulators.pid).cpuMs;
  window.phoneCpuMs += usageSince(before.phones, after.phones, process.pid).cpuMs;
}

async function delayRows(
  node: NodeProcess,
  emulators: EmulatorProcess,
  sinceSeq: number,
  callers: readonly BenchCaller[],
  results: readonly PhoneCallResult[],
): Promise<Record<string, number | string>[]> {
  const joiner = new DelayJoiner(await emulators.remote.log({ since: sinceSeq }));
  const distributions = {
    toSttMs: new Distribution("added: end of speech to STT, ms"),
    sttToLlmMs: new Distribution("added: STT to LLM, ms"),
    llmToTtsMs: new Distribution("added: LLM to TTS, ms"),
    ttsToPhoneMs: new Distribution("added: TTS to the caller, ms"),
    addedMs: new Distribution("added: voice to voice less the vendors' delays and the tools' lateness, ms"),
    voiceToVoiceMs: new Distribution("voice to voice, ms"),
    toolsLateMs: new Distribution("phone and emulators late by themselves, not in added, ms"),
  };
  const webhook = new Distribution("webhook to markup, ms");
  const greeting = new Distribution("webhook to first greeting audio, ms");
  for (const result of results) {
    webhook.record(result.stats.webhookMs);
    if (result.stats.firstAudioMs !== null) greeting.record(result.stats.firstAudioMs);
  }
  for (const caller of callers) {
    const journal = await fetchClosedJournal(node.adminUrl, caller.call.callSid);
    for (const turn of caller.turns) {
      if (turn.replyAtMs === null || !heardRight(turn)) continue;
      const ledger = turnLedger(journal, turn.said.startedAtMs, turn.replyAtMs);
      const delays = joiner.delaysOf(instantsOf(turn, turn.replyAtMs, ledger?.committedAtMs ?? null));
      for (const [name, distribution] of Object.entries(distributions)) {
        const delay = delays[name as keyof typeof delays];
        if (delay !== null) distribution.record(delay);
      }
    }
  }
  return [...Object.values(distributions), webhook, greeting].map((distribution) =>
    distribution.row(MILLISECOND_DECIMALS),
  );
}

function instantsOf(turn: BenchTurn, replyAtMs: number, committedAtMs: number | null) {
  return {
    said: sentenceFor(turn.words),
    expected: turn.words,
    speechEndAtMs: turn.said.intendedEndAtMs,
    phoneLateMs: turn.said.endedAtMs - turn.said.intendedEndAtMs,
    replyAtMs,
    committedAtMs,
  };
}

/** From the node's own histogram, so the figures are bucket bounds. */
function pacingRows(before: MetricsPage, after: MetricsPage): Record<string, number | string>[] {
  const name = "lumentra_edge_pacing_error_ms";
  const bound = (quantile: number): number | string => {
    const at = quantileBound(before.buckets(name), after.buckets(name), quantile);
    return at === null ? "–" : `≤ ${at}`;
  };
  return [{ what: "pacing error at the node, ms", p50: bound(0.5), p95: bound(0.95), p99: bound(0.99) }];
}

function round(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}
