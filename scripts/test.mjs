// Runs every compiled test file, most as processes of their own, and ends with one line alone: `N passed, N failed`.
// Arguments name the files to run instead: `npm test -- dist/runtime/media/*.test.js`.
// Prints one line per file and everything of what failed. A file that dies, times out or counts nothing fails the run
// even if no assertion did.
//
// Not by `tap run`: that hooks itself into every process a test starts, which doubles what starting nodes and
// emulators costs, and runs files by the alphabet, which leaves the longest to itself at the end.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { availableParallelism, setPriority } from "node:os";
import { createInterface } from "node:readline";

/** A file has so long; one that ignores it is killed a little later. */
const TIMEOUT_S = 600;
const KILL_AFTER_MS = (TIMEOUT_S + 30) * 1_000;

/** Talk in real time and mostly wait, those that take longest first: the last to begin decides when all is over. */
const REAL_TIME = [
  "bench/chaos/",
  "node/recovery",
  "bench/load/",
  "node/failures",
  "node/hundred-calls",
  "cli/up",
  "bench/baseline/side-by-side",
  "node",
  "bench/cluster",
  "bench/main",
  "control-plane",
  "bench/processes",
  "runtime",
  "actors/providers",
  "bench/suites",
  "bench",
  "cli",
];
/** Compute on virtual time, or on none: they fill what the others leave of the machine, and take nothing from them. */
const COMPUTING = [
  "bench/simulator",
  "actors/call",
  "actors/speech",
  "bench/speech",
  "runtime/media/",
  "runtime/actor",
  "scripts",
];
const NICENESS = 15;
/** Small files that share a process, up to so many (see test-batch.mjs): two thirds of what they cost is its start. */
const BATCH = 8;
const BATCHED = [
  "actors/call/",
  "actors/speech/",
  "actors/tenants/",
  "actors/providers/",
  "bench/speech/",
  "runtime/media/",
  "runtime/actor/",
];
/** Not these: they start threads, take their own time, or measure the process they run in. */
const ALONE = [
  "actors/call/call-memory",
  "actors/call/long-call",
  "actors/call/replay",
  "actors/providers/llm/vendors",
  "actors/providers/stt/assemblyai",
  "actors/providers/stt/deepgram",
  "actors/providers/stt/replaying-wire",
  "actors/providers/stt/whisper",
  "actors/providers/stt/whisper-wire",
  "actors/providers/tts/cartesia",
  "actors/providers/tts/elevenlabs",
  "actors/providers/tts/http-pcm",
  "bench/speech/spoken-voice",
  "runtime/actor/actor",
  "runtime/actor/clocks",
  "runtime/actor/supervision",
  "runtime/media/nap-flag",
  "runtime/media/threads",
];

const cores = availableParallelism();
/** Of a processor each takes two fifths, on the whole; once nothing is left to compute, so many more run. */
const REAL_TIME_JOBS = cores + 1;
const COMPUTING_JOBS = Math.max(1, Math.floor(cores / 2));

// tap generates its test class once per install; without this the first test files would find no tests.
if (changedAtMs(".tap/plugins") < changedAtMs("node_modules/.package-lock.json")) {
  spawnSync("node_modules/.bin/tap", ["build"], { stdio: "ignore" });
}

const running = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const child of running) signalAll(child, signal);
    process.kill(process.pid, signal);
  });
}

let passed = 0;
let failed = 0;
const files = process.argv.length > 2 ? process.argv.slice(2).map((file) => [file]) : inBatches(allTests());
const computing = inOrder(files.filter(isComputing), COMPUTING);
const realTime = inOrder(
  files.filter((batch) => !isComputing(batch)),
  REAL_TIME,
);
await Promise.all([
  ...Array.from({ length: REAL_TIME_JOBS }, () => work(() => realTime.shift() ?? computing.shift())),
  ...Array.from({ length: COMPUTING_JOBS }, () => work(() => computing.shift() ?? realTime.shift())),
]);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
console.log(`\n${passed} passed, ${process.exitCode === 0 ? failed : Math.max(failed, 1)} failed`);

async function work(next) {
  for (let batch = next(); batch !== undefined; batch = next()) await run(batch);
}

