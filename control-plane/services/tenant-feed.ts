/**
 * Changes of tenants, to whoever watches: one reader per process follows the store, and every watcher gets from it what
 * is in its scope.
 *
 * A watcher: registered -> telling the state (what happens meanwhile waits) -> following. It ends when its stream does.
 *
 * Invariants
 * F1 A watcher misses nothing: it is registered before its state is read, and what changes in between comes after it.
 * F2 A watcher is told of tenants in its scope alone, and of a deletion only when the tenant had been in it.
 * F3 What waits for a watcher is bounded; one that does not read is ended (WATCHER_TOO_SLOW), the others never wait.
 * F4 A resume token is the change number up to which the watcher has been told everything.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { WatchTenantsRequest__Output, WatchTenantsResponse } from "#proto";
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { codeOf } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type { Caller } from "../server/caller.js";
import type { ControlPlaneMetrics } from "../server/metrics.js";
import type { Store, StoreTransaction, TenantRow } from "../store/store.js";
import { tenantToMessage } from "./convert.js";

/** F3. Ten times the changes of a busy second, each of some KB. */
const QUEUE_MAX = 1_000;
/** Rows per query, of the state and of changes. */
const BATCH = 500;
/** A notification is a hint and may be lost with its connection: the reader looks by itself this often. */
const POLL_MS = 5_000;
/** Deletions are kept for seven days; a token must not outlive them. */
const TOKEN_LIFE_MS = 6 * 86_400_000;

type Stream = ServerWritableStream<WatchTenantsRequest__Output, WatchTenantsResponse>;

interface Change {
  readonly tenantId: string;
  readonly row: TenantRow | null;
  /** F4. After this message. */
  readonly number: number;
}

export interface TenantFeedOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ControlPlaneMetrics;
  /** Seals resume tokens; of all control planes the same. */
  readonly key: Buffer;
  /** Changes that may wait for one watcher. @default QUEUE_MAX */
  readonly queueMax?: number;
}

export class TenantFeed {
  readonly #options: TenantFeedOptions;
  readonly #watchers = new Set<Watcher>();
  readonly #unsubscribe: () => void;
  /** The change up to which the reader has read; null until it has looked once. */
  #last: number | null = null;
  #reading: Promise<void> | null = null;
  #isStale = false;
  #poll: TimerHandle | null = null;
  #isClosed = false;

  constructor(options: TenantFeedOptions) {
    this.#options = options;
    this.#unsubscribe = options.store.onTenantsChanged(() => this.#look());
    this.#schedule();
  }

  /** Resolves when the watcher is gone. @throws LumentraError PAGE_TOKEN_INVALID, WATCHER_TOO_SLOW, STORE_UNAVAILABLE */
  async watch(call: Stream, caller: Caller): Promise<void> {
    const from = this.#openToken(call.request.resumeToken);
    const watcher = new Watcher(
      call,
      caller,
      (number) => this.#sealToken(number),
      this.#options.queueMax ?? QUEUE_MAX,
    );
    const { metrics } = this.#options;
    await this.#catchUp();
    this.#watchers.add(watcher); // F1
    metrics.tenantWatchers.set(this.#watchers.size);
    try {
      const start = this.#last!;
      if (from === null) await this.#tellState(watcher, caller, true);
      else {
        if (watcher.isFiltered) await this.#tellState(watcher, caller, false);
        await this.#tellChanges(watcher, caller, from, start);
      }
      watcher.synced(start);
      await watcher.ended;
    } catch (error) {
      if (codeOf(error) === "WATCHER_TOO_SLOW") metrics.tenantWatchersDropped.inc();
      throw error;
    } finally {
      this.#watchers.delete(watcher);
      metrics.tenantWatchers.set(this.#watchers.size);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#poll?.cancel();
  }

  /** Everything in the caller's scope; or, for one that has it already, only what it has (F2). */
  async #tellState(watcher: Watcher, caller: Caller, isTold: boolean): Promise<void> {
    let after: readonly string[] | null = null;
    do {
      const page = await this.#options.store.transaction(caller.scope, caller.actor, (tx) =>
        tx.tenants.list({}, { size: BATCH, after }),
      );
      for (const row of page.rows) {
        watcher.has(row.id);
        if (isTold) await watcher.tell({ changed: tenantToMessage(row), resumeToken: "" });
      }
      after = page.next;
    } while (after !== null && !watcher.isOver);
  }

  async #tellChanges(watcher: Watcher, caller: Caller, from: number, until: number): Promise<void> {
    let number = from;
    while (number < until && !watcher.isOver) {
      const { changes, lastChange } = await this.#options.store.transaction(
        caller.scope,
        caller.actor,
        (tx) => tx.tenants.changesAfter(number, BATCH),
      );
      for (const { tenantId, row } of changes) {
        watcher.has(tenantId);
        await watcher.tell({ ...eventOf(tenantId, row), resumeToken: this.#sealToken(number) });
      }
      if (changes.length < BATCH || lastChange <= number) return;
      number = lastChange;
    }
  }

  /** The reader looks once more, so that what the state will hold is not told again as a change. */
  async #catchUp(): Promise<void> {
    this.#look();
    await this.#reading;
    if (this.#last === null) throw new LumentraError("STORE_UNAVAILABLE", "tenants cannot be read");
  }

  #look(): void {
    if (this.#isClosed) return;
    this.#isStale = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
  }

  /** Never rejects. A hint that comes while it reads makes it read again. */
  async #read(): Promise<void> {
    try {
      while (this.#isStale && !this.#isClosed) {
        this.#isStale = false;
        if (this.#last === null) {
          this.#last = await this.#system((tx) => tx.tenants.lastChange());
          continue;
        }
        const from = this.#last;
        const { changes, lastChange } = await this.#system((tx) => tx.tenants.changesAfter(from, BATCH));
        for (const [index, { tenantId, row }] of changes.entries()) {
          const isLast = index === changes.length - 1;
          const change = { tenantId, row, number: isLast ? lastChange : from };
          for (const watcher of this.#watchers) watcher.offer(change);
        }
        this.#last = Math.max(from, lastChange);
        if (changes.length === BATCH) this.#isStale = true;
      }
    } catch (error) {
      this.#options.log.warn({ error }, "changes of tenants could not be read; they are looked for again");
    }
  }

  #system<Result>(work: (tx: StoreTransaction) => Promise<Result>): Promise<Result> {
    return this.#options.store.transaction({ kind: "system" }, "system", work);
  }

