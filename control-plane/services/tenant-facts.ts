/**
 * What placement must know of a tenant, without asking Postgres for every call: its reseller, its caps, whether it may
 * take calls at all.
 *
 * Invariants
 * T1 A change is seen at once by its notification, and after MAX_AGE_MS without it.
 * T2 While Postgres is away, or hangs, what was known stays good: calls are placed, and soon.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "#runtime/actor";
import { codeOf } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type { Store, StoreTransaction } from "../store/store.js";
import { storeWithin } from "./patience.js";

export interface TenantFacts {
  readonly resellerId: string;
  /** It, or its reseller. */
  readonly suspended: boolean;
  readonly tenantCap: number;
  readonly resellerCap: number;
}

interface Known {
  /** Null: no such tenant. */
  readonly facts: TenantFacts | null;
  readonly readAtMs: number;
}

/** A reseller's limits have no notification of their own. */
export const MAX_AGE_MS = 10_000;
/** T2. A Postgres that hangs must not be waited for by every call and every report of a node. */
const PATIENCE_MS = 200;
/** … and not be asked again for this long by those who can do without. */
const ASK_AGAIN_MS = 1_000;
/** Facts of a tenant are 200 bytes. */
const TENANTS_MAX = 50_000;
const CHANGES_PER_READ = 500;

export class TenantFactsCache {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known = new LRUCache<string, Known>({ max: TENANTS_MAX });
  readonly #reading = new Map<string, Promise<TenantFacts | null>>();
  /** Bumped with each change, so that a read that began before it is not kept. */
  #generation = 0;
  /** T2. */
  #askAgainAtMs = Number.NEGATIVE_INFINITY;
  #lastChange: number | null = null;
  #following: Promise<void> | null = null;
  #followAgain = false;
  #unsubscribe: (() => void) | null = null;

  constructor(options: { readonly store: Store; readonly clock: Clock; readonly log: Logger }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  start(): void {
    this.#unsubscribe = this.#store.onTenantsChanged(() => this.#follow());
    this.#follow();
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** Null: no such tenant. @throws LumentraError STORE_UNAVAILABLE when nothing is known of it (T2) */
  async get(tenantId: string): Promise<TenantFacts | null> {
    const known = this.#known.get(tenantId);
    const nowMs = this.#clock.nowMs();
    if (known !== undefined && nowMs - known.readAtMs < MAX_AGE_MS) return known.facts;
    if (known === undefined) return this.#readOnce(tenantId);
    if (nowMs < this.#askAgainAtMs) return known.facts; // T2
    try {
      return await storeWithin(this.#readOnce(tenantId), PATIENCE_MS, this.#clock);
    } catch (error) {
      if (codeOf(error) !== "STORE_UNAVAILABLE") throw error;
      this.#askAgainAtMs = this.#clock.nowMs() + ASK_AGAIN_MS;
      return known.facts; // T2
    }
  }

  /** What is known without asking, or within a moment; null otherwise. Never rejects. */
  async resellerOf(tenantId: string): Promise<string | null> {
    const known = this.#known.get(tenantId);
    if (known !== undefined) return known.facts?.resellerId ?? null;
    if (this.#clock.nowMs() < this.#askAgainAtMs) return null;
    try {
      return (await storeWithin(this.#readOnce(tenantId), PATIENCE_MS, this.#clock))?.resellerId ?? null;
    } catch {
      this.#askAgainAtMs = this.#clock.nowMs() + ASK_AGAIN_MS;
      return null;
    }
  }

  #readOnce(tenantId: string): Promise<TenantFacts | null> {
    const underWay = this.#reading.get(tenantId);
    if (underWay !== undefined) return underWay;
    const reading = this.#read(tenantId).finally(() => this.#reading.delete(tenantId));
    this.#reading.set(tenantId, reading);
    return reading;
  }

  async #read(tenantId: string): Promise<TenantFacts | null> {
    const generation = this.#generation;
    const facts = await this.#inStore(async (tx) => {
      const tenant = await tx.tenants.get(tenantId);
      if (tenant === null) return null;
      const reseller = await tx.resellers.get(tenant.resellerId);
      return {
        resellerId: tenant.resellerId,
        suspended: tenant.suspended || tenant.resellerSuspended,
        tenantCap: tenant.config.limits.concurrentCalls,
        resellerCap: reseller?.limits.concurrentCalls ?? 0,
      };
    });
    if (generation === this.#generation) this.#known.set(tenantId, { facts, readAtMs: this.#clock.nowMs() });
    return facts;
  }

  /** T1. Reads which tenants changed and forgets them; a hint during a read is followed by another. */
  #follow(): void {
    if (this.#following !== null) {
      this.#followAgain = true;
      return;
    }
    this.#following = this.#forgetChanged()
      .catch((error: unknown) => {
        // Which ones is not known: all are read again when asked for, and meanwhile T2 holds.
        this.#generation++;
        for (const tenantId of this.#known.keys()) this.#makeStale(tenantId);
        this.#log.warn({ error }, "changes of tenants could not be read; they are looked up anew");
      })
      .finally(() => {
        this.#following = null;
        if (!this.#followAgain) return;
        this.#followAgain = false;
        this.#follow();
      });
  }

  async #forgetChanged(): Promise<void> {
    if (this.#lastChange === null) {
      this.#lastChange = await this.#inStore((tx) => tx.tenants.lastChange());
      this.#generation++;
      for (const tenantId of this.#known.keys()) this.#makeStale(tenantId);
      return;
    }
    for (;;) {
      const from = this.#lastChange;
      const { changes, lastChange } = await this.#inStore((tx) =>
        tx.tenants.changesAfter(from, CHANGES_PER_READ),
      );
      if (changes.length > 0) this.#generation++;
      for (const { tenantId } of changes) this.#makeStale(tenantId);
      this.#lastChange = Math.max(from, lastChange);
      if (changes.length < CHANGES_PER_READ) return;
    }
  }

  /** Read again when asked for next; good until then should Postgres be away (T2). */
  #makeStale(tenantId: string): void {
    const known = this.#known.peek(tenantId);
    if (known !== undefined) this.#known.set(tenantId, { ...known, readAtMs: Number.NEGATIVE_INFINITY });
  }

  #inStore<Result>(work: (tx: StoreTransaction) => Promise<Result>): Promise<Result> {
    return this.#store.transaction({ kind: "system" }, "system", work);
  }
}
