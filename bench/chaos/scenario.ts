/**
 * Reads chaos scenarios: a stage, a workload on it, faults at instants of the workload, and what must hold afterwards
 * (scenario-schema.ts, field by field). They are TOML files in `scenarios/`, or anybody's; this is the one place that
 * reads them.
 *
 * `small` replaces fields of the workload, and of the checks, where the scenario runs in the test suite.
 */
import { readFileSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { parse } from "smol-toml";
import { z } from "zod";
import { LumentraError } from "#runtime/errors";
import { type Scenario, scenarioSchema } from "./scenario-schema.js";
import { nonsenseIn } from "./scenario-sense.js";

/** The files stand beside the sources: they are data, and not compiled. */
const SCENARIOS = new URL("../../../bench/chaos/scenarios/", import.meta.url);

/** Names of all scenarios, sorted. */
export function scenarioNames(): readonly string[] {
  return readdirSync(SCENARIOS)
    .filter((name) => name.endsWith(".toml"))
    .map((name) => name.slice(0, -".toml".length))
    .toSorted();
}

/** One of ours by its name, or a file. @throws LumentraError BENCH_MIX_INVALID that names the file, the place and what is wrong. */
export function loadScenario(nameOrFile: string, size: "small" | "full"): Scenario {
  const isOurs = scenarioNames().includes(nameOrFile);
  if (!isOurs && !nameOrFile.endsWith(".toml")) {
    const names = scenarioNames();
    throw invalid(
      `there is no scenario ${nameOrFile}; there are ${names.join(", ")}, or a file that ends in .toml`,
    );
  }
  const path = isOurs ? new URL(`${nameOrFile}.toml`, SCENARIOS) : nameOrFile;
  return parseScenario(basename(nameOrFile, ".toml"), readText(nameOrFile, path), size);
}

function readText(nameOrFile: string, path: URL | string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw invalid(`scenario ${nameOrFile}: ${messageOf(error)}`, error);
  }
}

/** @throws LumentraError as above. */
export function parseScenario(name: string, text: string, size: "small" | "full"): Scenario {
  const parsed = scenarioSchema.safeParse(parsedToml(name, text));
  if (!parsed.success) throw invalid(`scenario ${name}: ${z.prettifyError(parsed.error)}`);
  const { small, ...full } = parsed.data;
  // A default of the schema is no wish of the file's.
  const given = (parsedToml(name, text) as { small?: GivenSmall }).small ?? {};
  const { checks = {}, ...workload } = small;
  const reduced = {
    ...full,
    workload: Object.assign({}, full.workload, only(workload, given)),
    checks: Object.assign({}, full.checks, only(checks, given.checks ?? {})),
  };
  const scenario = { ...(size === "full" ? full : reduced), name };
  const wrong = nonsenseIn(scenario);
  if (wrong.length > 0) throw invalid(`scenario ${name}: ${wrong.join("; ")}`);
  return scenario;
}

interface GivenSmall {
  readonly checks?: Readonly<Record<string, unknown>>;
}

/** The fields that were given. */
function only<Fields extends object>(fields: Fields, given: object): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key in given)) as Fields;
}

function parsedToml(name: string, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw invalid(`scenario ${name}: ${messageOf(error)}`, error);
  }
}

function invalid(message: string, cause?: unknown): LumentraError {
  return new LumentraError("BENCH_MIX_INVALID", message, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
