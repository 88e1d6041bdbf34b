/**
 * The control plane's metrics. Labels are bounded: methods are the protos', codes the error table's; none is a tenant,
 * a reseller, a key or a node.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

const LATENCY_BUCKETS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] as const;

export type ControlPlaneMetrics = ReturnType<typeof createControlPlaneMetrics>;

export function createControlPlaneMetrics(options: { readonly processMetrics?: boolean } = {}) {
  const registry = new Registry();
  const registers = [registry];
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  return {
    /** Other parts register theirs here. */
    registry,
    /** `code` is of the error table, or OK, or CANCELLED by the client. */
    rpcs: new Counter({
      name: "lumentra_rpcs_total",
      help: "RPCs that ended, by method and code.",
      labelNames: ["method", "code"] as const,
      registers,
    }),
    /** Unary ones; a stream's length says nothing. */
    rpcLatencyMs: new Histogram({
      name: "lumentra_rpc_latency_ms",
      help: "Time from an RPC's metadata to its status.",
      labelNames: ["method"] as const,
      buckets: [...LATENCY_BUCKETS_MS],
      registers,
    }),
    rpcStreams: new Gauge({
      name: "lumentra_rpc_streams",
      help: "Streams open now.",
      labelNames: ["method"] as const,
      registers,
    }),
    tenantWatchers: new Gauge({
      name: "lumentra_tenant_watchers",
      help: "Watchers of tenants.",
      registers,
    }),
    tenantWatchersDropped: new Counter({
      name: "lumentra_tenant_watchers_dropped_total",
      help: "Watchers of tenants that did not read what was sent to them.",
      registers,
    }),
  };
}
