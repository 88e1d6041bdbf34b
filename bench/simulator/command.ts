/**
 * `npm run sim`: runs seeds and says what was simulated; of a failing seed how to run it again, and the least that fails.
 *
 * Exit codes: 0 every invariant held, 1 one did not.
 */
import { readFile } from "node:fs/promises";
import type { Violation } from "./invariants.js";
import { type SeedResult, runScript } from "./run-seed.js";
import { type FaultKind, type Script, drawScript } from "./script.js";
import { type Shrunk, shrink } from "./shrink.js";
import { callsOfWorld, simulate } from "./simulate.js";

export interface SimOptions {
  readonly calls: number;
  readonly seed: number;
  readonly seconds?: number | undefined;
  readonly faults: readonly FaultKind[];
  /** At most, of a caller. */
  readonly steps: number;
  /** A script to run in place of seeds, as a failure prints it. */
  readonly script?: string | undefined;
  /** @internal See SimulateOptions. */
  readonly worker?: URL | undefined;
}

export interface SimOutput {
  write(text: string): void;
}

const VIOLATIONS_SHOWN = 4;

/** Resolves with the exit code. */
export async function runSim(options: SimOptions, output: SimOutput): Promise<number> {
  if (options.script !== undefined) return runOne(options.script, output);
  const { seed, calls, seconds, faults, steps, worker } = options;
  const result = await simulate({ seed, calls, kinds: faults, steps, seconds, worker });
  const line = (title: string, counts: Readonly<Record<string, number>>): void =>
    output.write(
      `${title}: ${Object.entries(counts)
        .map(([name, count]) => `${name} ${count}`)
        .join(", ")}\n`,
    );
  line("simulated", result.counts);
  line("faults", result.faults);
  const perMinute = Math.round((result.counts["calls"] ?? 0) / (result.wallMs / 60_000));
  output.write(
    `${result.worlds} worlds from seed ${seed}, digest ${result.digest}, ${(result.wallMs / 1_000).toFixed(1)} s, ${perMinute} calls a minute\n`,
  );
  for (const failure of result.failures) await explain(failure, options, output);
  output.write(
    result.failures.length === 0
      ? "Every invariant held.\n"
      : `Wrong: ${result.failures.length} of ${result.worlds} worlds\n`,
  );
  return result.failures.length === 0 ? 0 : 1;
}

async function runOne(file: string, output: SimOutput): Promise<number> {
  const script = await readScript(file);
  const { violations, digest } = await runScript(script);
  show(violations, output);
  output.write(violations.length === 0 ? `Every invariant held, digest ${digest}.\n` : "Wrong\n");
  return violations.length === 0 ? 0 : 1;
}

/** @throws Error that says what is wrong with the file. */
async function readScript(file: string): Promise<Script> {
  let script: Script | null;
  try {
    script = JSON.parse(await readFile(file, "utf8")) as Script | null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`--script wants a file with what a failure printed: ${file}: ${why}`, { cause: error });
  }
  const fields = Object.keys(drawScript(1, new Set(), 1));
  const missing = fields.filter((field) => !(field in Object(script)));
  if (script === null || missing.length > 0)
    throw new Error(
      `--script wants what a failure of this version printed; ${file} has no ${missing.join(", ")}`,
    );
  return script;
}

async function explain(failure: SeedResult, options: SimOptions, output: SimOutput): Promise<void> {
  const { seed, violations } = failure;
  output.write(`\nseed ${seed} fails; again with: ${commandOf(seed, options)}\n`);
  show(violations, output);
  const { script, tries } = await shrinkSeed(
    drawScript(seed, new Set(options.faults), callsOf(seed, options), options.steps),
    violations,
  );
  output.write(`the least of it that fails (${tries} tries), for --script:\n${JSON.stringify(script)}\n`);
}

type OfSeeds = Pick<SimOptions, "seed" | "calls" | "faults" | "steps">;

/** The last of those that are wanted may have fewer, and with more is another. */
function callsOf(seed: number, options: OfSeeds): number {
  return callsOfWorld(options.calls, seed - options.seed);
}

export function commandOf(seed: number, options: OfSeeds): string {
  const { faults, steps } = options;
  const kinds = faults.join(",") || "none";
  return `npm run sim -- --seed ${seed} --calls ${callsOf(seed, options)} --faults ${kinds} --steps ${steps}`;
}

/** For as long as one of the same invariants fails. */
export function shrinkSeed(script: Script, violations: readonly Violation[]): Promise<Shrunk> {
  const failed = new Set(violations.map(({ invariant }) => invariant));
  return shrink(script, async (smaller) => {
    const result = await runScript(smaller);
    return result.violations.some(({ invariant }) => failed.has(invariant));
  });
}

function show(violations: readonly Violation[], output: SimOutput): void {
  for (const { invariant, what } of violations.slice(0, VIOLATIONS_SHOWN))
    output.write(`  ${invariant}: ${what}\n`);
  if (violations.length > VIOLATIONS_SHOWN)
    output.write(`  and ${violations.length - VIOLATIONS_SHOWN} more\n`);
}
