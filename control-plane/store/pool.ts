/**
 * Connections to Postgres, and transactions that carry who asks.
 *
 * P1 Every statement runs in a transaction whose scope was set before it; the settings end with the transaction.
 * P2 Every wait has a bound: for a connection, a lock, a statement, an idle transaction, a goodbye.
 * P3 A conflict that Postgres says to try again is tried again, a few times.
 * P4 The wait for a connection is of time in which this process ran: one that stood still looks at its sockets, where
 *    the answers are, before it calls Postgres busy.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type ClientBase, type ClientConfig, type CustomTypesConfig, Pool, type PoolClient, types } from "pg";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { Actor, Scope } from "./store.js";

/** Longer than any RPC may take. */
const STATEMENT_TIMEOUT_MS = 15_000;
const LOCK_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000;
/** Below the shortest deadline of an RPC, so that what comes back says what was missing. */
const CONNECT_TIMEOUT_MS = 2_000;
/** P4: that wait in ticks. Those that are missed while nothing runs are not made up for. */
const TICK_MS = 100;
/** Of the twenty; a timer's own lateness is no standstill. */
const TICKS_MIN = 15;
const IDLE_TIMEOUT_MS = 30_000;
/** What the server's own timeout has beyond it before we stop waiting: it, or the way to it, is gone without a word. */
const SILENCE_MS = 2_000;
/** A goodbye takes a round trip; what is left of the sockets after it goes with the process. */
const CLOSE_MS = 1_000;
const ATTEMPTS_MAX = 4;
const FIRST_BACKOFF_MS = 10;

/** serialization_failure, deadlock_detected. */
const CONFLICTS = new Set(["40001", "40P01"]);

export interface PoolOptions {
  readonly url: string;
  /** @default 20 */
  readonly connections?: number;
  /** A statement's time, in ms. @default 15,000 */
  readonly statementTimeoutMs?: number;
  readonly log: Logger;
}

// 64-bit integers are numbers here: none of ours exceeds 2^53. Dates stay as they are written.
const TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: TypeId, format?: "text") => {
    if (oid === types.builtins.INT8) return Number;
    if (oid === types.builtins.DATE) return String;
    return types.getTypeParser(oid, format);
  }) as typeof types.getTypeParser,
};
type TypeId = Parameters<typeof types.getTypeParser>[0];

export class ScopedPool {
  readonly #pool: Pool;

  constructor({ url, connections = 20, statementTimeoutMs = STATEMENT_TIMEOUT_MS, log }: PoolOptions) {
    this.#pool = new Pool({
      connectionString: url,
      max: connections,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + SILENCE_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      application_name: "lumentra",
      types: TYPES,
    });
    // An idle connection that broke: the pool drops it and says so here.
    this.#pool.on("error", (error) => log.warn({ err: error }, "a connection to Postgres was lost"));
  }

  /** @throws LumentraError STORE_UNAVAILABLE, and whatever `work` throws */
  async transaction<Result>(
    scope: Scope,
    actor: Actor,
    work: (client: ClientBase) => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(scope, actor, work);
      } catch (error) {
        if (attempt === ATTEMPTS_MAX || !CONFLICTS.has(codeOf(error))) throw asStoreError(error);
        await sleep(FIRST_BACKOFF_MS * 2 ** attempt * Math.random());
      }
    }
  }

  async #once<Result>(
    scope: Scope,
    actor: Actor,
    work: (client: ClientBase) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#connect();
    // A session that breaks between two statements says so here; the next statement fails by itself.
    let broken: Error | undefined;
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on("error", onError);
    try {
      await client.query("BEGIN");
      await client.query(
        `SELECT set_config('lumentra.scope', $1, true), set_config('lumentra.reseller_id', $2, true),
                set_config('lumentra.tenant_id', $3, true), set_config('lumentra.actor', $4, true)`,
        [
          scope.kind,
          scope.kind === "reseller" ? scope.resellerId : "",
          scope.kind === "tenant" ? scope.tenantId : "",
          actor,
        ],
      );
      const result = await work(client);
      await client.query("COMMIT");
      return result;
    } catch (error) {
      // Nothing was heard of it: neither will be of a ROLLBACK, and the session must not be used again.
      if (isSilence(error)) {
        broken = error as Error;
        throw error;
      }
      await client.query("ROLLBACK").catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.off("error", onError);
      client.release(broken);
    }
  }

  /** P4. Each try that is followed by another has ticked at least once: there are TICKS_MIN of them at most. */
  async #connect(): Promise<PoolClient> {
    let tickCount = 0;
    const ticks = setInterval(() => tickCount++, TICK_MS);
    try {
      for (;;) {
        try {
          return await this.#pool.connect();
        } catch (error) {
          // Timers come before sockets in a turn of the loop, and immediates after both.
          await new Promise((resolve) => setImmediate(resolve));
          if (!isConnectTimeout(error) || tickCount >= TICKS_MIN) throw error;
          tickCount++;
        }
      }
    } finally {
      clearInterval(ticks);
    }
  }

  async ping(): Promise<void> {
    try {
      await this.#pool.query("SELECT 1");
    } catch (error) {
      throw asStoreError(error);
    }
  }

  /** A connection of its own, outside transactions: for LISTEN. */
  get connectionOptions(): ClientConfig {
    return { ...this.#pool.options, statement_timeout: 0, query_timeout: 0 };
  }

  /** P2 */
  close(): Promise<void> {
    return closedInTime(this.#pool.end());
  }
}

/** Resolves when it is closed, or when a server that is gone without a word has been waited for: CLOSE_MS. */
export async function closedInTime(closing: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS);
  });
  await Promise.race([closing, waited]).finally(() => clearTimeout(timer));
}

/** Of `query_timeout`, which has no code. */
function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}

/** No connection was free, or none could be made, in CONNECT_TIMEOUT_MS. */
function isConnectTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    /timeout exceeded when trying to connect|due to connection timeout|timeout expired/.test(error.message)
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** A lock that was not had in time, a statement or a transaction that took too long. */
const TIMEOUTS = new Set(["55P03", "57014", "25P03"]);

/** What says that the server is away, restarting, full or busy becomes ours; the rest stays what it is. */
function asStoreError(error: unknown): unknown {
  if (error instanceof LumentraError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  const isAway =
    isSilence(error) ||
    TIMEOUTS.has(code) ||
    /^(57P0|08|53)/.test(code) ||
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH|EAI_AGAIN)/.test(code) ||
    /timeout exceeded when trying to connect|Connection terminated|not queryable|Client was closed/i.test(
      error.message,
    );
  if (!isAway) return error;
  return new LumentraError("STORE_UNAVAILABLE", "Postgres cannot be reached, or is busy", { cause: error });
}
