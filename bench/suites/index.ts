/**
 * The benchmark suites. Each has a paragraph in docs/BENCHMARKS.md.
 *
 * ```ts
 * const { rows, notes } = await suites.rings({ seconds: 10, json: false });
 * ```
 */
import type { ControlOptions } from "./control.js";
import type { EdgeBenchOptions } from "./edge.js";
import type { MemoryOptions } from "./memory.js";
import type { SuiteName } from "./names.js";
import type { PlacementOptions } from "./placement.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export { EDGE_ROWS } from "./edge-measures.js";
export type { ControlOptions } from "./control.js";
export type { EdgeBenchOptions } from "./edge.js";
export type { MemoryOptions } from "./memory.js";
export type { PlacementOptions } from "./placement.js";
export type { SuiteOptions, SuiteResult } from "./suite.js";

/** By the name that `npm run bench -- NAME` takes; each is loaded when it is run. */
export const suites = {
  control: async (options: ControlOptions) => (await import("./control.js")).run(options),
  edge: async (options: EdgeBenchOptions) => (await import("./edge.js")).run(options),
  memory: async (options: MemoryOptions) => (await import("./memory.js")).run(options),
  rings: async (options: SuiteOptions) => (await import("./rings.js")).run(options),
  codec: async (options: SuiteOptions) => (await import("./codec.js")).run(options),
  vad: async (options: SuiteOptions) => (await import("./vad.js")).run(options),
  placement: async (options: PlacementOptions) => (await import("./placement.js")).run(options),
} as const satisfies Record<SuiteName, (options: never) => Promise<SuiteResult>>;
