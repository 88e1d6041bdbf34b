/** Phone numbers: unique across all resellers, which the primary key sees to whoever asks. */
import type { ClientBase } from "pg";
import { camelRow, pageOf } from "./paging.js";
import { deleteByEtag, isUniqueViolation, savepoint } from "./statements.js";
import type { PhoneNumberRow, StoreTransaction } from "./store.js";

const COLUMNS = "number, tenant_id, reseller_id, etag, label, created_at, updated_at";

export function phoneNumberRepository(client: ClientBase): StoreTransaction["phoneNumbers"] {
  const get = async (number: string): Promise<PhoneNumberRow | null> => {
    const { rows } = await client.query(`SELECT ${COLUMNS} FROM lumentra.phone_numbers WHERE number = $1`, [
      number,
    ]);
    return rows[0] === undefined ? null : camelRow<PhoneNumberRow>(rows[0]);
  };
  return {
    get,
    async list({ tenantId }, { size, after }) {
      const { rows } = await client.query(
        `SELECT ${COLUMNS} FROM lumentra.phone_numbers
         WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR number > $2) ORDER BY number LIMIT $3`,
        [tenantId ?? null, after?.[0] ?? null, size + 1],
      );
      return pageOf(
        rows.map((row) => camelRow<PhoneNumberRow>(row)),
        size,
        ({ number }) => [number],
      );
    },
    create: ({ number, tenantId, label }) =>
      savepoint(
        client,
        async () => {
          const { rows } = await client.query(
            `INSERT INTO lumentra.phone_numbers (number, tenant_id, reseller_id, label)
             SELECT $1, id, reseller_id, $3 FROM lumentra.tenants WHERE id = $2 RETURNING ${COLUMNS}`,
            [number, tenantId, label],
          );
          return rows[0] === undefined ? null : camelRow<PhoneNumberRow>(rows[0]);
        },
        (error) => (isUniqueViolation(error) ? ("taken" as const) : undefined),
      ),
    async update(number, etag, { tenantId, label }) {
      const { rows } = await client.query(
        `UPDATE lumentra.phone_numbers n SET tenant_id = t.id, label = $4 FROM lumentra.tenants t
         WHERE n.number = $1 AND ($2 = '' OR n.etag = $2) AND t.id = $3 AND t.reseller_id = n.reseller_id
         RETURNING ${COLUMNS.split(", ")
           .map((column) => `n.${column}`)
           .join(", ")}`,
        [number, etag, tenantId, label],
      );
      if (rows[0] !== undefined) return camelRow<PhoneNumberRow>(rows[0]);
      const there = await get(number);
      if (there === null) return null;
      return etag !== "" && there.etag !== etag ? false : "noTenant";
    },
    delete: (number, etag) => deleteByEtag(client, "lumentra.phone_numbers", "number", number, etag),
  };
}
