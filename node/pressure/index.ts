/**
 * Backpressure of a node.
 *
 * ```ts
 * const pressure = new Pressure({
 *   clock, log, metrics,
 *   source: new NodePressureSource(pool, metrics.edgePacingErrorMs),
 *   thresholds: pressureThresholds(settings),
 *   onRung: (rung) => pool.setPressure(rung),
 * });
 * pressure.start();
 * if (!pressure.mayTakeCalls()) …; // the tenant's overflow
 * const { rung, inputs } = pressure.current(); // into the report to the control plane
 * pressure.close();
 * ```
 */
export { NodePressureSource, type PressureSource } from "./inputs.js";
export type { PressureInputs, PressureThresholds, Rung } from "./ladder.js";
export { Pressure, type PressureDeps, type PressureReport } from "./pressure.js";
export { type PressureSettings, pressureSettings, pressureThresholds } from "./settings.js";
