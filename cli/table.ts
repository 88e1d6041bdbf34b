/**
 * Tables for people. T1 none is wider than the terminal, and nothing in it is cut off: long cells go on in further lines
 * between words, and where the longest words alone are too wide, each row becomes lines of a name and a value. What goes
 * into a pipe or a file is as wide as it comes: a line for each row, for grep.
 */
import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import pc from "picocolors";

export interface Column<Row> {
  readonly title: string;
  /** Longer text is wrapped. @default as wide as it comes, and the terminal is */
  readonly widthMax?: number;
  readonly value: (row: Row) => string | number;
}

/** Of each cell, left and right of its text. */
const PADDING = 2;

/** A table, or a sentence when there is nothing to show. `columnsMax`: null where it may be as wide as it comes (T1). */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  nothing: string,
  columnsMax: number | null = process.stdout.columns ?? null,
): string {
  if (rows.length === 0) return nothing;
  const widths = fit(
    columns.map((column) => extentOf(rows, column)),
    columnsMax,
  );
  if (widths === null) return rows.map((row) => renderFields(named(row, columns))).join("\n\n");
  const table = new Table({
    head: columns.map(({ title }) => title),
    style: pc.isColorSupported
      ? { compact: true, head: ["bold"], border: ["gray"] }
      : { compact: true, head: [], border: [] },
    colWidths: widths,
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

function named<Row>(row: Row, columns: readonly Column<Row>[]) {
  return columns.map(({ title, value }) => [title, value(row)] as const);
}

interface Extent {
  /** With every cell in one line. */
  readonly most: number;
  /** Of its longest word. */
  readonly least: number;
}

function extentOf<Row>(rows: readonly Row[], { title, value, widthMax }: Column<Row>): Extent {
  const cells = [title, ...rows.map((row) => stripVTControlCharacters(String(value(row))))];
  const longest = (parts: readonly string[]): number =>
    PADDING + Math.max(...parts.map((part) => part.length));
  const least = longest(cells.flatMap((cell) => cell.split(/\s+/)));
  const most = longest(cells.flatMap((cell) => cell.split("\n")));
  return { least, most: Math.max(least, Math.min(most, widthMax ?? most)) };
}

/** The widest columns give way first. Null when that is not enough. */
function fit(extents: readonly Extent[], columnsMax: number | null): number[] | null {
  const widths = extents.map(({ most }) => most);
  if (columnsMax === null) return widths;
  const borders = widths.length + 1;
  let over = borders + widths.reduce((sum, width) => sum + width, 0) - columnsMax;
  for (; over > 0; over -= 1) {
    let widest = -1;
    for (const [index, width] of widths.entries()) {
      if (width > extents[index]!.least && width > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) return null;
    widths[widest]! -= 1;
  }
  return widths;
}
