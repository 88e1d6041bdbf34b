/**
 * `npm run bench -- load`: a load against a node of this machine, or with --target against one elsewhere; its progress,
 * its table, and a report with charts beside its JSON.
 *
 * Exit codes: 0 measured, 1 what was measured was wrong, 130 and 143 interrupted: what was measured by then is left.
 */
import { readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { CarrierName } from "#bench/caller";
import {
  type CallMix,
  type FrontMix,
  type LoadResult,
  type NodeSettings,
  type Subject,
  type Told,
  Progress,
  RESULT_FORMAT,
  comesAgain,
  compareRuns,
  loadMix,
  loadNameOf,
  mixNameOf,
  remoteSubject,
  renderReport,
  runFront,
  runLoad,
  settleSecondsOf,
  shown,
  startSubject,
  toldOfRuns,
} from "#bench/load";
import { describeMachine, makeResultFolder, renderRows, resultHead, writeResult } from "#bench/report";
import type { CommandOutput } from "./call.js";

export interface LoadCommandOptions {
  readonly calls: number;
  readonly ramp?: number;
  readonly settle?: number;
  readonly seconds: number;
  readonly mix: string;
  readonly processes: number;
  /** Of the node that is started; refused with `target`. @default none */
  readonly set?: NodeSettings;
  readonly target?: string;
  readonly publicUrl?: string;
  readonly adminUrl?: string;
  readonly to: string;
  readonly carrier: CarrierName;
  readonly authToken?: string;
  readonly compare?: string;
  readonly out: string;
  readonly json: boolean;
}

/** Calls a second while a load is built up, unless the ramp is given. */
const ARRIVALS_PER_SECOND = 50;

/** Resolves with the exit code. */
export async function runLoadCommand(
  options: LoadCommandOptions,
  output: CommandOutput,
  interrupted?: AbortSignal,
): Promise<number> {
  const mix = await loadMix(options.mix);
  const earlier = options.compare === undefined ? null : await readResult(options.compare);
  await makeResultFolder(options.out);
  const head = resultHead("load");
  if (!options.json) output.write(`${describeMachine(head.machine)}\n`);
  const result =
    mix.front === "calls"
      ? await measure(options, mix, output, interrupted)
      : await measureFront(options, mix, output);
  const told = earlier === null ? null : toldOfRuns(earlier, result);
  const base = join(options.out, loadNameOf(result));
  const file = { ...head, ...result };
  await writeResult(options.out, basename(base), file);
  await writeFile(`${base}.html`, await renderReport(file, told));
  if (options.json) {
    const movements = earlier === null ? [] : compareRuns(earlier, result);
    output.write(`${JSON.stringify({ ...result, windows: [], movements, differs: told?.differs ?? [] })}\n`);
  } else {
    printResult(result, output);
    if (told !== null) printComparison(told, output);
    output.write(`Report: ${resolve(`${base}.html`)}, data: ${basename(base)}.json\n`);
  }
  if (interrupted?.aborted === true) return interrupted.reason as number;
  return result.failureCount === 0 ? 0 : 1;
}

async function measure(
  options: LoadCommandOptions,
  mix: CallMix,
  output: CommandOutput,
  interrupted?: AbortSignal,
): Promise<LoadResult> {
  const { calls, seconds, processes } = options;
  const settleS = options.settle ?? settleSecondsOf({ seconds });
  const rampS = options.ramp ?? Math.max(1, calls / ARRIVALS_PER_SECOND);
  const subject = await subjectOf(options, mix);
  const progress = progressOf(options, rampS + settleS + seconds, output);
  try {
    return await runLoad({
      subject,
      mix,
      mixName: mixNameOf(options.mix),
      calls,
      rampS,
      seconds,
      processes,
      settleS,
      ...(interrupted !== undefined && { interrupted }),
      onWindow: (window) => progress?.show(window),
    });
  } finally {
    progress?.end();
    await subject.stop();
  }
}

async function measureFront(
  options: LoadCommandOptions,
  mix: FrontMix,
  output: CommandOutput,
): Promise<LoadResult> {
  if (mix.front === "grpc" && (options.target !== undefined || Object.keys(options.set ?? {}).length > 0))
    throw new Error(
      "a mix of the gRPC front door loads a control plane that is started here: no --target, no --set",
    );
  const progress = progressOf(options, options.seconds, output);
  try {
    return await runFront({
      ...options,
      settings: options.set ?? {},
      mix,
      mixName: mixNameOf(options.mix),
      onWindow: (window) => progress?.show(window),
    });
  } finally {
    progress?.end();
  }
}

/** Null where only JSON is wanted. */
function progressOf(options: LoadCommandOptions, seconds: number, output: CommandOutput): Progress | null {
  if (options.json) return null;
  return Progress.of(output, seconds);
}

function subjectOf(options: LoadCommandOptions, mix: CallMix): Promise<Subject> {
  if (options.target === undefined) {
    // The slot of a call that ended is given back while its line is dialled again.
    const spare = mix.callers.some(comesAgain) ? options.calls : 0;
    return startSubject({ calls: options.calls + spare, settings: options.set ?? {} });
  }
  return remoteSubject({
    url: options.target,
    to: options.to,
    carrier: options.carrier,
    ...(options.publicUrl !== undefined && { publicUrl: options.publicUrl }),
    ...(options.adminUrl !== undefined && { adminUrl: options.adminUrl }),
    ...(options.authToken !== undefined && { authToken: options.authToken }),
  });
}

async function readResult(file: string): Promise<LoadResult> {
  let result: Partial<LoadResult> | null;
  try {
    result = JSON.parse(await readFile(file, "utf8")) as Partial<LoadResult> | null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`--compare wants the JSON that an earlier load left: ${file}: ${why}`, { cause: error });
  }
  if (result?.format === RESULT_FORMAT && Array.isArray(result.figures) && result.machine !== undefined)
    return result as LoadResult;
  throw new Error(`--compare wants the JSON that an earlier load of this version left; ${file} is none`);
}

/** What a load's whole table takes; in a narrower terminal it has what is looked at first. */
const WIDE_COLUMNS = 100;

function printResult(result: LoadResult, output: CommandOutput): void {
  const isWide = output.columns >= WIDE_COLUMNS;
  const rows = result.figures.map(({ name, unit, value, slices, count }) => ({
    what: name,
    value: `${shown(value)}${unit === "" ? "" : ` ${unit}`}`,
    ...(isWide && {
      "over fifths": slices.length < 2 ? "" : `${shown(Math.min(...slices))} – ${shown(Math.max(...slices))}`,
      count: count ?? "",
    }),
  }));
  output.write(`${renderRows(rows, output.colors)}\n`);
  for (const note of result.notes) output.write(`· ${note}\n`);
  if (result.failureCount === 0) return;
  output.write(`Wrong, so the figures do not count: ${result.failureCount} failures\n`);
  for (const why of result.failures.slice(0, 5)) output.write(`  ${why}\n`);
}

function printComparison({ earlier, differs, moved, rest }: Told, output: CommandOutput): void {
  output.write(`Against the earlier run: ${earlier}\n`);
  for (const line of differs) output.write(`${line}\n`);
  if (moved.length === 0) output.write("Nothing moved.\n");
  else {
    const rows = moved.map(({ name, unit, old, new: now, noise, verdict }) => ({
      what: name,
      before: shown(old),
      now: `${shown(now)} ${unit}`,
      noise: noise === null ? "" : `± ${shown(noise)}`,
      verdict,
    }));
    output.write(`${renderRows(rows, output.colors)}\n`);
  }
  for (const line of rest) output.write(`${line}\n`);
}
