/**
 * `npm run chaos -- SCENARIO|all [--small] [--json]`: whole calls while something breaks.
 *
 * Exit codes: 0 everything held, 1 something did not (it is said), 2 wrong usage or a scenario that
 * cannot be read, 130 and 143 interrupted.
 */
import { Command, CommanderError } from "commander";
import { exitOnSignals } from "#bench/processes";
import { describeMachine, machineFacts, renderRows } from "#bench/report";
import { LumentraError } from "#runtime/errors";
import { type ChaosResult, runScenario } from "./run.js";
import { loadScenario, scenarioNames } from "./scenario.js";

const EXIT_USAGE = 2;
/** Failures of a scenario that are printed; the rest is counted. */
const FAILURES_SHOWN = 8;

interface Options {
  readonly small: boolean;
  readonly json: boolean;
}

const program = new Command("chaos")
  .description("Whole calls while something breaks: every scenario stands in ARCHITECTURE's failure table.")
  .argument("<scenario...>", `all, a TOML file, or: ${scenarioNames().join(", ")}`)
  .option("--small", "as small as in the test suite", false)
  .option("--json", "the last line of output is one JSON object", false)
  .exitOverride()
  .action(async (given: readonly string[], options: Options) => {
    const names = given.includes("all") ? scenarioNames() : given;
    const scenarios = names.map((name) => loadScenario(name, options.small ? "small" : "full"));
    if (!options.json) console.log(describeMachine(machineFacts()));
    const results: ChaosResult[] = [];
    for (const scenario of scenarios) {
      try {
        const result = await runScenario(scenario);
        results.push(result);
        if (!options.json) show(result);
      } catch (error) {
        // The others are played all the same.
        console.error(`FAILED ${scenario.name}: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    }
    if (options.json) console.log(JSON.stringify({ machine: machineFacts(), results }));
    else console.log(renderRows(results.map(rowOf), process.stdout.isTTY));
    if (results.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
  });

function show({ name, title, hears, failures, logs }: ChaosResult): void {
  console.log(
    `${failures.length === 0 ? "held  " : "FAILED"} ${name}: ${title}. The caller hears: ${hears}.`,
  );
  for (const failure of failures.slice(0, FAILURES_SHOWN)) console.log(`         ${failure}`);
  if (failures.length > FAILURES_SHOWN)
    console.log(`         … and ${failures.length - FAILURES_SHOWN} more`);
  for (const log of logs) console.log(`    ${log}`);
}

function rowOf({ name, calls, sentences, resumed, delayMs, durationMs, failures }: ChaosResult) {
  return {
    scenario: name,
    calls,
    sentences,
    resumed,
    "delay p50, ms": delayMs.p50 ?? "–",
    "p95, ms": delayMs.p95 ?? "–",
    "max, ms": delayMs.max ?? "–",
    "took, s": Math.round(durationMs / 1_000),
    held: failures.length === 0 ? "yes" : "NO",
  };
}

exitOnSignals();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else {
    const isScenario = error instanceof LumentraError && error.code === "BENCH_MIX_INVALID";
    const isForeseen = isScenario || (error instanceof Error && error.name === "Error");
    console.error(isForeseen ? error.message : error);
    process.exitCode = isScenario ? EXIT_USAGE : 1;
  }
}
