/** Results as benchmarks leave them, made up: what a chart has to show is then known. */
import type { Figure, LoadWindow } from "#bench/load";
import { EDGE_ROWS } from "#bench/suites";
import type {
  AgentCapacitySource,
  CapacitySource,
  EdgeSource,
  LoadSource,
  SideBySideSource,
  SoakSource,
} from "./source.js";

const MACHINE = {
  cpu: "Abacus & Sons <9>",
  cores: 2,
  memoryGiB: 24,
  node: "v20.20.2",
  platform: "linux x64",
  commit: "abc1234",
} as const;

function head<Kind extends string>(kind: Kind, parameters: string) {
  return {
    kind,
    command: `npm run bench -- ${kind} ${parameters}`,
    startedAt: "2026-11-21T10:00:00.000Z",
    machine: MACHINE,
  };
}

/** A figure, and what it is with more calls. */
const FIGURES: readonly (readonly [name: string, unit: string, of: (calls: number) => number])[] = [
  ["calls within objective", "%", (calls) => 100 - calls / 100],
  ["underruns heard by callers", "", (calls) => Math.floor(calls / 100)],
  ["voice to voice p50", "ms", (calls) => 344 + calls / 60],
  ["voice to voice p95", "ms", (calls) => 360 + calls / 30],
  ["voice to voice p99", "ms", (calls) => 371 + calls / 12],
  ["added p50", "ms", (calls) => 3.5 + calls / 220],
  ["added p99", "ms", (calls) => 9 + (calls / 180) ** 2],
  ["pacing error p50, at most", "ms", (calls) => (calls > 300 ? 2 : 1)],
  ["pacing error p99, at most", "ms", (calls) => (calls > 400 ? 5 : calls > 200 ? 3 : 2)],
  ["event loop of the worst thread late, p99 of a window p50", "ms", (calls) => 1.2 + calls / 150],
  ["event loop of the worst thread late, p99 of a window p99", "ms", (calls) => 3 + calls / 60],
  ["node CPU per call and second", "ms", (calls) => 0.8 + 60 / calls],
  ["of it the edge's thread", "ms", (calls) => 0.3 + 16 / calls],
  ["of it the shards' threads", "ms", (calls) => 0.4 + 28 / calls],
  ["generator CPU per call and second", "ms", (calls) => 0.5 + 20 / calls],
  ["emulator CPU per call and second", "ms", (calls) => 0.3 + 10 / calls],
  ["node memory per call", "KiB", (calls) => 100 + 9_000 / calls],
];

function figuresOf(calls: number, worse = 1): Figure[] {
  return FIGURES.map(([name, unit, of]) => ({
    name,
    unit,
    value: unit === "%" ? of(calls) / worse : of(calls) * worse,
    slices: [],
    better: "lower",
  }));
}

/** A window a second; nobody has spoken in the first two, nor in one in the middle. */
function windowsOf(calls: number, count: number, everyS = 1): LoadWindow[] {
  return Array.from({ length: count }, (_, at): LoadWindow => {
    const wave = Math.sin(at / 3) + Math.sin(at / 7.3);
    const percentiles = (p50: number): LoadWindow["addedMs"] =>
      at < 2 || at === 20
        ? null
        : { p50: p50 + wave / 2, p95: p50 * 1.04 + 4 + wave, p99: p50 * 1.05 + 9 + 2 * wave };
    return {
      atS: (at + 1) * everyS,
      phase: at < 4 ? "ramp" : "steady",
      up: Math.min(calls, Math.round((calls * (at + 1)) / 4)),
      turns: 20,
      wrong: 0,
      refused: 0,
      failed: 0,
      voiceToVoiceMs: percentiles(352),
      addedMs: percentiles(4.2),
      pacingP99Ms: 2,
      edgeLoopP99Ms: 2,
      worstLoopP99Ms: 3,
      nodeCores: 0.6,
      edgeCores: 0.2,
      shardCores: [0.3],
      nodeRssMiB: 220 + 8 * wave + at / 100,
      nodeFds: 900 + Math.round(wave),
      nodeTimers: 640 + Math.round(10 * wave),
      nodeCalls: calls,
      generatorCores: 0.3,
      emulatorCores: 0.2,
      generatorLateP99Ms: 3,
      drops: 0,
      underruns: 0,
    };
  });
}

