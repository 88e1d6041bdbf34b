/**
 * Calls as they begin, change and end, for all who watch more than one: rows are read once for all watchers.
 *
 * Invariants
 * K1 A row that was hinted at is read after the hint, never before; hints of one call that come together cost one read.
 * K2 Hints may be lost: every RELIST_MS all calls that go on are listed and compared with what was told, so a watcher
 *    misses no state for longer than that.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { CallRow, CallState, Page, Store } from "../store/store.js";
import type { CallHint, CallHints } from "./call-hints.js";

/** Hints of a tenth of a second are read together: a live call has an event or two a second. */
const GATHER_MS = 100;
const ROWS_PER_READ = 200;
/** Calls hinted at and not read yet; beyond it the list finds them (K2). */
const DIRTY_MAX = 10_000;
const RELIST_MS = 10_000;
const ROWS_PER_PAGE = 500;
const GOING_ON: readonly CallState[] = ["live", "suspended"];

export interface CallsWatch {
  /** Null: of all tenants. */
  readonly tenantId: string | null;
  /** Whether a row is this watcher's to see. */
  sees(row: Pick<CallRow, "tenantId" | "resellerId">): boolean;
  tell(row: CallRow): void;
}

interface Told {
  readonly nextSequence: number;
  readonly state: CallState;
}

export class CallsFeed {
  readonly #store: Store;
  readonly #hints: CallHints;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #relistMs: number;
  readonly #watches = new Set<CallsWatch>();
  readonly #dirty = new Set<string>();
  /** What watchers know of the calls that go on (K2). */
  readonly #told = new Map<string, Told>();
  #gatherTimer: TimerHandle | null = null;
  #relistTimer: TimerHandle | null = null;
  #isReading = false;

  constructor(options: {
    readonly store: Store;
    readonly hints: CallHints;
    readonly clock: Clock;
    readonly log: Logger;
    /** @default RELIST_MS */
    readonly relistMs?: number | undefined;
  }) {
    this.#store = options.store;
    this.#hints = options.hints;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#relistMs = options.relistMs ?? RELIST_MS;
  }

  /** A watcher was told this of the store itself: should it change without a hint, K2 finds it. */
  told(row: CallRow): void {
    const known = this.#told.get(row.id);
    if (row.state !== "ended" && (known === undefined || known.nextSequence < row.nextSequence))
      this.#told.set(row.id, { nextSequence: row.nextSequence, state: row.state });
  }

  /** The returned function ends it. */
  async watch(watch: CallsWatch): Promise<() => void> {
    this.#watches.add(watch);
    this.#relistTimer ??= this.#clock.setTimer(this.#relistMs, () => this.#relist());
    const forget = await this.#hints.listen(watch.tenantId, (hint) => {
      if (watch.sees(hint)) this.#note(hint);
    });
    return () => {
      forget();
      this.#watches.delete(watch);
      if (this.#watches.size > 0) return;
      this.#relistTimer?.cancel();
      this.#gatherTimer?.cancel();
      this.#relistTimer = null;
      this.#gatherTimer = null;
      this.#dirty.clear();
      this.#told.clear();
    };
  }

  #note({ callId }: Pick<CallHint, "callId">): void {
    if (this.#dirty.size >= DIRTY_MAX) return;
    this.#dirty.add(callId);
    this.#gatherTimer ??= this.#clock.setTimer(GATHER_MS, () => {
      this.#gatherTimer = null;
      this.#readDirty();
    });
  }

  #readDirty(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#readAllDirty()
      .catch((error: unknown) =>
        this.#log.warn({ error }, "watched calls could not be read; the next look finds them"),
      )
      .finally(() => {
        this.#isReading = false;
      });
  }

  async #readAllDirty(): Promise<void> {
    while (this.#dirty.size > 0 && this.#watches.size > 0) {
      const callIds = [...this.#dirty].slice(0, ROWS_PER_READ);
      for (const callId of callIds) this.#dirty.delete(callId); // before the read (K1)
      const rows = await this.#store.transaction({ kind: "system" }, "system", async (tx) => {
        const found: CallRow[] = [];
        for (const callId of callIds) {
          const row = await tx.calls.get(callId);
          if (row !== null) found.push(row);
          else this.#told.delete(callId);
        }
        return found;
      });
      for (const row of rows) this.#tell(row);
    }
  }

  #tell(row: CallRow): void {
    if (row.state === "ended") this.#told.delete(row.id);
    else this.#told.set(row.id, { nextSequence: row.nextSequence, state: row.state });
    for (const watch of this.#watches) if (watch.sees(row)) watch.tell(row);
  }

  #relist(): void {
    void this.#compare()
      .catch((error: unknown) => this.#log.warn({ error }, "watched calls could not be listed; trying again"))
      .finally(() => {
        this.#relistTimer =
          this.#watches.size === 0 ? null : this.#clock.setTimer(this.#relistMs, () => this.#relist());
      });
  }

  async #compare(): Promise<void> {
    const gone = new Set(this.#told.keys());
    for (const state of GOING_ON) {
      for await (const row of listCalls(this.#store, state)) {
        gone.delete(row.id);
        const told = this.#told.get(row.id);
        if (told?.nextSequence !== row.nextSequence || told.state !== row.state) this.#tell(row);
      }
    }
    for (const callId of gone) this.#note({ callId });
  }
}

async function* listCalls(store: Store, state: CallState): AsyncGenerator<CallRow> {
  let after: readonly string[] | null = null;
  do {
    const from: readonly string[] | null = after;
    const page: Page<CallRow> = await store.transaction({ kind: "system" }, "system", (tx) =>
      tx.calls.list({ state }, { size: ROWS_PER_PAGE, after: from }),
    );
    yield* page.rows;
    after = page.next;
  } while (after !== null);
}

/** Rows told that a watcher has not read. */
const UNREAD_ROWS_MAX = 2_000;

/** @throws LumentraError WATCHER_TOO_SLOW */
export function requireRoom(unread: number): void {
  if (unread >= UNREAD_ROWS_MAX)
    throw new LumentraError("WATCHER_TOO_SLOW", `${UNREAD_ROWS_MAX} changes were not read`);
}
