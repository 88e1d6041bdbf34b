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

/** Rows that one round of upkeep removes; the next round goes on. */
const PURGE_MAX = 1_000;
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
    maintain: () =>
      pool.transaction({ kind: "system" }, "system", (client) => upkeep(client, groups(client))),
    ping: () => pool.ping(),
    async close() {
      await listener.close();
      await pool.close();
    },
  };
}

async function upkeep(client: ClientBase, tx: StoreTransaction): Promise<void> {
  const { rows } = await client.query<{ mine: boolean }>("SELECT pg_try_advisory_xact_lock($1) AS mine", [
    UPKEEP_LOCK,
  ]);
  if (!rows[0]!.mine) return;
  await client.query(
    "SELECT lumentra.ensure_call_partitions(now()), lumentra.ensure_call_partitions(now() + interval '1 month')",
  );
  await client.query(`SELECT lumentra.forget_deletions(now() - interval '${DELETIONS_KEPT}')`);
  await client.query(`DELETE FROM lumentra.requests WHERE at < now() - interval '${REQUEST_KEPT}'`);
  await tx.calls.purge(PURGE_MAX);
  await client.query("SELECT lumentra.drop_empty_call_partitions()");
}
