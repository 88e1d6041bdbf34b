/** What several repositories do the same way. */
import { type ClientBase, DatabaseError } from "pg";
import type { Updated } from "./store.js";

/** Runs `work`; an error that `expected` answers is undone up to here, and its answer returned. */
export async function savepoint<Result, Expected>(
  client: ClientBase,
  work: () => Promise<Result>,
  expected: (error: unknown) => Expected | undefined,
): Promise<Result | Expected> {
  await client.query("SAVEPOINT here");
  try {
    const result = await work();
    await client.query("RELEASE SAVEPOINT here");
    return result;
  } catch (error) {
    const answer = expected(error);
    if (answer === undefined) throw error;
    await client.query("ROLLBACK TO SAVEPOINT here");
    return answer;
  }
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === "23505";
}

export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === "23503";
}

/** `table` and `key` are names of ours, never of a caller. */
export async function deleteByEtag(
  client: ClientBase,
  table: string,
  key: string,
  id: string,
  etag: string,
): Promise<Updated<true>> {
  const { rowCount } = await client.query(
    `DELETE FROM ${table} WHERE ${key} = $1 AND ($2 = '' OR etag = $2)`,
    [id, etag],
  );
  if (rowCount === 1) return true;
  const there = await client.query(`SELECT FROM ${table} WHERE ${key} = $1`, [id]);
  return there.rowCount === 0 ? null : false;
}
