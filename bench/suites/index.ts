/**
 * The benchmark suites. Each has a paragraph in docs/BENCHMARKS.md.
 *
 * ```ts
 * const { rows, notes } = await suites.rings({ seconds: 10, json: false });
 * ```
 */
import { run as codec } from "./codec.js";
import { run as control } from "./control.js";
import { run as edge } from "./edge.js";
import { run as placement } from "./placement.js";
import { run as rings } from "./rings.js";
import { run as vad } from "./vad.js";

export { EDGE_ROWS } from "./edge-measures.js";
export type { ControlOptions } from "./control.js";
export type { EdgeBenchOptions } from "./edge.js";
export type { PlacementOptions } from "./placement.js";
export type { SuiteOptions, SuiteResult } from "./suite.js";

/** By the name that `npm run bench -- NAME` takes. */
export const suites = { control, edge, rings, codec, vad, placement } as const;
