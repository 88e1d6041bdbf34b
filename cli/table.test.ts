import { stripVTControlCharacters } from "node:util";
import t from "tap";
import { type Column, renderTable } from "./table.js";

interface Row {
  readonly name: string;
  readonly count: number;
  readonly found: string;
  readonly remedy: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "what", value: ({ name }) => name },
  { title: "calls", value: ({ count }) => count },
  { title: "found", value: ({ found }) => found },
  { title: "what to do", value: ({ remedy }) => remedy },
];
const FOUND = "postgres://db.example.com:5432/lumentra refuses: too many connections for this role";
const REMEDY = "raise the role's limit, or give DATABASE_URL another role, and start it again";
const ROWS: readonly Row[] = [
  { name: "Node.js", count: 1, found: "v20", remedy: "" },
  { name: "Postgres", count: 22, found: FOUND, remedy: REMEDY },
];

/** As on a terminal without colours, wherever the tests run. */
function plainTable(rows: readonly Row[], columns: number | null): string {
  return stripVTControlCharacters(renderTable(rows, COLUMNS, "There are none.", columns));
}

/** What a column's cells say, one after the other. */
function columnOf(table: string, index: number): string {
  const cells = table.split("\n").flatMap((line) => line.split("│")[index + 1]?.trim() ?? []);
  return cells.filter(Boolean).join(" ");
}

void t.test("a table is no wider than its terminal, and all that it says is there", (t) => {
  const widest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length));
  for (const columns of [90, 110, 150, 170]) {
    const table = plainTable(ROWS, columns);
    t.ok(widest(table) <= columns, `${widest(table)} of ${columns}`);
    t.equal(columnOf(table, 2), `found v20 ${FOUND}`);
    t.equal(columnOf(table, 3), `what to do ${REMEDY}`);
  }
  const piped = plainTable(ROWS, null).split("\n");
  t.equal(piped.length, ROWS.length + 4, "a line for each row where nobody's terminal is narrow");
  t.end();
});

void t.test("where the longest words alone are too wide, rows are lines of a name and a value", (t) => {
  const text = plainTable(ROWS, 60);
  t.match(text, /what {8}Node\.js\ncalls {7}1\n[^]*\n\nwhat {8}Postgres\n/);
  t.ok(text.includes(FOUND) && text.includes(REMEDY));
  t.equal(plainTable([], 60), "There are none.");
  t.end();
});
