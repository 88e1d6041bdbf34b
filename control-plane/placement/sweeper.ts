/**
 * Finds the calls that nobody owns any more: leases that nobody renewed, suspended calls that nobody resumed, and rows
 * that say "live" of a call the directory has never heard of (it lost its memory while the owner was dead).
 *
 * Stages of a lost call: its lease expires, it is suspended; the resume grace passes, it is ended as nodeLost, though
 * the dead node's spool may still complete its journal. One whose own journal says that its leg was lost, and that came to
 * nobody since, is ended as legLost, wherever it was placed.
 *
 * Invariants
 * W1 A lease is taken out once, by one control plane, and what it owes the store is kept until the store has it.
 * W2 Should that control plane die in between, the look through live rows finds the call: two looks in a row without
 *    a lease make it lost.
 * W3 A suspended call whose owner still holds its lease is that owner's to end; only when he had four graces and did
 *    not, it is ended here.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { Directory, Lease } from "../directory/directory.js";
import type { CallRow, Store, StoreTransaction } from "../store/store.js";

/** Leases live for seconds: a second more is not noticed. */
const SWEEP_MS = 1_000;
/** A node at its largest is about 1,000 calls: ten questions. */
const LEASES_PER_TAKE = 100;
const TAKES_PER_SWEEP = 50;
/** Owed to the store while Postgres is away; beyond it the look through live rows finds them again (W2). */
const OWED_MAX = 10_000;
const SUSPENDED_PER_SWEEP = 200;
/** W2. Longer than a directory takes to be told everything again. */
const RECONCILE_MS = 30_000;
const ROWS_PER_PAGE = 500;
/** A sweep under way when all ends: longer than a transaction takes of a Postgres that answers. */
const CLOSE_MS = 1_000;
/** W3. */
const OWNED_GRACES = 4;

export interface SweeperOptions {
  readonly directory: Directory;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a suspended call may be resumed, ms. */
  readonly resumeGraceMs: number;
  /** A call was suspended or ended here. */
  readonly onLost: (call: CallRow) => void;
  /** @default 1 s */
  readonly sweepMs?: number;
  /** @default 30 s */
  readonly reconcileMs?: number;
}

