/** The JSON that benchmarks leave, read back: what charts are drawn from. */
import { readFile } from "node:fs/promises";
import type { SideBySide } from "#bench/baseline";
import { type Capacity, type LoadResult, RESULT_FORMAT, type SoakFinding } from "#bench/load";
import type { ResultHead } from "#bench/report";
import { LumentraError } from "#runtime/errors";

export type LoadSource = ResultHead<"load"> & LoadResult;
export type SoakSource = ResultHead<"soak"> &
  LoadResult & { readonly findings: readonly SoakFinding[]; readonly callHours: number };
export type CapacitySource = ResultHead<"capacity"> &
  Capacity & { readonly mix: string; readonly seconds: number };
export type SideBySideSource = ResultHead<"side-by-side"> & SideBySide;
export type AgentCapacitySource = ResultHead<"side-by-side-capacity"> & {
  readonly mix: string;
  readonly seconds: number;
  readonly agents: readonly (Capacity & { readonly agent: SideBySide["runs"][number]["agent"] })[];
};
export type EdgeSource = ResultHead<"edge"> & {
  readonly rows: readonly Readonly<Record<string, number | string>>[];
  readonly failures: readonly string[];
  readonly options: {
    readonly calls: number;
    readonly shards: number;
    readonly speak: boolean;
    readonly seconds: number;
  };
};

export type Source =
  | LoadSource
  | SoakSource
  | CapacitySource
  | SideBySideSource
  | AgentCapacitySource
  | EdgeSource;

/** What a file of its kind must have for it to be one of this version. */
const LISTS: Readonly<Record<Source["kind"], readonly string[]>> = {
  load: ["figures", "windows"],
  soak: ["figures", "windows", "findings"],
  capacity: ["steps"],
  "side-by-side": ["runs"],
  "side-by-side-capacity": ["agents"],
  edge: ["rows", "failures"],
};

/** @throws LumentraError BENCH_MIX_INVALID with the file and what is wrong with it. */
export async function readSource(file: string): Promise<Source> {
  const source = await parsed(file);
  const { kind } = source;
  if (typeof kind !== "string" || !(kind in LISTS)) {
    throw invalid(file, `it is of no kind that has charts (${Object.keys(LISTS).join(", ")})`);
  }
  const missing = LISTS[kind as Source["kind"]].filter((list) => !Array.isArray(source[list]));
  if (typeof source.machine !== "object") missing.push("machine");
  if (missing.length > 0) throw invalid(file, `a ${kind} has no ${missing.join(", ")}`);
  if ("format" in source && source.format !== RESULT_FORMAT) throw invalid(file, "it is of another version");
  return source as unknown as Source;
}

async function parsed(file: string): Promise<Partial<Record<string, unknown>>> {
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw invalid(file, error instanceof Error ? error.message : String(error));
  }
  throw invalid(file, "it is no object");
}

function invalid(file: string, why: string): LumentraError {
  return new LumentraError("BENCH_MIX_INVALID", `${file} is no result of a benchmark: ${why}`);
}
