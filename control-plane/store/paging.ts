/** Pages by key, never by offset: what is added or removed meanwhile moves no row to another page. */
import type { Page } from "./store.js";

/** Of rows that were read with LIMIT size + 1. */
export function pageOf<Row>(
  rows: readonly Row[],
  size: number,
  keyOf: (row: Row) => readonly string[],
): Page<Row> {
  if (rows.length <= size) return { rows, next: null };
  const page = rows.slice(0, size);
  return { rows: page, next: keyOf(page.at(-1)!) };
}

/** A pattern that finds `text` anywhere, with LIKE's own signs taken literally, and without NUL, which no text here has. */
export function likeAnywhere(text: string): string {
  return `%${text.replaceAll("\u0000", "").replaceAll(/[\\%_]/g, (sign) => `\\${sign}`)}%`;
}

/** Columns to fields: `a_b` becomes `aB`. What the row then is, the caller says: the SQL is beside it. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast at every caller reads worse
export function camelRow<Row>(row: Readonly<Record<string, unknown>>): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  ) as Row;
}
