/** What the processes of the edge's benchmark agree on. */

export const TO_RING_METRIC = "lumentra_bench_to_ring_ms";
export const TO_SHARD_METRIC = "lumentra_bench_to_shard_ms";
export const FRAMES_METRIC = "lumentra_bench_sink_frames_total";
export const WRONG_METRIC = "lumentra_bench_sink_wrong_total";

/** Rows that are asked for by name. */
export const EDGE_ROWS = {
  cpuPerCall: "edge thread, ms of CPU per call and second",
  share: "edge thread, share of a core",
} as const;

/** At the start of each frame's audio: the instant at which it was sent, f64 little-endian, Clock.nowMs(). */
export const SENT_AT_BYTES = 8;

/** What the load says of itself when it is told to end. */
export interface LoadReport {
  readonly framesSent: number;
  /** Media sockets that were closed on it. */
  readonly lostCalls: number;
  /** Frames the kernel would not take at once: the node was behind by its whole socket buffer. */
  readonly stalledFrames: number;
  readonly bytesReceived: number;
  /** From the intended instant of a request to its answer. */
  readonly requestMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** How late frames were, at the load itself. */
  readonly lateMs: { readonly p50: number; readonly p99: number };
}
