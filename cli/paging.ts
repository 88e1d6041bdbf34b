/** Lists: one page as asked for, or everything up to a bound. */
import { type Command, InvalidArgumentError } from "commander";

/** More rows than this are asked for page by page; a list for people ends earlier. */
const LIMIT_MAX = 100_000;
const PAGE_SIZE_MAX = 500;

export interface PagingOptions {
  readonly limit: number;
}

export function addPaging(command: Command): Command {
  return command.option("--limit <n>", "at most so many", limit, 100);
}

export interface PageOf<Row> {
  readonly rows: readonly Row[];
  readonly nextPageToken: string;
}

export async function allPages<Row>(
  { limit: wanted }: PagingOptions,
  ask: (page: { pageSize: number; pageToken: string }) => Promise<PageOf<Row>>,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  let pageToken = "";
  do {
    const page = await ask({ pageSize: Math.min(PAGE_SIZE_MAX, wanted - rows.length), pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && rows.length < wanted);
  return rows;
}

function limit(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > LIMIT_MAX) {
    throw new InvalidArgumentError(`it must be a number from 1 to ${LIMIT_MAX}.`);
  }
  return value;
}
