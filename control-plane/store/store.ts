/**
 * Durable truth: what the services read and write in Postgres. Every read and write happens in a transaction that
 * carries who asks; row-level security in the database does the rest, so that a forgotten WHERE shows nothing of
 * others.
 *
 * Every method throws LumentraError STORE_UNAVAILABLE when Postgres cannot be reached or no connection is free in
 * time; others are said at the method.
 */
import type { JournalEvent } from "#actors/journal";
import type { TenantConfig } from "#actors/tenants";

/** What rows a transaction may see. */
export type Scope =
  | { readonly kind: "operator" }
  | { readonly kind: "reseller"; readonly resellerId: string }
  | { readonly kind: "tenant"; readonly tenantId: string }
  /** Nodes and the control plane's own work: reads tenants, writes calls and journals of all. */
  | { readonly kind: "system" };

/** For the audit log: "key:<id>", "node:<id>", "operator:<name>", "system". */
export type Actor = string;

export interface Page<Row> {
  readonly rows: readonly Row[];
  /** Key of the last row; null on the last page. Give it back as `after`. */
  readonly next: readonly string[] | null;
}
export interface PageRequest {
  readonly size: number;
  readonly after: readonly string[] | null;
}

export interface ResellerRow {
  readonly id: string;
  readonly name: string;
  readonly etag: string;
  readonly branding: {
    readonly displayName: string;
    readonly logoUrl: string;
    readonly primaryColor: string;
    readonly supportEmail: string;
  };
  readonly limits: { readonly concurrentCalls: number; readonly tenants: number };
  readonly suspended: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface ApiKeyRow {
  readonly id: string;
  /** Null: an operator's. */
  readonly resellerId: string | null;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Without id and numbers, which are columns and rows of their own. Checked by the tenant schema. */
export type StoredTenantConfig = Omit<TenantConfig, "id" | "numbers">;

export interface TenantRow {
  readonly id: string;
  readonly resellerId: string;
  readonly etag: string;
  readonly version: number;
  readonly suspended: boolean;
  readonly resellerSuspended: boolean;
  readonly config: StoredTenantConfig;
  /** Ascending. */
  readonly numbers: readonly string[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface PhoneNumberRow {
  readonly number: string;
  readonly tenantId: string;
  readonly resellerId: string;
  readonly etag: string;
  readonly label: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type CallState = "live" | "suspended" | "ended";

export interface CallRow {
  readonly id: string;
  readonly tenantId: string;
  readonly resellerId: string;
  readonly state: CallState;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly pii: { readonly from: string; readonly to: string };
  readonly nodeId: string;
  /** Highest lease epoch that has written. */
  readonly epoch: number;
  /** Events stored, which is the next sequence. */
  readonly nextSequence: number;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly outcome: string | null;
  /** What it is, we think: its owner was not heard of. Else its journal says so. */
  readonly lost: boolean;
  readonly callerTurns: number;
  readonly resumes: number;
  readonly voiceToVoiceMsP50: number | null;
}

export interface CallFilter {
  readonly tenantId?: string;
  readonly resellerId?: string;
  readonly state?: CallState;
  readonly outcome?: string;
  readonly startedAfter?: Date;
  readonly startedBefore?: Date;
  readonly fromNumber?: string;
  readonly toNumber?: string;
  readonly query?: string;
}

export type AppendVerdict =
  | { readonly kind: "stored"; readonly nextSequence: number; readonly call: CallRow }
  /** A newer epoch has written. */
  | { readonly kind: "leaseLost"; readonly epoch: number }
  | { readonly kind: "gap"; readonly nextSequence: number }
  /** The journal is closed by callEnded and these events are not repeats. */
  | { readonly kind: "ended"; readonly nextSequence: number }
  /** No callStarted came first, or its tenant does not exist (any more). */
  | { readonly kind: "invalid"; readonly reason: string };

export interface AuditRow {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: "create" | "update" | "delete";
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly resellerId: string;
  readonly tenantId: string;
  readonly changes: unknown;
}

export interface UsageRow {
  readonly day: string;
  readonly resellerId: string;
  readonly tenantId: string;
  readonly calls: number;
  readonly callSeconds: number;
  readonly costMicros: number;
  readonly costMicrosByProvider: Readonly<Record<string, number>>;
}

/** `false`: an etag was given and is not the row's. `null`: no such row within the scope. */
export type Updated<Row> = Row | false | null;

export interface StoreTransaction {
  readonly resellers: {
    get(id: string): Promise<ResellerRow | null>;
    list(page: PageRequest): Promise<Page<ResellerRow>>;
    /** null: the id is taken. */
    create(row: Omit<ResellerRow, "etag" | "createdAt" | "updatedAt">): Promise<ResellerRow | null>;
    update(
      id: string,
      etag: string,
      changes: Partial<Pick<ResellerRow, "name" | "branding" | "limits" | "suspended">>,
    ): Promise<Updated<ResellerRow>>;
    /** "inUse": it has tenants. */
    delete(id: string, etag: string): Promise<Updated<true> | "inUse">;
  };
  readonly apiKeys: {
    /** `hash`: SHA-256 of the whole key. */
    create(row: Omit<ApiKeyRow, "createdAt" | "lastUsedAt" | "revokedAt">, hash: Buffer): Promise<ApiKeyRow>;
    get(id: string): Promise<ApiKeyRow | null>;
    list(resellerId: string | null, page: PageRequest): Promise<Page<ApiKeyRow>>;
    /** Any scope; the only way in without one. Includes revoked and expired ones: the caller looks. */
    byPrefix(
      prefix: string,
    ): Promise<readonly (ApiKeyRow & { readonly hash: Buffer; readonly resellerSuspended: boolean })[]>;
    setExpiry(id: string, expiresAt: Date): Promise<ApiKeyRow | null>;
    revoke(id: string): Promise<ApiKeyRow | null>;
    /** To the minute; not audited. */
    noteUse(uses: ReadonlyMap<string, Date>): Promise<void>;
  };
  readonly tenants: {
    get(id: string): Promise<TenantRow | null>;
    list(
      filter: { readonly resellerId?: string; readonly query?: string },
      page: PageRequest,
    ): Promise<Page<TenantRow>>;
    /** "taken": the id is; "limit": the reseller has as many as it may; null: no such reseller within the scope. */
    create(row: {
      readonly id: string;
      readonly resellerId: string;
      readonly suspended: boolean;
      readonly config: StoredTenantConfig;
    }): Promise<TenantRow | "taken" | "limit" | null>;
    update(
      id: string,
      etag: string,
      changes: { readonly suspended?: boolean; readonly config?: StoredTenantConfig },
    ): Promise<Updated<TenantRow>>;
    delete(id: string, etag: string): Promise<Updated<true>>;
    versions(
      id: string,
      page: PageRequest,
    ): Promise<
      Page<{ readonly version: number; readonly config: StoredTenantConfig; readonly createdAt: Date }>
    >;
    /** Ids changed (row or null when gone) after a change number, ascending, and the last number; for watchers. */
    changesAfter(
      changeNumber: number,
      limit: number,
    ): Promise<{
      readonly changes: readonly { readonly tenantId: string; readonly row: TenantRow | null }[];
      readonly lastChange: number;
    }>;
    lastChange(): Promise<number>;
  };
  readonly secrets: {
    /** false: no such tenant. */
    set(tenantId: string, name: string, value: string): Promise<boolean>;
    names(tenantId: string): Promise<readonly { readonly name: string; readonly updatedAt: Date }[] | null>;
    /** In clear. @throws LumentraError SECRET_KEY_MISSING */
    all(tenantId: string): Promise<Readonly<Record<string, string>> | null>;
    delete(tenantId: string, name: string): Promise<boolean>;
    /** Encrypts up to `limit` secrets of the ring's older keys again with its first; how many it did. */
    rotate(limit: number): Promise<number>;
  };
  readonly phoneNumbers: {
    get(number: string): Promise<PhoneNumberRow | null>;
    list(filter: { readonly tenantId?: string }, page: PageRequest): Promise<Page<PhoneNumberRow>>;
    /** "taken": by whomever; null: no such tenant within the scope. */
    create(row: {
      readonly number: string;
      readonly tenantId: string;
      readonly label: string;
    }): Promise<PhoneNumberRow | "taken" | null>;
    /** "noTenant": the new tenant is not of the same reseller, or not within the scope. */
    update(
      number: string,
      etag: string,
      changes: { readonly tenantId: string; readonly label: string },
    ): Promise<Updated<PhoneNumberRow> | "noTenant">;
    delete(number: string, etag: string): Promise<Updated<true>>;
  };
  readonly calls: {
    get(id: string): Promise<CallRow | null>;
    /** Newest first. */
    list(filter: CallFilter, page: PageRequest): Promise<Page<CallRow>>;
    /**
     * From now on nothing is written under an older epoch: a new owner reads the journal after this, or what the old
     * one still wrote would take the sequences of its own events. The epoch in force; null: no such call.
     */
    fence(callId: string, epoch: number): Promise<number | null>;
    /** Ascending, at most limit. null: no such call within the scope. */
    journal(callId: string, fromSequence: number, limit: number): Promise<readonly JournalEvent[] | null>;
    /**
     * Stores what is new of a batch, in one transaction with the call's row and, at its end, the usage. Repeats are
     * fine. `epoch` newer than the row's moves the row on (and node_id with it); older is refused.
     */
    append(
      callId: string,
      epoch: number,
      nodeId: string,
      events: readonly JournalEvent[],
    ): Promise<AppendVerdict>;
    /**
     * Nobody renewed its lease: live → suspended. From suspended, when `final`, → ended with this outcome, though
     * a late journal of the same epoch may still complete it. Null: no such call, or a newer epoch, or ended.
     */
    lose(callId: string, epoch: number, final: boolean, outcome: string): Promise<CallRow | null>;
    /** Suspended calls that nobody resumed since. */
    suspendedBefore(instant: Date, limit: number): Promise<readonly CallRow[]>;
    /** Removes calls past their tenant's retention; how many. */
    purge(limit: number): Promise<number>;
  };
  readonly usage: {
    query(
      filter: {
        readonly resellerId?: string;
        readonly tenantId?: string;
        readonly fromDay: string;
        readonly toDay: string;
      },
      grouping: "tenantDay" | "tenant" | "resellerDay" | "reseller",
      page: PageRequest,
    ): Promise<Page<UsageRow>>;
  };
  readonly audit: {
    /** Newest first. */
    list(
      filter: {
        readonly resellerId?: string;
        readonly tenantId?: string;
        readonly resourceKind?: string;
        readonly resourceId?: string;
      },
      page: PageRequest,
    ): Promise<Page<AuditRow>>;
    /** For what is not a row here: a node's drain, a call that is hung up. A reseller notes for itself alone. */
    note(entry: {
      readonly action: "create" | "update" | "delete";
      readonly resourceKind: string;
      readonly resourceId: string;
      /** Whose; nobody's when not given. */
      readonly resellerId?: string;
      readonly tenantId?: string;
      readonly changes: unknown;
    }): Promise<void>;
  };
  readonly requests: {
    /**
     * Idempotency: the answer stored under this id by this principal within a day, null when there is none, "reused"
     * when it was for another request (by fingerprint). Takes a lock: a twin in flight waits for the first.
     */
    recall(
      principal: string,
      requestId: string,
      fingerprint: string,
    ): Promise<{ readonly answer: unknown } | "reused" | null>;
    remember(principal: string, requestId: string, fingerprint: string, answer: unknown): Promise<void>;
  };
}

export interface Store {
  /** Runs `work` in one transaction with the scope's rights; its error rolls everything back. Serialization conflicts are retried. */
  transaction<Result>(
    scope: Scope,
    actor: Actor,
    work: (tx: StoreTransaction) => Promise<Result>,
  ): Promise<Result>;
  /** Calls back soon after tenants changed, by whichever control plane (LISTEN/NOTIFY); a hint to call changesAfter. */
  onTenantsChanged(listener: () => void): () => void;
  /** Partitions for this month and the next, purge, rotation; every control plane calls it hourly, one does the work. */
  maintain(): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
