/**
 * Tenants whose configuration breaks what carries their calls: their new calls get the overflow, and everybody else's
 * are answered as ever.
 *
 *   free ──CRASHING_CALLS_MAX calls crash, or KILLS_MAX shards die, within the window──▶ quarantined
 *     ▲──────────── its configuration changes, or RELEASE_AFTER_MS have passed ───────────────┘
 *
 * Q1 one call alone puts nobody in quarantine by crashing, however often: its own restarts are bounded (Recovery).
 * Q2 a configuration answers for what ran with it: a call goes on with the one it began with, and when that has been
 *    replaced its crashes say nothing of the one that is there now.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { TenantConfig } from "#actors/tenants";

/** Two calls may meet the same rare bug; three of one tenant within minutes are its configuration. */
export const CRASHING_CALLS_MAX = 3;
/** A shard's death is everybody's trouble: the second is enough. */
export const KILLS_MAX = 2;
export const QUARANTINE_WINDOW_MS = 5 * 60_000;
/** What was wrong may have been somebody else's and be mended; if not, it costs as many crashes again. */
export const RELEASE_AFTER_MS = 10 * 60_000;

/** A call, as far as it matters here. */
export interface QuarantinedCall {
  readonly callId: string;
  readonly tenantId: string;
  /** What the actor that crashed had begun with. */
  readonly tenant: TenantConfig | null;
}

interface Entry {
  /** By call: when it crashed last. At most CRASHING_CALLS_MAX. */
  readonly crashedAtMs: Map<string, number>;
  killedAtMs: number[];
  /** Null: free. */
  since: { readonly atMs: number; readonly reason: "crashes" | "kills" } | null;
  /** The configuration that did it. */
  readonly config: string;
}

export interface QuarantineDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly tenantOf: (tenantId: string) => TenantConfig | undefined;
}

export class Quarantine {
  readonly #deps: QuarantineDeps;
  /** Tenants in trouble: bounded by the tenants. */
  readonly #entries = new Map<string, Entry>();

  constructor(deps: QuarantineDeps) {
    this.#deps = deps;
  }

  /** A call's actor crashed. */
  noteCrash(call: QuarantinedCall): void {
    const { tenantId, callId } = call;
    if (!this.#isPresent(call)) return; // Q2
    const { crashedAtMs } = this.#recent(tenantId);
    crashedAtMs.set(callId, this.#deps.clock.nowMs());
    if (crashedAtMs.size >= CRASHING_CALLS_MAX) this.#begin(tenantId, "crashes");
  }

  /** A call's code took its shard down. */
  noteKill(call: QuarantinedCall): void {
    const { tenantId, callId } = call;
    const isPresent = this.#isPresent(call);
    this.#deps.log.error({ tenantId, callId, isPresent }, "a call took its shard down");
    if (!isPresent) return; // Q2
    const { killedAtMs } = this.#recent(tenantId);
    killedAtMs.push(this.#deps.clock.nowMs());
    if (killedAtMs.length >= KILLS_MAX) this.#begin(tenantId, "kills");
  }

  isQuarantined(tenantId: string): boolean {
    const entry = this.#entries.get(tenantId);
    if (entry === undefined || entry.since === null) return false;
    if (this.#deps.clock.nowMs() - entry.since.atMs < RELEASE_AFTER_MS) return true;
    this.#release(tenantId, "its time is over");
    return false;
  }

  /** The tenants have changed: whose configuration is another one now is free. */
  reconsider(): void {
    for (const [tenantId, { config }] of this.#entries) {
      if (this.#configOf(tenantId) !== config) this.#release(tenantId, "its configuration changed");
    }
  }

  /** For operators, and for the metrics page: who asks finds out whose time is over, though nobody calls them. */
  list(): readonly { readonly tenantId: string; readonly reason: string; readonly forMs: number }[] {
    const nowMs = this.#deps.clock.nowMs();
    return Array.from(this.#entries)
      .filter(([tenantId]) => this.isQuarantined(tenantId))
      .map(([tenantId, { since }]) => ({ tenantId, reason: since!.reason, forMs: nowMs - since!.atMs }));
  }

  /** The tenant's entry, without what lies before the window. */
  #recent(tenantId: string): Entry {
    this.isQuarantined(tenantId); // else one whose time is over, and whom nobody has called since, would stay free for good
    const fromMs = this.#deps.clock.nowMs() - QUARANTINE_WINDOW_MS;
    let entry = this.#entries.get(tenantId);
    if (entry === undefined) {
      entry = { crashedAtMs: new Map(), killedAtMs: [], since: null, config: this.#configOf(tenantId) };
      this.#entries.set(tenantId, entry);
    }
    for (const [callId, atMs] of entry.crashedAtMs) if (atMs < fromMs) entry.crashedAtMs.delete(callId);
    entry.killedAtMs = entry.killedAtMs.filter((atMs) => atMs >= fromMs);
    return entry;
  }

  #begin(tenantId: string, reason: "crashes" | "kills"): void {
    const { clock, log } = this.#deps;
    const entry = this.#recent(tenantId);
    entry.crashedAtMs.clear();
    entry.killedAtMs = [];
    if (entry.since !== null) return;
    entry.since = { atMs: clock.nowMs(), reason };
    const what = `new calls of tenant ${tenantId} get the overflow: change its configuration, or wait`;
    log.error({ tenantId, reason, err: new LumentraError("TENANT_QUARANTINED", what) }, "tenant quarantined");
  }

  #release(tenantId: string, why: string): void {
    const wasQuarantined = this.#entries.get(tenantId)?.since !== null;
    this.#entries.delete(tenantId);
    if (wasQuarantined) this.#deps.log.warn({ tenantId, why }, "tenant out of quarantine");
  }

  #isPresent({ tenantId, tenant }: QuarantinedCall): boolean {
    const present = this.#deps.tenantOf(tenantId) ?? null;
    // Read again it is another object that says the same.
    return tenant === present || JSON.stringify(tenant) === JSON.stringify(present);
  }

  #configOf(tenantId: string): string {
    return JSON.stringify(this.#deps.tenantOf(tenantId) ?? null);
  }
}
