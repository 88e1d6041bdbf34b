/**
 * `npm run bench -- NAME`: runs a suite and shows its rows, with the machine and commit they were taken on.
 *
 * Exit codes: 0 measured, 1 what was measured was wrong.
 */
import { describeMachine, machineFacts, renderRows } from "#bench/report";
import {
  type ControlOptions,
  type EdgeBenchOptions,
  type PlacementOptions,
  type SuiteResult,
  suites,
} from "#bench/suites";
import type { CommandOutput } from "./call.js";

type SuiteName = keyof typeof suites;

export const suiteNames = Object.keys(suites) as readonly SuiteName[];

/** Resolves with the exit code. */
export async function runSuite(
  name: SuiteName,
  options: ControlOptions & EdgeBenchOptions & PlacementOptions,
  output: CommandOutput,
): Promise<number> {
  const machine = machineFacts();
  if (!options.json) output.write(`${describeMachine(machine)}\n`);
  const result: SuiteResult = await suites[name](options);
  const failures = result.failures ?? [];
  if (options.json) {
    output.write(`${JSON.stringify({ machine, ...result, failures })}\n`);
  } else {
    output.write(`${renderRows(result.rows, output.colors)}\n`);
    for (const note of result.notes) output.write(`· ${note}\n`);
    if (failures.length > 0)
      output.write(`Wrong, so the figures do not count: ${failures.length} failures\n`);
  }
  return failures.length === 0 ? 0 : 1;
}