export function loadSource(calls: number, change: Partial<LoadSource> = {}): LoadSource {
  return {
    ...head("load", `--calls ${calls} --mix conversation`),
    format: 1,
    mix: "conversation",
    calls,
    rampS: 4,
    seconds: 30,
    processes: 1,
    target: "a node on this machine, providers emulated",
    figures: figuresOf(calls),
    windows: windowsOf(calls, 34),
    notes: [],
    failures: [],
    failureCount: 0,
    ...change,
  };
}

export function soakSource(count = 300): SoakSource {
  const { kind: _, command: __, ...load } = loadSource(200);
  const flat = { perHour: 0, growth: 0, median: 5, z: 0, count };
  return {
    ...load,
    ...head("soak", "--calls 200 --hours 3"),
    windows: windowsOf(200, count, 36),
    callHours: 597.3,
    findings: [
      {
        what: "memory",
        unit: "MiB",
        trend: { perHour: 1, growth: 2.4, median: 221, z: 2.1, count },
        allowed: 16,
        leaks: false,
      },
      { what: "descriptors", unit: "", trend: flat, allowed: 16, leaks: false },
      { what: "timers", unit: "", trend: null, allowed: 16, leaks: false },
    ],
  };
}

export function capacitySource(): CapacitySource {
  const steps = [100, 225, 500, 400].map((calls) => ({
    calls,
    broken: calls === 500 ? ["added p99 22 ms (20)"] : [],
    figures: figuresOf(calls),
    failureCount: 0,
    evidence: {
      edgeCores: calls / 560,
      worstShardCores: calls / 640,
      nodeCores: calls / 300,
      generatorCores: calls / 900,
      emulatorCores: calls / 1_400,
      generatorLateP99Ms: 3,
      rssMiB: 300,
      nodeCalls: calls,
    },
  }));
  return {
    ...head("capacity", "--to 500"),
    mix: "conversation",
    seconds: 15,
    calls: 400,
    steps,
    ranOut: "the edge's thread: 0.89 of a core",
  };
}

export function sideBySideSource(): SideBySideSource {
  const run = (agent: "plain" | "node-1" | "node-2", blocked: boolean, round: number, worse: number) => ({
    agent,
    blocked,
    round,
    result: loadSource(100, { figures: figuresOf(100, worse) }),
    shardsReplaced: 0,
    heldMs: null,
    blockerEnded: null,
  });
  return {
    ...head("side-by-side", "--calls 100 --rounds 2"),
    calls: 100,
    seconds: 10,
    rounds: 2,
    mix: "conversation",
    runs: [1, 2].flatMap((round) => [
      run("plain", false, round, 1.5),
      run("plain", true, round, 4),
      run("node-1", false, round, 1),
      run("node-1", true, round, 2),
      run("node-2", true, round, 1.1),
    ]),
  };
}

export function agentCapacitySource(): AgentCapacitySource {
  const { steps, ranOut } = capacitySource();
  return {
    ...head("side-by-side-capacity", "--capacity-to 500"),
    mix: "conversation",
    seconds: 10,
    agents: [
      { agent: "plain", calls: 120, steps, ranOut: "a generator" },
      { agent: "node-1", calls: 400, steps, ranOut },
    ],
  };
}

export function edgeSource(calls: number, speak: boolean): EdgeSource {
  return {
    ...head("edge", `--calls ${calls}${speak ? " --speak" : ""}`),
    options: { calls, shards: 1, speak, seconds: 6 },
    failures: [],
    rows: [
      { what: EDGE_ROWS.cpuPerCall, value: (speak ? 0.6 : 0.36) + 8 / calls },
      { what: EDGE_ROWS.share, value: ((speak ? 0.6 : 0.36) * calls + 8) / 1_000 },
    ],
  };
}
