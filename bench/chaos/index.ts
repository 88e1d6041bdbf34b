/**
 * Chaos: whole calls while something breaks, by scenario files.
 *
 * ```ts
 * const result = await runScenario(loadScenario("node-killed", "small"));
 * if (result.failures.length > 0) console.error(result.failures);
 * ```
 */
export { type ChaosResult, runScenario } from "./run.js";
export type { Scenario } from "./scenario-schema.js";
export { loadScenario, scenarioNames } from "./scenario.js";
