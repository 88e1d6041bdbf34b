/**
 * What the admin port shows of this node, and what of it may be asked for there: whether it is ready, its calls, their
 * journals and messages, the metrics of all its threads.
 */
import type { ShardPool } from "#runtime/cluster";
import type { AdminDelegate } from "#runtime/edge";
import { type Logger, type Metrics, MetricsMerge, type MetricsSnapshot } from "#runtime/telemetry";
import type { CallShardTopic } from "#actors/call";
import type { NodeTenants } from "./admitter.js";
import type { JournalStore } from "./journal-store.js";
import type { LiveCalls } from "./live-calls.js";
import type { Pressure } from "./pressure/index.js";
import type { ProviderBoard } from "./provider-board.js";
import type { Quarantine } from "./quarantine.js";
import type { Recovery } from "./recovery.js";
import type { SuspendedCalls } from "./suspended-calls.js";

/** A shard that cannot answer a scrape in this time is busy; its last figures stand in for it. */
const METRICS_DEADLINE_MS = 1_000;

export interface NodeAdminDeps {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tenants: NodeTenants;
  readonly journals: JournalStore;
  readonly calls: LiveCalls;
  readonly suspended: SuspendedCalls;
  readonly providers: ProviderBoard;
  readonly quarantine: Quarantine;
  readonly recovery: Recovery;
  readonly pool: () => ShardPool;
  readonly pressure: () => Pressure;
  /** What a caller left as audio on this node. @default nobody ever does */
  readonly readMessage?: (callId: string) => Promise<Uint8Array | null>;
}

export class NodeAdmin implements AdminDelegate {
  readonly #deps: NodeAdminDeps;
  readonly #merge = new MetricsMerge();

  constructor(deps: NodeAdminDeps) {
    this.#deps = deps;
    deps.metrics.onCollect(() => this.#countCalls());
  }

  ready(): { readonly ready: boolean; readonly detail: Readonly<Record<string, unknown>> } {
    const { calls, suspended, pressure, providers, quarantine, pool } = this.#deps;
    const { ready, reason } = this.#readiness();
    const detail = {
      reason,
      liveCalls: calls.size,
      suspendedCalls: suspended.size,
      pressure: pressure().current(),
      // A provider that is down does not make the node unready: others stand behind it, and none is better elsewhere.
      providers: providers.states(),
      quarantined: quarantine.list(),
      shards: pool().stats(),
    };
    return { ready, detail };
  }

  /** New calls are welcome. */
  get isReady(): boolean {
    return this.#readiness().ready;
  }

  drainShard(shardId: number): { readonly callCount: number } | null {
    return this.#deps.recovery.drainShard(shardId);
  }

  liveCalls(): readonly unknown[] {
    return Array.from(
      this.#deps.calls,
      ({ callId, carrier, carrierCallId, tenantId, state, lease, startedAtUnixMs, pii }) => ({
        callId,
        carrier,
        carrierCallId,
        tenantId,
        state,
        shardId: lease.shardId,
        startedAt: new Date(startedAtUnixMs).toISOString(),
        pii,
      }),
    );
  }

  journal(callId: string): readonly unknown[] | null {
    return this.#deps.journals.get(callId);
  }

  message(callId: string): Promise<Uint8Array | null> {
    // The carrier's own id will do, as for the journal.
    const ours = this.#deps.journals.ends(callId)?.first.callId ?? callId;
    return this.#deps.readMessage?.(ours) ?? Promise.resolve(null);
  }

  async metricsText(): Promise<string> {
    await this.#gatherMetrics();
    return this.#merge.text();
  }

  async metricsSnapshot(): Promise<MetricsSnapshot> {
    await this.#gatherMetrics();
    return this.#merge.snapshot();
  }

  /** A lost shard's totals stay; its successor counts from zero. */
  retireShard(shardId: number): void {
    this.#merge.retire(`shard-${shardId}`);
  }

  #readiness(): { readonly ready: boolean; readonly reason: string } {
    const readiness = this.#deps.pool().readiness();
    if (!readiness.ready || this.#deps.tenants.isKnown !== false) return readiness;
    return { ready: false, reason: "no control plane has told the tenants yet" };
  }

  async #gatherMetrics(): Promise<void> {
    const { log, metrics, pool } = this.#deps;
    const topic: CallShardTopic = "metrics";
    await pool().askAll(topic, null, METRICS_DEADLINE_MS, (answer) => {
      if (answer.ok) this.#merge.update(`shard-${answer.shardId}`, answer.value as MetricsSnapshot);
      else log.warn({ err: answer.error, shardId: answer.shardId }, "a shard gave no metrics");
    });
    this.#merge.update("main", await metrics.snapshot());
  }

  #countCalls(): void {
    const { calls, suspended, metrics, quarantine } = this.#deps;
    metrics.tenantsQuarantined.set(quarantine.list().length);
    const counts = { reserved: 0, open: 0, recovering: 0, leaving: 0, suspended: suspended.size };
    for (const call of calls) counts[call.state] += 1;
    for (const [state, count] of Object.entries(counts)) metrics.calls.set({ state }, count);
  }
}
