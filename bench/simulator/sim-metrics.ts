/**
 * Metrics of simulated threads: one set for all of them, which nobody reads. Each would watch the event loop of
 * a thread that has none, and go on when the thread is dead.
 */
import { type Metrics, createMetrics } from "#runtime/telemetry";

let made: Metrics | null = null;

export function simMetrics(): Metrics {
  made ??= { ...createMetrics({ thread: "sim" }), onCollect: () => {}, close: () => {} };
  return made;
}
