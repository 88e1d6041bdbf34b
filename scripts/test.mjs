// Runs every compiled test file under tap and ends with one line alone: `N passed, N failed`.
// Arguments name the files to run instead: `npm test -- dist/runtime/media/*.test.js`.
// Prints one line per file and everything of what failed. tap's own exit code is kept: a file that dies or
// times out fails the run even if no assertion did.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";

const tapBin = "node_modules/.bin/tap";
// tap generates its test class once per install; without this the first test files would find no tests.
if (changedAtMs(".tap/plugins") < changedAtMs("node_modules/.package-lock.json")) {
  spawnSync(tapBin, ["build"], { stdio: "ignore" });
}

/** Files that take longest begin first, or one of them would be left to itself at the end. */
const FIRST = [
  "bench/chaos/chaos",
  "node/recovery.",
  "cli/up",
  "bench/load",
  "bench/cluster",
  "node",
  "bench",
  "control-plane",
];

const files = process.argv.length > 2 ? process.argv.slice(2) : allTests();
const child = spawn(tapBin, ["--reporter=tap", ...files], { stdio: ["ignore", "pipe", "inherit"] });

let passed = 0;
let failed = 0;
// What a file printed is held until the file's own line says whether it is worth showing.
let held = [];
createInterface({ input: child.stdout }).on("line", (line) => {
  const totals = /^# \{ total: \d+(.*) \}/.exec(line)?.[1];
  if (totals !== undefined) {
    passed = Number(/pass: (\d+)/.exec(totals)?.[1] ?? 0);
    failed = Number(/fail: (\d+)/.exec(totals)?.[1] ?? 0);
  } else if (line.startsWith("not ok ")) {
    console.log([...held.filter((text) => !/^\s*ok \d+ /.test(text)), line].join("\n"));
    held = [];
  } else if (/^ok \d+ - /.test(line)) {
    console.log(line);
    held = [];
  } else {
    held.push(line);
  }
});
child.on("close", (code) => {
  process.exitCode = code !== 0 || passed === 0 ? code || 1 : 0;
  console.log(`\n${passed} passed, ${process.exitCode === 0 ? failed : Math.max(failed, 1)} failed`);
});

function allTests() {
  const rank = (file) => {
    const at = FIRST.findIndex((prefix) => file.startsWith(`dist/${prefix}`));
    return at < 0 ? FIRST.length : at;
  };
  return readdirSync("dist", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => `dist/${name}`)
    .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** 0 when there is no such file. */
function changedAtMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
