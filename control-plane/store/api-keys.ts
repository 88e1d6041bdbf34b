/** API keys: hashes, never keys. */
import type { ClientBase } from "pg";
import { camelRow, pageOf } from "./paging.js";
import type { ApiKeyRow, StoreTransaction } from "./store.js";

const COLUMNS = "id, reseller_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at";

export function apiKeyRepository(client: ClientBase): StoreTransaction["apiKeys"] {
  const one = async (sql: string, values: readonly unknown[]): Promise<ApiKeyRow | null> => {
    const { rows } = await client.query(sql, [...values]);
    return rows[0] === undefined ? null : camelRow<ApiKeyRow>(rows[0]);
  };
  return {
    async create({ id, resellerId, name, prefix, scopes, expiresAt }, hash) {
      const made = await one(
        `INSERT INTO lumentra.api_keys (id, reseller_id, name, prefix, hash, scopes, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${COLUMNS}`,
        [id, resellerId, name, prefix, hash, scopes, expiresAt],
      );
      return made!;
    },
    get: (id) => one(`SELECT ${COLUMNS} FROM lumentra.api_keys WHERE id = $1`, [id]),
    async list(resellerId, { size, after }) {
      const { rows } = await client.query(
        `SELECT ${COLUMNS} FROM lumentra.api_keys
         WHERE reseller_id IS NOT DISTINCT FROM $1
           AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4`,
        [resellerId, after?.[0] ?? null, after?.[1] ?? "", size + 1],
      );
      return pageOf(
        rows.map((row) => camelRow<ApiKeyRow>(row)),
        size,
        ({ createdAt, id }) => [createdAt.toISOString(), id],
      );
    },
    async byPrefix(prefix) {
      const { rows } = await client.query("SELECT * FROM lumentra.api_keys_by_prefix($1)", [prefix]);
      return rows.map((row) => camelRow(row));
    },
    setExpiry: (id, expiresAt) =>
      one(`UPDATE lumentra.api_keys SET expires_at = $2 WHERE id = $1 RETURNING ${COLUMNS}`, [id, expiresAt]),
    revoke: (id) =>
      one(
        `UPDATE lumentra.api_keys SET revoked_at = coalesce(revoked_at, lumentra.now_ms())
         WHERE id = $1 RETURNING ${COLUMNS}`,
        [id],
      ),
    async noteUse(uses) {
      // In one order everywhere: two control planes that note the same keys do not wait for each other in a circle.
      const ids = [...uses.keys()].sort();
      await client.query(
        `UPDATE lumentra.api_keys k SET last_used_at = greatest(k.last_used_at, date_trunc('minute', u.at))
         FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at) WHERE k.id = u.id`,
        [ids, ids.map((id) => uses.get(id)!)],
      );
    },
  };
}
