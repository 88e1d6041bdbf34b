/**
 * Logs and metrics.
 *
 * ```ts
 * const log = createLogger({ level: "info", name: "node" });
 * const callLog = log.child({ callId });
 * callLog.info({ pii: { from } }, "call admitted"); // pii is left out unless logPii is set
 *
 * const metrics = createMetrics({ thread: "main", processMetrics: true }); // one set per thread
 * metrics.admissionRefusals.inc({ reason: "noSlot" });
 * const merge = new MetricsMerge();
 * merge.update("main", await metrics.snapshot()); // a shard posts its snapshot as a message
 * const page = await merge.text();
 * ```
 */
export { createLogger, type LogLevel, type LoggerOptions, silentLogger } from "./create-logger.js";
export { type EventLoopDelayMs, EventLoopDelayMonitor } from "./event-loop-delay.js";
export { HotHistogram } from "./hot-histogram.js";
export type { Logger } from "./logger.js";
export { labelled, type MetricSnapshot, MetricsMerge, type MetricsSnapshot } from "./merge.js";
export { type Metrics, type MetricsOptions, createMetrics } from "./metrics.js";
