/** Tenants' secrets, encrypted before they come here. */
import type { ClientBase } from "pg";
import type { KeyRing } from "./encryption.js";
import { camelRow } from "./paging.js";
import type { StoreTransaction } from "./store.js";

interface SealedRow {
  readonly tenant_id: string;
  readonly name: string;
  readonly key_id: string;
  readonly ciphertext: Buffer;
}

const belongsTo = (tenantId: string, name: string): string => `tenant-secret/${tenantId}/${name}`;

export function secretRepository(client: ClientBase, keys: KeyRing): StoreTransaction["secrets"] {
  const isThere = async (tenantId: string): Promise<boolean> =>
    (await client.query("SELECT FROM lumentra.tenants WHERE id = $1", [tenantId])).rowCount === 1;
  const open = (row: SealedRow): string =>
    keys.open({ keyId: row.key_id, ciphertext: row.ciphertext }, belongsTo(row.tenant_id, row.name));
  return {
    async set(tenantId, name, value) {
      const { keyId, ciphertext } = keys.seal(value, belongsTo(tenantId, name));
      const { rowCount } = await client.query(
        `INSERT INTO lumentra.tenant_secrets AS s (tenant_id, reseller_id, name, key_id, ciphertext)
         SELECT id, reseller_id, $2, $3, $4 FROM lumentra.tenants WHERE id = $1
         ON CONFLICT (tenant_id, name) DO UPDATE SET key_id = excluded.key_id, ciphertext = excluded.ciphertext,
           version = s.version + 1, updated_at = lumentra.now_ms()`,
        [tenantId, name, keyId, ciphertext],
      );
      return rowCount === 1;
    },
    async names(tenantId) {
      if (!(await isThere(tenantId))) return null;
      const { rows } = await client.query(
        "SELECT name, updated_at FROM lumentra.tenant_secrets WHERE tenant_id = $1 ORDER BY name",
        [tenantId],
      );
      return rows.map((row) => camelRow<{ name: string; updatedAt: Date }>(row));
    },
    async all(tenantId) {
      if (!(await isThere(tenantId))) return null;
      const { rows } = await client.query<SealedRow>(
        "SELECT tenant_id, name, key_id, ciphertext FROM lumentra.tenant_secrets WHERE tenant_id = $1",
        [tenantId],
      );
      return Object.fromEntries(rows.map((row) => [row.name, open(row)]));
    },
    async delete(tenantId, name) {
      const { rowCount } = await client.query(
        "DELETE FROM lumentra.tenant_secrets WHERE tenant_id = $1 AND name = $2",
        [tenantId, name],
      );
      return rowCount === 1;
    },
    async rotate(limit) {
      const { rows } = await client.query<SealedRow>(
        `SELECT tenant_id, name, key_id, ciphertext FROM lumentra.tenant_secrets WHERE key_id = ANY ($1)
         ORDER BY tenant_id, name LIMIT $2 FOR UPDATE SKIP LOCKED`,
        [keys.olderIds, limit],
      );
      for (const row of rows) {
        const { keyId, ciphertext } = keys.seal(open(row), belongsTo(row.tenant_id, row.name));
        await client.query(
          "UPDATE lumentra.tenant_secrets SET key_id = $3, ciphertext = $4 WHERE tenant_id = $1 AND name = $2",
          [row.tenant_id, row.name, keyId, ciphertext],
        );
      }
      return rows.length;
    },
  };
}