/** Resolves when the process of one file, or of several, is gone and its line is printed. */
async function run(batch) {
  const startedAtMs = performance.now();
  const file = batch.join(" ");
  const scripts = batch.length === 1 ? batch : ["scripts/test-batch.mjs", ...batch];
  const child = spawn(process.execPath, ["--enable-source-maps", ...scripts], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TAP: "1", TAP_TIMEOUT: process.env.TAP_TIMEOUT ?? String(TIMEOUT_S) },
    // A group of its own: a test that dies leaves its nodes behind, and they would take from all that follow.
    detached: true,
  });
  let hasLeft = false;
  child.once("exit", () => {
    hasLeft = isAnyAlive(child);
    signalAll(child, "SIGKILL");
  });
  running.add(child);
  if (isComputing(batch)) setPriority(child.pid, NICENESS);
  const killer = setTimeout(() => signalAll(child, "SIGKILL"), KILL_AFTER_MS);
  let totals;
  // Without the tests that passed.
  const output = [];
  let shownLines = 0;
  createInterface({ input: child.stderr }).on("line", (line) => output.push(line));
  createInterface({ input: child.stdout }).on("line", (line) => {
    totals = /^# \{ total: \d+(.*) \}/.exec(line)?.[1] ?? totals;
    if (/^ok \d+ /.test(line)) output.length = shownLines;
    else if (!/^\s+ok \d+ /.test(line)) output.push(line);
    if (line.startsWith("not ok ")) shownLines = output.length;
  });
  const [code, signal] = await new Promise((resolve) => {
    child.on("close", (...end) => resolve(end));
  });
  clearTimeout(killer);
  running.delete(child);
  const failures = Number(/fail: (\d+)/.exec(totals)?.[1] ?? 0);
  const passes = Number(/pass: (\d+)/.exec(totals)?.[1] ?? 0);
  const isOk = code === 0 && failures === 0 && totals !== undefined;
  passed += passes;
  failed += isOk ? 0 : Math.max(failures, 1);
  const left = hasLeft ? ", left processes behind" : "";
  const took = `${((performance.now() - startedAtMs) / 1_000).toFixed(1)} s${left}`;
  const end = signal === null ? `exit code ${code}` : signal;
  console.log(isOk ? `ok - ${file} # ${took}` : [...output, `not ok - ${file} # ${took}, ${end}`].join("\n"));
}

/** To the file's process and those it started. */
function signalAll(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // They are gone.
  }
}

/**
 * Whether one of those that it started still runs. Ended ones whose parent was killed stay in the group, as zombies,
 * where nobody reaps.
 */
function isAnyAlive({ pid: group }) {
  try {
    return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isAliveIn(group, name));
  } catch {
    return false; // no /proc: nobody can say
  }
}

function isAliveIn(group, pid) {
  try {
    // The command may hold spaces and parentheses; after the last one: state, parent, group.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, , ofGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(ofGroup) === group && state !== "Z" && state !== "X";
  } catch {
    return false; // ended meanwhile
  }
}

function allTests() {
  return readdirSync("dist", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => `dist/${name}`)
    .toSorted();
}

function inBatches(all) {
  const batches = [];
  const open = new Map();
  for (const file of all) {
    const place = BATCHED.find((prefix) => file.startsWith(`dist/${prefix}`));
    const isAlone = ALONE.some((prefix) => file === `dist/${prefix}.test.js`);
    const batch = open.get(place);
    if (place === undefined || isAlone) batches.push([file]);
    else if (batch !== undefined && batch.length < BATCH) batch.push(file);
    else {
      open.set(place, [file]);
      batches.push(open.get(place));
    }
  }
  return batches;
}

function isComputing(batch) {
  return rankOf(batch, COMPUTING) < COMPUTING.length;
}

function inOrder(list, prefixes) {
  return list.toSorted((a, b) => rankOf(a, prefixes) - rankOf(b, prefixes));
}

function rankOf([file], prefixes) {
  const at = prefixes.findIndex((prefix) => file.startsWith(`dist/${prefix}`));
  return at < 0 ? prefixes.length : at;
}

/** 0 when there is no such file. */
function changedAtMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
