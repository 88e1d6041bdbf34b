/**
 * The simulator: whole calls over the real node code on one thread under virtual time, broken in every way a seed can
 * draw, and looked at afterwards.
 *
 * ```ts
 * const script = drawScript(42, new Set(FAULT_KINDS)); // what happens: plain data
 * const { violations, digest } = await runScript(script);
 * const { script: least } = await shrinkSeed(script, violations); // when there are any
 * await runSim({ calls: 10_000, seed: 1, faults: FAULT_KINDS, steps: STEPS_MAX }, process.stdout); // many, on every core
 * ```
 */
export { type SimOptions, commandOf, runSim, shrinkSeed } from "./command.js";
export { INVARIANTS, type Violation } from "./invariants.js";
export { type SeedResult, runScript } from "./run-seed.js";
export {
  CALLS_PER_WORLD,
  FAULT_KINDS,
  type FaultKind,
  STEPS_MAX,
  type Script,
  drawScript,
} from "./script.js";
export { type Simulation, simulate } from "./simulate.js";
