/**
 * Load: many simulated callers against a node, and what came of it.
 *
 * ```ts
 * const mix = await loadMix("conversation");
 * const subject = await startSubject({ calls: 200 });
 * const result = await runLoad({ subject, mix, mixName: "conversation", calls: 200, rampS: 5, seconds: 20 });
 * await writeFile("report.html", await renderReport(result));
 * await subject.stop();
 * ```
 */
export {
  type Capacity,
  type OwnObjectives,
  type Step,
  THREAD_FULL,
  findCapacity,
  objectivesWith,
} from "./capacity.js";
export { type Movement, type Told, compareRuns, toldOfRuns } from "./compare.js";
export { Distribution } from "./distribution.js";
export type { Figure } from "./figures.js";
export { CALL_MEMORY_KIB, type FigureGoal, goalOf } from "./goals.js";
export { type FrontOptions, runFront } from "./front.js";
export { scrapeMetrics } from "./metrics.js";
export { type CallMix, type FrontMix, type Mix, comesAgain, loadMix, mixNameOf } from "./mix.js";
export { Progress } from "./progress.js";
export { renderReport, shown } from "./report.js";
export { type LoadResult, type LoadWindow, type Percentiles, RESULT_FORMAT, loadNameOf } from "./results.js";
export { type LoadOptions, runLoad, settleSecondsOf } from "./run.js";
export { type SoakFinding, afterWarmUp, callHoursOf, leaksOf } from "./soak.js";
export {
  BENCH_NUMBER,
  type NodeSettings,
  type Subject,
  type Target,
  remoteSubject,
  startSubject,
} from "./subject.js";
