/** Tenants, their versions, and the changes that watchers follow. */
import type { ClientBase } from "pg";
import { camelRow, likeAnywhere, pageOf } from "./paging.js";
import { deleteByEtag } from "./statements.js";
import type { StoreTransaction, StoredTenantConfig, TenantRow } from "./store.js";

const SELECT = `SELECT t.id, t.reseller_id, t.etag, t.version, t.suspended, t.config, t.created_at, t.updated_at,
    coalesce(r.suspended, false) AS reseller_suspended,
    array(SELECT n.number FROM lumentra.phone_numbers n WHERE n.tenant_id = t.id ORDER BY n.number) AS numbers
  FROM lumentra.tenants t LEFT JOIN lumentra.resellers r ON r.id = t.reseller_id`;

export function tenantRepository(client: ClientBase): StoreTransaction["tenants"] {
  const get = async (id: string): Promise<TenantRow | null> => {
    const { rows } = await client.query(`${SELECT} WHERE t.id = $1`, [id]);
    return rows[0] === undefined ? null : camelRow<TenantRow>(rows[0]);
  };
  const lastChange = async (): Promise<{ last: number; forgotten: number }> => {
    const { rows } = await client.query<{ last: number; forgotten: number }>(
      "SELECT last_change AS last, forgotten_change AS forgotten FROM lumentra.tenant_change_counter",
    );
    return rows[0]!;
  };
  return {
    get,
    async list({ resellerId, query }, { size, after }) {
      const { rows } = await client.query(
        `${SELECT} WHERE ($1::text IS NULL OR t.reseller_id = $1)
           AND ($2::text IS NULL OR lower(t.id) LIKE $2 OR lower(t.config ->> 'name') LIKE $2)
           AND ($3::text IS NULL OR t.id > $3) ORDER BY t.id LIMIT $4`,
        [
          resellerId ?? null,
          query === undefined ? null : likeAnywhere(query.toLowerCase()),
          after?.[0] ?? null,
          size + 1,
        ],
      );
      return pageOf(
        rows.map((row) => camelRow<TenantRow>(row)),
        size,
        ({ id }) => [id],
      );
    },
    async create({ id, resellerId, suspended, config }) {
      // The lock makes the count below true until commit.
      const reseller = await client.query<{ most: number; count: number }>(
        `SELECT (limits ->> 'tenants')::int AS most,
           (SELECT count(*)::int FROM lumentra.tenants WHERE reseller_id = $1) AS count
         FROM lumentra.resellers WHERE id = $1 FOR NO KEY UPDATE`,
        [resellerId],
      );
      const [found] = reseller.rows;
      if (found === undefined) return null;
      const free = await client.query<{ free: boolean }>(
        "SELECT lumentra.tenant_id_is_free($1, $2) AS free",
        [id, resellerId],
      );
      if (!free.rows[0]!.free) return "taken";
      if (found.count >= found.most) return "limit";
      const made = await client.query(
        `INSERT INTO lumentra.tenants (id, reseller_id, suspended, config) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING`,
        [id, resellerId, suspended, JSON.stringify(config)],
      );
      return made.rowCount === 0 ? "taken" : get(id);
    },
    async update(id, etag, { suspended, config }) {
      const { rowCount } = await client.query(
        `UPDATE lumentra.tenants SET suspended = coalesce($3, suspended), config = coalesce($4, config)
         WHERE id = $1 AND ($2 = '' OR etag = $2)`,
        [id, etag, suspended ?? null, config === undefined ? null : JSON.stringify(config)],
      );
      const row = await get(id);
      return rowCount === 1 || row === null ? row : false;
    },
    delete: (id, etag) => deleteByEtag(client, "lumentra.tenants", "id", id, etag),
    async versions(id, { size, after }) {
      const { rows } = await client.query(
        `SELECT version, config, created_at FROM lumentra.tenant_versions
         WHERE tenant_id = $1 AND ($2::int IS NULL OR version < $2) ORDER BY version DESC LIMIT $3`,
        [id, after?.[0] ?? null, size + 1],
      );
      type Version = { version: number; config: StoredTenantConfig; createdAt: Date };
      return pageOf(
        rows.map((row) => camelRow<Version>(row)),
        size,
        ({ version }) => [String(version)],
      );
    },
    async changesAfter(changeNumber, limit) {
      const { rows } = await client.query<{ tenant_id: string; change_number: number }>(
        `SELECT tenant_id, change_number FROM lumentra.tenant_changes
         WHERE change_number > $1 ORDER BY change_number LIMIT $2`,
        [changeNumber, limit],
      );
      const ids = rows.map(({ tenant_id: id }) => id);
      const found = await client.query(`${SELECT} WHERE t.id = ANY ($1)`, [ids]);
      const byId = new Map(found.rows.map((row) => [row.id as string, camelRow<TenantRow>(row)]));
      return {
        changes: ids.map((tenantId) => ({ tenantId, row: byId.get(tenantId) ?? null })),
        lastChange: rows.at(-1)?.change_number ?? changeNumber,
      };
    },
    lastChange: async () => (await lastChange()).last,
  };
}