  #schedule(): void {
    this.#poll = this.#options.clock.setTimer(POLL_MS, () => {
      this.#look();
      this.#schedule();
    });
  }

  #sealToken(number: number): string {
    const text = `${number}.${this.#options.clock.unixMs()}`;
    return `${text}.${this.#seal(text)}`;
  }

  /** @throws LumentraError PAGE_TOKEN_INVALID */
  #openToken(token: string): number | null {
    if (token === "") return null;
    const [, text, number, unixMs, seal] = /^((\d{1,15})\.(\d{1,15}))\.([\w-]{22})$/.exec(token) ?? [];
    const isOurs = text !== undefined && timingSafeEqual(Buffer.from(seal!), Buffer.from(this.#seal(text)));
    if (!isOurs || Number(unixMs) < this.#options.clock.unixMs() - TOKEN_LIFE_MS) {
      throw new LumentraError(
        "PAGE_TOKEN_INVALID",
        "the resume token is not one of ours, or too old; start without",
      );
    }
    return Number(number);
  }

  #seal(text: string): string {
    const seal = createHmac("sha256", this.#options.key).update(text).digest();
    return seal.subarray(0, 16).toString("base64url");
  }
}

class Watcher {
  readonly #call: Stream;
  readonly #sealToken: (number: number) => string;
  /** Null: sees every tenant. */
  readonly #resellerId: string | null;
  /** F2. Tenants in its scope; of no use to one who sees all. */
  readonly #told = new Set<string>();
  readonly #queueMax: number;
  #isSynced = false;
  #queue: Change[] = [];
  #isFull = false;
  #isOver = false;
  readonly ended: Promise<void>;
  #end: () => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(call: Stream, caller: Caller, sealToken: (number: number) => string, queueMax: number) {
    this.#call = call;
    this.#queueMax = queueMax;
    this.#sealToken = sealToken;
    this.#resellerId = caller.scope.kind === "reseller" ? caller.scope.resellerId : null;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // It may fail while the state is still being told, when nobody waits for it yet.
    this.ended.catch(() => {});
    const end = (): void => {
      this.#isOver = true;
      this.#end();
    };
    if (caller.signal.aborted) end();
    else caller.signal.addEventListener("abort", end, { once: true });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isFiltered(): boolean {
    return this.#resellerId !== null;
  }

  has(tenantId: string): void {
    if (this.isFiltered) this.#told.add(tenantId);
  }

  /** Waits until the stream takes more. @throws LumentraError WATCHER_TOO_SLOW */
  async tell(message: WatchTenantsResponse): Promise<void> {
    if (this.#isOver) return this.ended;
    if (this.#call.write(message)) return;
    await Promise.race([this.ended, new Promise<void>((resolve) => this.#call.once("drain", resolve))]);
  }

  /** The state up to `number` has been told; what waited follows. */
  synced(number: number): void {
    this.#send({ synced: {}, resumeToken: this.#sealToken(number) });
    this.#isSynced = true;
    this.#flush();
  }

  /** F3. Never waits. */
  offer(change: Change): void {
    if (this.#isOver) return;
    if (this.isFiltered && change.row !== null && change.row.resellerId !== this.#resellerId) return; // F2
    this.#queue.push(change);
    if (this.#queue.length > this.#queueMax) {
      this.#queue = [];
      this.#isOver = true;
      this.#fail(new LumentraError("WATCHER_TOO_SLOW", `${this.#queueMax} changes waited to be read`));
      return;
    }
    this.#flush();
  }

  #flush(): void {
    if (!this.#isSynced) return;
    while (this.#queue.length > 0 && !this.#isFull && !this.#isOver) {
      const { tenantId, row, number } = this.#queue.shift()!;
      // F2. Looked up only now: while the state was being told, it was not known yet what the watcher has.
      if (row === null && this.isFiltered && !this.#told.delete(tenantId)) continue;
      if (row !== null) this.has(tenantId);
      this.#send({ ...eventOf(tenantId, row), resumeToken: this.#sealToken(number) });
    }
  }

  #send(message: WatchTenantsResponse): void {
    if (this.#isOver || this.#call.write(message)) return;
    this.#isFull = true;
    this.#call.once("drain", () => {
      this.#isFull = false;
      this.#flush();
    });
  }
}

function eventOf(tenantId: string, row: TenantRow | null): WatchTenantsResponse {
  return row === null ? { deleted: tenantId } : { changed: tenantToMessage(row) };
}
