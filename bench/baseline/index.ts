/**
 * A plain single-process agent as most samples build it, and Lumentra beside it: the same callers, the same emulators,
 * one after the other in one run.
 *
 * ```ts
 * const mix = await loadMix("conversation");
 * const comparison = await runSideBySide({ mix, mixName: "conversation", calls: 100, seconds: 10, rounds: 1 });
 * console.log(comparisonRows(comparison, false), comparisonRows(comparison, true));
 * ```
 */
export { AGENT_TITLES, comparisonRows, proofOf, spreadOf } from "./comparison.js";
export {
  type SideBySide,
  type SideBySideOptions,
  type SideBySideRun,
  runSideBySide,
} from "./side-by-side.js";
export { AGENTS, type AgentName, startAgent } from "./subjects.js";
