/**
 * `npm run bench -- soak` and `capacity`: loads that answer one question each. Exit codes: 0 answered well, 1 a leak, a
 * load that was wrong, or one too short to tell.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type LoadResult,
  type NodeSettings,
  type OwnObjectives,
  Progress,
  afterWarmUp,
  callHoursOf,
  findCapacity,
  leaksOf,
  loadMix,
  mixNameOf,
  objectivesWith,
  renderReport,
  runLoad,
  settleSecondsOf,
  shown,
  startSubject,
} from "#bench/load";
import { describeMachine, makeResultFolder, renderRows, resultHead, writeResult } from "#bench/report";
import { LumentraError } from "#runtime/errors";
import type { CommandOutput } from "./call.js";

interface LongLoadOptions {
  readonly mix: string;
  /** Of the node. @default none */
  readonly set?: NodeSettings;
  readonly processes: number;
  readonly out: string;
  readonly json: boolean;
}

export interface SoakCommandOptions extends LongLoadOptions {
  readonly hours: number;
  readonly calls: number;
  /** Minutes that are not looked at. @default a fifth of the time, at most twenty minutes */
  readonly warmUp?: number;
}

export interface CapacityCommandOptions extends LongLoadOptions {
  readonly from: number;
  readonly to: number;
  readonly seconds: number;
  /** Before the first step is measured, seconds. @default as a load's */
  readonly settle?: number;
  /** @default the objectives that a load is held to */
  readonly most?: OwnObjectives;
}

const ARRIVALS_PER_SECOND = 50;

/** Resolves with the exit code. */
export async function runSoakCommand(
  options: SoakCommandOptions,
  output: CommandOutput,
  interrupted?: AbortSignal,
): Promise<number> {
  const mix = await callMix(options.mix);
  const { calls, processes, json } = options;
  const seconds = options.hours * 3_600;
  const rampS = Math.max(0.2, calls / ARRIVALS_PER_SECOND);
  await makeResultFolder(options.out);
  const head = resultHead("soak");
  if (!json) output.write(`${describeMachine(head.machine)}\n`);
  const progress = progressOf(output, json, rampS + settleSecondsOf({ seconds }) + seconds);
  const subject = await startSubject({ calls: calls * 2, settings: options.set ?? {} });
  let result: LoadResult;
  try {
    result = await runLoad({
      subject,
      mix,
      mixName: mixNameOf(options.mix),
      calls,
      rampS,
      seconds,
      processes,
      ...(interrupted !== undefined && { interrupted }),
      onWindow: (window) => progress?.show(window),
    });
  } finally {
    progress?.end();
    await subject.stop();
  }
  const { warmUp } = options;
  const lookedAt = afterWarmUp(result.windows, warmUp === undefined ? null : warmUp * 60);
  const findings = leaksOf(lookedAt);
  const callHours = callHoursOf(result.windows);
  const callHoursLookedAt = callHoursOf(lookedAt, lookedAt[0]);
  const file = { ...head, ...result, findings, callHours, callHoursLookedAt };
  await writeResult(options.out, "soak", file);
  await writeFile(join(options.out, "soak.html"), await renderReport(file, null, findings));
  const leaks = findings.some((finding) => finding.leaks);
  const isTooShort = findings.every(({ trend }) => trend === null);
  if (json)
    output.write(
      `${JSON.stringify({ findings, callHours, callHoursLookedAt, failureCount: result.failureCount })}\n`,
    );
  else {
    const rows = findings.map(({ what, unit, trend, allowed, leaks: grew }) => ({
      what: unit === "" ? what : `${what}, ${unit}`,
      "per hour": trend === null ? "too short to tell" : shown(trend.perHour),
      grew: trend === null ? "" : shown(trend.growth),
      allowed: shown(allowed),
      z: trend === null ? "" : shown(trend.z),
      verdict: trend === null ? "" : grew ? "LEAKS" : "flat",
    }));
    output.write(`${renderRows(rows, output.colors)}\n`);
    output.write(
      `· ${calls} calls asked for over ${shown(options.hours)} h; calls that were up add up to ${shown(callHours)} h of call time, ${shown(callHoursLookedAt)} of them looked at\n`,
    );
    if (interrupted?.aborted === true)
      output.write(`Interrupted: ${shown(result.seconds)} of ${shown(seconds)} s were measured\n`);
    for (const why of result.failures) output.write(`Wrong: ${why}\n`);
    if (isTooShort) output.write("Too short to tell whether anything grows: give it more --hours\n");
  }
  if (interrupted?.aborted === true) return interrupted.reason as number;
  return leaks || isTooShort || result.failureCount > 0 ? 1 : 0;
}

