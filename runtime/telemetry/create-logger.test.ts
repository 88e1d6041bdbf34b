import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { LumentraError } from "#runtime/errors";
import { createLogger } from "./create-logger.js";

type Line = Record<string, unknown>;

function collect(level: "debug" | "info", logPii = false) {
  const lines: Line[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Line) };
  return { lines, log: createLogger({ level, name: "test", destination, logPii }) };
}

void t.test("every line of a child carries its fields, the level by name and the message", async (t) => {
  const { lines, log } = collect("info");
  log.child({ callId: "call-1" }).warn({ code: "X" }, "something odd");
  log.debug({}, "not at this level");
  t.equal(lines.length, 1);
  t.match(lines[0], { name: "test", level: "warn", callId: "call-1", code: "X", message: "something odd" });
  t.match(lines[0]!["time"], /^\d{4}-\d\d-\d\dT/);
});

void t.test("what is under a pii key is left out at any depth, in children and inside errors", async (t) => {
  const { lines, log } = collect("debug");
  const pii = { from: "+12025550199" };
  const error = new LumentraError("TENANT_CONFIG_INVALID", "no", { detail: { pii, line: 3 } });
  log.child({ call: { pii } }).info({ pii, list: [{ pii }], error }, "m");
  log.debug({ error: new Error("outer", { cause: error }) }, "m");
  t.notMatch(JSON.stringify(lines), /5550199/);
  t.match(lines[0], { error: { code: "TENANT_CONFIG_INVALID", detail: { line: 3 } } });
  t.match(lines[1], { error: { message: "outer", cause: { detail: { line: 3 } } } });
});

void t.test("logPii writes what was said, and still no secret", async (t) => {
  const { lines, log } = collect("info", true);
  log.info({ pii: { said: "hello" }, authToken: "s3cret", provider: { api_key: "s3cret" } }, "m");
  t.match(lines[0], { pii: { said: "hello" } });
  t.notMatch(JSON.stringify(lines), /s3cret/);
});

void t.test("a line is bounded in depth, entries and length of strings", async (t) => {
  const { lines, log } = collect("info");
  const cyclic: Record<string, unknown> = { long: "x".repeat(100_000) };
  cyclic["self"] = cyclic;
  cyclic["many"] = Array.from({ length: 10_000 }, (_, index) => index);
  cyclic["object"] = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, index]));
  cyclic["bytes"] = new Uint8Array(100_000);
  cyclic["big"] = 1n;
  log.info(cyclic, "m");
  t.equal(lines.length, 1);
  t.ok(JSON.stringify(lines[0]).length < 60_000, "bounded although the object refers to itself");
});

void t.test("lines logged right before process.exit reach the reader, in order", async (t) => {
  const index = new URL("./index.js", import.meta.url).href;
  const script = `import(${JSON.stringify(index)}).then(({ createLogger }) => {
    const log = createLogger({ level: "info", name: "child" });
    for (let line = 0; line < 1000; line++) log.info({ line }, "m");
    process.exit(0);
  });`;
  const child = spawnSync(process.execPath, ["-e", script], { encoding: "utf8", maxBuffer: 10 ** 7 });
  const seen = child.stdout
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { line: number }).line);
  t.strictSame(
    seen,
    Array.from({ length: 1000 }, (_, line) => line),
  );
});

void t.test("a worker's lines reach the process' own output when the worker ends by itself", async (t) => {
  const index = new URL("./index.js", import.meta.url).href;
  const script = `
    const { Worker } = require("node:worker_threads");
    const source = \`import(${JSON.stringify(index)}).then(({ createLogger }) => {
      const log = createLogger({ level: "info", name: "shard-0" });
      for (let line = 0; line < 100; line++) log.info({ line }, "m");
      process.exit(0);
    });\`;
    new Worker(source, { eval: true, execArgv: [] });`;
  const child = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  const seen = new Set(
    child.stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { line: number }).line),
  );
  t.equal(seen.size, 100, child.stderr);
});

void t.test("a worker may log while others do, without a listener left behind", async (t) => {
  const index = new URL("./index.js", import.meta.url).href;
  const worker = new Worker(
    `import(${JSON.stringify(index)}).then(({ createLogger }) => { createLogger({ level: "silent", name: "w" }); });`,
    { eval: true, execArgv: [] },
  );
  const [code] = (await once(worker, "exit")) as [number];
  t.equal(code, 0);
});
