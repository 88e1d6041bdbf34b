/**
 * `npm run bench -- side-by-side`: the plain agent of bench/baseline and a node under the same load in one run, calm and
 * while one call blocks its thread. Exit codes: 0 measured, 1 something was wrong in a run that nothing disturbed.
 */
import { resolve } from "node:path";
import {
  AGENTS,
  type AgentName,
  type SideBySide,
  comparisonRows,
  proofOf,
  runSideBySide,
  startAgent,
} from "#bench/baseline";
import {
  type CallMix,
  type Capacity,
  Progress,
  findCapacity,
  loadMix,
  mixNameOf,
  runLoad,
  settleSecondsOf,
} from "#bench/load";
import { startEmulatorProcess } from "#bench/processes";
import {
  type ResultHead,
  describeMachine,
  makeResultFolder,
  renderRows,
  resultHead,
  writeResult,
} from "#bench/report";
import { LumentraError } from "#runtime/errors";
import type { CommandOutput } from "./call.js";

export interface SideBySideCommandOptions {
  readonly calls: number;
  readonly seconds: number;
  /** Of each agent's first load, before measuring begins. @default 3 */
  readonly settle?: number;
  readonly rounds: number;
  readonly mix: string;
  readonly processes: number;
  /** Instead of the comparison: raises calls of each up to so many, from `calls`. */
  readonly capacityTo?: number;
  readonly out: string;
  readonly json: boolean;
}

const ARRIVALS_PER_SECOND = 50;

/** Resolves with the exit code. */
export async function runSideBySideCommand(
  options: SideBySideCommandOptions,
  output: CommandOutput,
): Promise<number> {
  const mix = await loadMix(options.mix);
  if (mix.front !== "calls") {
    throw new LumentraError("BENCH_MIX_INVALID", `Mix ${options.mix} has no calls: it loads a front door`);
  }
  const { capacityTo } = options;
  await makeResultFolder(options.out);
  const head = resultHead(capacityTo === undefined ? "side-by-side" : "side-by-side-capacity");
  if (!options.json) output.write(`${describeMachine(head.machine)}\n`);
  if (capacityTo !== undefined) return capacities(options, mix, capacityTo, head, output);
  const live: { progress: Progress | null } = { progress: null };
  const sides = await runSideBySide({
    ...options,
    mix,
    mixName: mixNameOf(options.mix),
    onRun: (agent, blocked, round) => {
      live.progress?.end();
      if (options.json) return;
      output.write(`round ${round}: ${agent}${blocked ? ", one call blocks" : ""}\n`);
      const { calls, seconds, settle } = options;
      const isCold = !blocked || agent === "node-2";
      const settleS = isCold && settle !== undefined ? settle : settleSecondsOf({ seconds });
      live.progress = progressOf(output, Math.max(0.2, calls / ARRIVALS_PER_SECOND) + settleS + seconds);
    },
    onWindow: (window) => live.progress?.show(window),
  });
  live.progress?.end();
  return report(sides, options, head, output);
}

async function report(
  sides: SideBySide,
  { out, json }: SideBySideCommandOptions,
  head: ResultHead,
  output: CommandOutput,
): Promise<number> {
  const result = { ...head, ...sides };
  const file = await writeResult(out, `side-by-side-${sides.calls}`, result);
  const calm = comparisonRows(sides, false);
  const blocked = comparisonRows(sides, true);
  const wrong = proofOf(sides);
  if (json) output.write(`${JSON.stringify({ calm, blocked, wrong })}\n`);
  else {
    output.write(`${sides.calls} calls (${sides.mix}), nothing disturbs them; ratio: plain over 1 shard\n`);
    output.write(`${renderRows(calm, output.colors)}\n`);
    output.write("one more call blocks its thread for 300 ms every 2 s; figures are of the others\n");
    output.write(`${renderRows(blocked, output.colors)}\n`);
    for (const why of wrong) output.write(`Wrong, so the figures do not count: ${why}\n`);
    output.write(`Data: ${resolve(file)}; npm run bench -- charts ${file} draws it\n`);
  }
  return wrong.length === 0 ? 0 : 1;
}

async function capacities(
  options: SideBySideCommandOptions,
  mix: CallMix,
  to: number,
  head: ResultHead,
  output: CommandOutput,
): Promise<number> {
  const found: Record<string, string | number>[] = [];
  const agents: (Capacity & { readonly agent: AgentName })[] = [];
  const emulators = await startEmulatorProcess();
  try {
    for (const agent of AGENTS.filter((name) => name !== "node-2")) {
      const capacity = await capacityOf(agent, options, mix, to, emulators, output);
      agents.push({ agent, ...capacity });
      const broken = capacity.steps.filter((step) => step.broken.length > 0);
      const first = broken.toSorted((a, b) => a.calls - b.calls)[0];
      found.push({
        agent,
        calls: capacity.calls,
        "then broke": first === undefined ? "nothing" : `${first.calls}: ${first.broken.join("; ")}`,
        "ran out": capacity.ranOut ?? "–",
      });
    }
  } finally {
    await emulators.stop();
  }
  const { seconds, processes } = options;
  const result = { ...head, mix: mixNameOf(options.mix), seconds, processes, agents };
  await writeResult(options.out, "side-by-side-capacity", result);
  output.write(options.json ? `${JSON.stringify(found)}\n` : `${renderRows(found, output.colors)}\n`);
  return 0;
}

async function capacityOf(
  agent: AgentName,
  { calls: from, seconds, settle: settleS, processes, mix: mixFile, json }: SideBySideCommandOptions,
  mix: CallMix,
  to: number,
  emulators: Awaited<ReturnType<typeof startEmulatorProcess>>,
  output: CommandOutput,
): Promise<Capacity> {
  const subject = await startAgent(agent, to, emulators);
  let isWarm = false;
  try {
    return await findCapacity(from, to, subject.slots, processes, async (calls) => {
      const rampS = Math.max(0.2, calls / ARRIVALS_PER_SECOND);
      const load = { subject, mix, mixName: mixNameOf(mixFile), calls, rampS, seconds, processes };
      const cold = { ...load, ...(settleS !== undefined && { settleS }) };
      const result = await runLoad(isWarm ? { ...load, warmUpCalls: 0 } : cold);
      isWarm = true;
      if (!json) output.write(`${agent}, ${calls} calls: ${result.failureCount} failures\n`);
      return result;
    });
  } finally {
    await subject.stop();
  }
}

function progressOf(output: CommandOutput, totalS: number): Progress {
  return Progress.of(output, totalS);
}
