/**
 * Keeps docs/LIMITS.md true: the value in each row is the one in the file its `where` names.
 *
 * `where` is `path/file.ts: NAME` or `path/file.ts: NAME.key.key`. A name is a constant, a property, an option with
 * a default (`name ?? 5`) or a field of a schema (`name: … .default(5)`, or `.optional()`). A value is a number with or without a unit,
 * as people write it: `2 s`, `64 KiB`, `1,024`.
 */
import { readFileSync } from "node:fs";
import t from "tap";

interface Row {
  readonly shown: string;
  readonly path: string;
  readonly name: string;
}

const FACTORS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  KiB: 1_024,
  MiB: 1_024 ** 2,
  "%": 0.01,
};
/** What one of a name's own unit is in the units above. */
const NAME_UNITS: readonly (readonly [RegExp, number])[] = [
  [/_S$/, 1_000],
  [/Minutes$/, 60_000],
  [/_DAYS$/, 86_400_000],
];
const PRODUCT = /^[\d._]+(?: \* [\d._]+)*$/;

const page = readFileSync("docs/LIMITS.md", "utf8");
const rows: readonly Row[] = page.split("\n").flatMap((line) => {
  const match = /^\|[^|]*\| ([^|]*) \| `([\w./-]+\.ts): ([\w.]+)` \|/.exec(line);
  return match === null ? [] : [{ shown: match[1]!, path: match[2]!, name: match[3]! }];
});

void t.test("every row of a table in docs/LIMITS.md names a place in the code", async (t) => {
  const tableLines = page.split("\n").filter((line) => /^\|(?! (?:bound|---) )/.test(line));
  t.ok(rows.length > 0);
  t.equal(rows.length, tableLines.length);
});

void t.test("every value in docs/LIMITS.md is the one in the code", async (t) => {
  for (const { shown, path, name } of rows) {
    const literal = literalOf(readFileSync(path, "utf8"), name);
    if (literal === null) t.fail(`docs/LIMITS.md names ${name} in ${path}, where it is not`);
    else
      t.equal(
        shownValue(shown),
        codeValue(literal, name),
        `${path}: ${name} is ${literal}, shown as "${shown}"`,
      );
  }
});

/** The source of the value; null when the file has no such name. */
function literalOf(source: string, name: string): string | null {
  const keys = name.split(".");
  const last = keys.pop()!;
  let scope = source;
  for (const [depth, key] of keys.entries()) {
    const start = scope.search(new RegExp(depth === 0 ? `\\bconst ${key}\\b` : `\\b${key}: \\{`));
    if (start < 0) return null;
    scope = scope.slice(start);
  }
  const patterns = [
    `\\bconst ${last}(?:: \\w+)? = ([^;]+);`,
    `\\b${last} \\?\\? ([\\d_.]+)`,
    `\\b${last}: ([\\d_.]+)[,\\s}]`,
    `\\b${last}: [^;]{0,160}?\\.(?:default\\((\\w+)\\)|optional\\(\\))`,
  ];
  for (const pattern of patterns) {
    const found = new RegExp(pattern).exec(scope);
    // A field that may be left out has no value here.
    if (found !== null) return found[1] ?? "";
  }
  return null;
}

function codeValue(literal: string, name: string): number | null {
  if (!PRODUCT.test(literal)) return null;
  const product = literal
    .split(" * ")
    .map((factor) => Number(factor.replaceAll("_", "")))
    .reduce((a, b) => a * b, 1);
  return product * (NAME_UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? 1);
}

/** Null for words, such as "cores − 1": the value must be computed from others in the code then. */
function shownValue(shown: string): number | null {
  const match = /^([\d,.]+)(?: ([A-Za-z%]+))?$/.exec(shown);
  if (match === null) return null;
  return Number(match[1]!.replaceAll(",", "")) * (FACTORS[match[2] ?? ""] ?? 1);
}