/** For metrics; counts since the start. */
export interface SweeperStats {
  /** Reservations whose media never came. */
  readonly reservationsExpired: number;
  readonly leasesExpired: number;
  readonly callsSuspended: number;
  readonly callsEnded: number;
  /** Live rows that had no lease. */
  readonly callsReconciled: number;
  readonly failures: number;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #stats = {
    reservationsExpired: 0,
    leasesExpired: 0,
    callsSuspended: 0,
    callsEnded: 0,
    callsReconciled: 0,
    failures: 0,
  };
  /** Expired leases that the store does not know of yet (W1). */
  #owed: { readonly callId: string; readonly epoch: number }[] = [];
  /** Live rows that had no lease at the last look (W2). */
  #missing = new Set<string>();
  #reconciledAtMs: number;
  #running: Promise<void> | null = null;
  #timer: TimerHandle | null = null;
  #isClosed = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#reconciledAtMs = options.clock.nowMs();
  }

  get stats(): SweeperStats {
    return { ...this.#stats };
  }

  start(): void {
    const { clock, sweepMs = SWEEP_MS } = this.#options;
    if (this.#isClosed) return;
    this.#timer = clock.setTimer(sweepMs, () => void this.sweep().finally(() => this.start()));
  }

  /**
   * Ends with the step under way of a sweep, or without its end where a Postgres that is away would keep it waiting: a shutdown
   * has other things to wait for. What was still owed is found again (W2).
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const running = this.#running;
    if (running === null) return;
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.setTimer(CLOSE_MS, resolve);
      void running.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** One sweep now, or the one under way. Never rejects: what fails is counted, logged and tried again. */
  sweep(): Promise<void> {
    this.#running ??= this.#sweepOnce().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #sweepOnce(): Promise<void> {
    const { clock, reconcileMs = RECONCILE_MS } = this.#options;
    await this.#attempt("take expired leases", () => this.#takeExpired());
    await this.#attempt("suspend lost calls", () => this.#payOwed());
    await this.#attempt("end suspended calls", () => this.#endSuspended());
    if (this.#isClosed || clock.nowMs() - this.#reconciledAtMs < reconcileMs) return;
    this.#reconciledAtMs = clock.nowMs();
    await this.#attempt("look through live calls", () => this.#reconcile());
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) return;
    try {
      await work();
    } catch (error) {
      if (this.#isClosed) return; // what it asks is closed behind it
      this.#stats.failures++;
      this.#options.log.warn({ error }, `sweeper: could not ${what}; trying again`);
    }
  }

  async #takeExpired(): Promise<void> {
    for (let take = 0; take < TAKES_PER_SWEEP; take++) {
      const leases = await this.#options.directory.takeExpired(LEASES_PER_TAKE);
      for (const lease of leases) this.#note(lease);
      if (leases.length < LEASES_PER_TAKE) return;
    }
  }

  #note({ callId, epoch, nodeId, live }: Lease): void {
    const { log } = this.#options;
    if (!live) {
      this.#stats.reservationsExpired++;
      log.info({ callId, nodeId }, "a placed call's media never came");
      return;
    }
    this.#stats.leasesExpired++;
    log.warn({ callId, nodeId, epoch }, "nobody renewed a call's lease");
    if (this.#owed.length < OWED_MAX) this.#owed.push({ callId, epoch });
  }

  async #payOwed(): Promise<void> {
    while (this.#owed.length > 0 && !this.#isClosed) {
      const { callId, epoch } = this.#owed[0]!;
      await this.#lose(callId, epoch, false); // throws: it stays owed
      this.#owed.shift();
    }
  }

  async #endSuspended(): Promise<void> {
    const { directory, clock, resumeGraceMs } = this.#options;
    const suspendedFor = (graces: number): Promise<readonly CallRow[]> =>
      this.#inStore((tx) =>
        tx.calls.suspendedBefore(new Date(clock.unixMs() - graces * resumeGraceMs), SUSPENDED_PER_SWEEP),
      );
    for (const call of await suspendedFor(OWNED_GRACES)) await this.#end(call);
    for (const call of await suspendedFor(1)) {
      if ((await directory.lookUp(call.id)) === null) await this.#end(call); // W3
    }
  }

  async #reconcile(): Promise<void> {
    const missing = new Set<string>();
    let after: readonly string[] | null = null;
    do {
      const page: { rows: readonly CallRow[]; next: readonly string[] | null } = await this.#inStore((tx) =>
        tx.calls.list({ state: "live" }, { size: ROWS_PER_PAGE, after }),
      );
      for (const call of page.rows) {
        if ((await this.#options.directory.lookUp(call.id)) !== null) continue;
        if (!this.#missing.has(call.id)) missing.add(call.id);
        else {
          this.#stats.callsReconciled++;
          await this.#lose(call.id, call.epoch, false);
        }
      }
      after = page.next;
    } while (after !== null && !this.#isClosed);
    this.#missing = missing;
  }

  async #end({ id, epoch, lost }: CallRow): Promise<void> {
    if (this.#isClosed) return;
    return this.#lose(id, epoch, true, lost ? "nodeLost" : "legLost");
  }

  async #lose(
    callId: string,
    epoch: number,
    final: boolean,
    outcome: "nodeLost" | "legLost" = "nodeLost",
  ): Promise<void> {
    const call = await this.#inStore((tx) => tx.calls.lose(callId, epoch, final, outcome));
    if (call === null) return;
    if (final) this.#stats.callsEnded++;
    else this.#stats.callsSuspended++;
    this.#options.log.info({ callId, final }, final ? "a lost call was not resumed" : "a call is suspended");
    this.#options.onLost(call);
  }

  #inStore<Result>(work: (tx: StoreTransaction) => Promise<Result>): Promise<Result> {
    return this.#options.store.transaction({ kind: "system" }, "system", work);
  }
}
