/**
 * `npm run bench -- NAME`: runs a suite, shows its rows with the machine and commit they were taken on, and leaves them as
 * JSON.
 *
 * Exit codes: 0 measured, 1 what was measured was wrong.
 */
import { describeMachine, makeResultFolder, renderRows, resultHead, writeResult } from "#bench/report";
import {
  type ControlOptions,
  type EdgeBenchOptions,
  type MemoryOptions,
  type PlacementOptions,
  type SuiteResult,
  suites,
} from "#bench/suites";
import type { CommandOutput } from "./call.js";
import type { SuiteName } from "./suites/names.js";

export type SuiteCommandOptions = ControlOptions &
  EdgeBenchOptions &
  MemoryOptions &
  PlacementOptions & { readonly out: string };

/** Resolves with the exit code. */
export async function runSuite(
  name: SuiteName,
  options: SuiteCommandOptions,
  output: CommandOutput,
): Promise<number> {
  await makeResultFolder(options.out);
  const head = resultHead(name);
  if (!options.json) output.write(`${describeMachine(head.machine)}\n`);
  const result: SuiteResult = await suites[name](options);
  const failures = result.failures ?? [];
  const { out, json: _, ...asked } = options;
  const file = { ...head, ...result, options: asked, failures };
  await writeResult(out, fileNameOf(name, options), file);
  if (options.json) {
    output.write(`${JSON.stringify(file)}\n`);
  } else {
    output.write(`${renderRows(result.rows, output.colors)}\n`);
    for (const note of result.notes) output.write(`· ${note}\n`);
    if (failures.length > 0)
      output.write(`Wrong, so the figures do not count: ${failures.length} failures\n`);
  }
  return failures.length === 0 ? 0 : 1;
}

/** Of the edge a run for each number of calls is kept, as of a load. */
function fileNameOf(name: SuiteName, { calls, shards, speak }: EdgeBenchOptions): string {
  if (name !== "edge") return name;
  return `edge-${calls}-${shards}${speak === true ? "-speak" : ""}`;
}
