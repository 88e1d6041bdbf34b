/** Answers kept for a day, so that a request that is repeated by its id is not done twice. */
import type { ClientBase } from "pg";
import type { KeyRing } from "./encryption.js";
import type { StoreTransaction } from "./store.js";

/** Kept so long; `maintain` removes them later. */
export const REQUEST_KEPT = "1 day";

const belongsTo = (principal: string, requestId: string): string => `request/${principal}/${requestId}`;

export function requestRepository(client: ClientBase, keys: KeyRing): StoreTransaction["requests"] {
  const sayWho = (principal: string): Promise<unknown> =>
    client.query("SELECT set_config('lumentra.principal', $1, true)", [principal]);
  return {
    async recall(principal, requestId, fingerprint) {
      await sayWho(principal);
      // A twin in flight holds it until it has committed its answer.
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [
        belongsTo(principal, requestId),
      ]);
      const { rows } = await client.query<{ fingerprint: string; key_id: string; answer: Buffer }>(
        `SELECT fingerprint, key_id, answer FROM lumentra.requests
         WHERE principal = $1 AND request_id = $2 AND at > now() - interval '${REQUEST_KEPT}'`,
        [principal, requestId],
      );
      const [row] = rows;
      if (row === undefined) return null;
      if (row.fingerprint !== fingerprint) return "reused";
      const sealed = { keyId: row.key_id, ciphertext: row.answer };
      return { answer: JSON.parse(keys.open(sealed, belongsTo(principal, requestId))) as unknown };
    },
    async remember(principal, requestId, fingerprint, answer) {
      await sayWho(principal);
      const { keyId, ciphertext } = keys.seal(JSON.stringify(answer), belongsTo(principal, requestId));
      await client.query(
        `INSERT INTO lumentra.requests (principal, request_id, fingerprint, key_id, answer) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (principal, request_id) DO UPDATE SET fingerprint = excluded.fingerprint,
           key_id = excluded.key_id, answer = excluded.answer, at = now()`,
        [principal, requestId, fingerprint, keyId, ciphertext],
      );
    },
  };
}