/** Resolves with the exit code. */
export async function runCapacityCommand(
  options: CapacityCommandOptions,
  output: CommandOutput,
  interrupted?: AbortSignal,
): Promise<number> {
  const mix = await callMix(options.mix);
  const { from, to, seconds, settle, most = {}, processes, json } = options;
  await makeResultFolder(options.out);
  const head = resultHead("capacity");
  if (!json) output.write(`${describeMachine(head.machine)}\n`);
  const mixName = mixNameOf(options.mix);
  const subject = await startSubject({ calls: to, settings: options.set ?? {} });
  let isWarm = false;
  try {
    const measure = async (calls: number): Promise<LoadResult | null> => {
      const rampS = Math.max(0.2, calls / ARRIVALS_PER_SECOND);
      const settleS = isWarm || settle === undefined ? settleSecondsOf({ seconds }) : settle;
      const progress = progressOf(output, json, rampS + settleS + seconds);
      try {
        const result = await runLoad({
          subject,
          mix,
          mixName,
          calls,
          rampS,
          seconds,
          processes,
          settleS,
          ...(isWarm && { warmUpCalls: 0 }),
          ...(interrupted !== undefined && { interrupted }),
          onWindow: (window) => progress?.show(window),
        });
        isWarm = true;
        // A step that was cut short says nothing; those before it do.
        return interrupted?.aborted === true ? null : result;
      } catch (error) {
        if (interrupted?.aborted === true && isWarm) return null;
        throw error;
      } finally {
        progress?.end();
      }
    };
    const objectives = objectivesWith(most);
    const capacity = await findCapacity(from, to, subject.slots, processes, measure, objectives);
    const file = { ...head, mix: mixName, seconds, processes, objectives, ...capacity };
    await writeResult(options.out, `capacity-${mixName}`, file);
    if (json) output.write(`${JSON.stringify(capacity)}\n`);
    else {
      const rows = capacity.steps.map(({ calls, broken, evidence }) => ({
        calls,
        "edge, cores": evidence.edgeCores,
        "worst shard": evidence.worstShardCores,
        node: evidence.nodeCores,
        callers: evidence.generatorCores,
        emulators: evidence.emulatorCores,
        "node, MiB": evidence.rssMiB,
        objectives: broken.length === 0 ? "kept" : `${broken.length} broken`,
      }));
      output.write(`${renderRows(rows, output.colors)}\n`);
      for (const { calls, broken } of capacity.steps)
        if (broken.length > 0) output.write(`· ${calls} calls: ${broken.join("; ")}\n`);
      if (interrupted?.aborted === true) output.write("Interrupted: the search was not over.\n");
      output.write(
        capacity.ranOut === null
          ? `Nothing broke up to ${capacity.calls} calls.\n`
          : `${capacity.calls} calls within every objective. What ran out beyond: ${capacity.ranOut}.\n`,
      );
    }
    if (interrupted?.aborted === true) return interrupted.reason as number;
    return capacity.calls > 0 ? 0 : 1;
  } finally {
    await subject.stop();
  }
}

async function callMix(name: string) {
  const mix = await loadMix(name);
  if (mix.front === "calls") return mix;
  throw new LumentraError("BENCH_MIX_INVALID", `Mix ${name} has no calls: it loads a front door`);
}

function progressOf(output: CommandOutput, json: boolean, totalS: number): Progress | null {
  if (json) return null;
  return Progress.of(output, totalS);
}
