/** The store over Postgres: each transaction gets the repositories on its own connection. */
import type { ClientBase } from "pg";
import type { Logger } from "#runtime/telemetry";
import { apiKeyRepository } from "./api-keys.js";
import { auditRepository } from "./audit.js";
import { callsRepository } from "./calls.js";
import { KeyRing } from "./encryption.js";
import { phoneNumberRepository } from "./phone-numbers.js";
import { ScopedPool } from "./pool.js";
import { REQUEST_KEPT, requestRepository } from "./requests.js";
import { resellerRepository } from "./resellers.js";
import { secretRepository } from "./secrets.js";
import type { Store, StoreTransaction } from "./store.js";
import { TenantListener } from "./tenant-listener.js";
import { tenantRepository } from "./tenants.js";
import { usageRepository } from "./usage.js";

/** Rows that one transaction of the upkeep removes or encrypts again: well within a statement's time. */
const BATCH_MAX = 1_000;
/** So many of them, which is 4.8 million calls a day; the next upkeep goes on. */
const BATCHES_MAX = 200;
/** Watchers with an older resume token start anew. */
const DELETIONS_KEPT = "7 days";
/** One control plane at a time does the upkeep. */
const UPKEEP_LOCK = 7_116_402_812;

export interface StoreOptions {
  /** postgres://user:password@host/database; `sslmode` and `sslrootcert` as libpq has them. */
  readonly url: string;
  /** `id:base64` of 32 bytes, comma separated, newest first; see KeyRing. */
  readonly secretKeys?: string | undefined;
  /** @default 20 */
  readonly connections?: number;
  readonly log: Logger;
}

/** Does not wait for Postgres: see `ping`. @throws LumentraError SETTING_INVALID */
export function openStore(options: StoreOptions): Store {
  const { url, secretKeys, connections, log } = options;
  const keys = KeyRing.parse(secretKeys);
  const pool = new ScopedPool({ url, log, ...(connections !== undefined && { connections }) });
  const listener = new TenantListener(pool.connectionOptions, log);
  const groups = (client: ClientBase): StoreTransaction => ({
    resellers: resellerRepository(client),
    apiKeys: apiKeyRepository(client),
    tenants: tenantRepository(client),
    secrets: secretRepository(client, keys),
    phoneNumbers: phoneNumberRepository(client),
    calls: callsRepository(client),
    usage: usageRepository(client),
    audit: auditRepository(client),
    requests: requestRepository(client, keys),
  });
  return {
    transaction: (scope, actor, work) => pool.transaction(scope, actor, (client) => work(groups(client))),
    onTenantsChanged: (heard) => listener.add(heard),
    maintain: () => upkeep(pool, groups),
    ping: () => pool.ping(),
    async close() {
      await Promise.all([listener.close(), pool.close()]);
    },
  };
}

/** Step by step, each in a transaction of its own: what fails or is long undoes and holds nothing of the others. */
async function upkeep(pool: ScopedPool, groups: (client: ClientBase) => StoreTransaction): Promise<void> {
  /** Null: another control plane is at it. */
  const step = <Result>(work: (client: ClientBase) => Promise<Result>): Promise<Result | null> =>
    pool.transaction({ kind: "system" }, "system", async (client) => {
      const { rows } = await client.query<{ mine: boolean }>("SELECT pg_try_advisory_xact_lock($1) AS mine", [
        UPKEEP_LOCK,
      ]);
      return rows[0]!.mine ? work(client) : null;
    });
  const untilDone = async (batch: (tx: StoreTransaction) => Promise<number>): Promise<void> => {
    for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
      if ((await step((client) => batch(groups(client)))) !== BATCH_MAX) return;
    }
  };
  const prepared = await step(async (client) => {
    await client.query(
      "SELECT lumentra.ensure_call_partitions(now()), lumentra.ensure_call_partitions(now() + interval '1 month')",
    );
    await client.query(`SELECT lumentra.forget_deletions(now() - interval '${DELETIONS_KEPT}')`);
    await client.query(`DELETE FROM lumentra.requests WHERE at < now() - interval '${REQUEST_KEPT}'`);
    return true;
  });
  if (prepared === null) return;
  await untilDone((tx) => tx.secrets.rotate(BATCH_MAX));
  await untilDone((tx) => tx.calls.purge(BATCH_MAX));
  await step((client) => client.query("SELECT lumentra.drop_empty_call_partitions()"));
}
