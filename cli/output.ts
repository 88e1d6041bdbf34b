/** What a command prints: tables for people, one JSON document for programs. */
import Table from "cli-table3";
import pc from "picocolors";

export interface Output {
  /** One line for people; nothing with --json. */
  say(line: string): void;
  /** The result: `json` with --json, else what `people` makes of it. */
  result(json: unknown, people: () => string): void;
  /** One of many results that come as they happen: a line of JSON each, or of text. */
  item(json: unknown, people: () => string): void;
  /** Problems, always, on standard error. */
  problem(line: string): void;
  readonly isTerminal: boolean;
}

export function createOutput(
  asJson: boolean,
  stdout: NodeJS.WriteStream = process.stdout,
  stderr: NodeJS.WriteStream = process.stderr,
): Output {
  const line = (text: string): void => void stdout.write(`${text}\n`);
  return {
    say: (text) => {
      if (!asJson) line(text);
    },
    result: (json, people) => line(asJson ? JSON.stringify(json, null, 2) : people()),
    item: (json, people) => line(asJson ? JSON.stringify(json) : people()),
    problem: (text) => void stderr.write(`${pc.red("lumentra:")} ${text}\n`),
    isTerminal: stdout.isTTY && !asJson,
  };
}

export interface Column<Row> {
  readonly title: string;
  /** Longer text is wrapped. @default as wide as it comes */
  readonly widthMax?: number;
  readonly value: (row: Row) => string | number;
}

/** A table, or a sentence when there is nothing to show. */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  nothing: string,
): string {
  if (rows.length === 0) return nothing;
  const table = new Table({
    head: columns.map(({ title }) => title),
    style: pc.isColorSupported
      ? { compact: true, head: ["bold"], border: ["gray"] }
      : { compact: true, head: [], border: [] },
    colWidths: columns.map(({ widthMax }) => widthMax ?? null),
    wordWrap: true,
    colAligns: columns.map(({ value }) => (typeof value(rows[0]!) === "number" ? "right" : "left")),
  });
  for (const row of rows) table.push(columns.map(({ value }) => value(row)));
  return table.toString();
}

/** `name value` lines, for one thing. */
export function renderFields(fields: readonly (readonly [name: string, value: string | number])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${pc.bold(name.padEnd(width))}  ${value}`).join("\n");
}
