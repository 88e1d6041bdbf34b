/** Resellers. */
import type { ClientBase } from "pg";
import { camelRow, pageOf } from "./paging.js";
import { deleteByEtag, isForeignKeyViolation, savepoint } from "./statements.js";
import type { ResellerRow, StoreTransaction } from "./store.js";

const COLUMNS = "id, name, etag, branding, limits, suspended, created_at, updated_at";

export function resellerRepository(client: ClientBase): StoreTransaction["resellers"] {
  const one = async (sql: string, values: readonly unknown[]): Promise<ResellerRow | null> => {
    const { rows } = await client.query(sql, [...values]);
    return rows[0] === undefined ? null : camelRow<ResellerRow>(rows[0]);
  };
  const get = (id: string): Promise<ResellerRow | null> =>
    one(`SELECT ${COLUMNS} FROM lumentra.resellers WHERE id = $1`, [id]);
  return {
    get,
    async list({ size, after }) {
      const { rows } = await client.query(
        `SELECT ${COLUMNS} FROM lumentra.resellers WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2`,
        [after?.[0] ?? null, size + 1],
      );
      return pageOf(
        rows.map((row) => camelRow<ResellerRow>(row)),
        size,
        ({ id }) => [id],
      );
    },
    create: ({ id, name, branding, limits, suspended }) =>
      one(
        `INSERT INTO lumentra.resellers (id, name, branding, limits, suspended) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO NOTHING RETURNING ${COLUMNS}`,
        [id, name, JSON.stringify(branding), JSON.stringify(limits), suspended],
      ),
    async update(id, etag, { name, branding, limits, suspended }) {
      const updated = await one(
        `UPDATE lumentra.resellers SET name = coalesce($3, name), branding = coalesce($4, branding),
           limits = coalesce($5, limits), suspended = coalesce($6, suspended)
         WHERE id = $1 AND ($2 = '' OR etag = $2) RETURNING ${COLUMNS}`,
        [
          id,
          etag,
          name ?? null,
          branding === undefined ? null : JSON.stringify(branding),
          limits === undefined ? null : JSON.stringify(limits),
          suspended ?? null,
        ],
      );
      if (updated !== null) return updated;
      return (await get(id)) === null ? null : false;
    },
    delete: (id, etag) =>
      savepoint(
        client,
        () => deleteByEtag(client, "lumentra.resellers", "id", id, etag),
        (error) => (isForeignKeyViolation(error) ? "inUse" : undefined),
      ),
  };
}
