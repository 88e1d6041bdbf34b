import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import t from "tap";
import { LOG_BUFFER_CHARS } from "./log-output.js";

const INDEX = new URL("./index.js", import.meta.url).href;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Runs `body` in a process with `log`, a logger to its standard output, and `say`, which we hear on its standard error. */
function run(t: { teardown(end: () => void): void }, body: string): Child {
  const script = `
    import { createLogger } from ${JSON.stringify(INDEX)};
    import { writeSync } from "node:fs";
    const log = createLogger({ level: "info", name: "child" });
    const say = (what) => writeSync(2, what + "\\n");
    process.stdin.resume().on("end", () => {
      log.info({}, "goodbye");
      log.info({}, "and thanks");
      process.exit(0);
    });
    ${body}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  return child;
}

async function heard(child: Child, what: string): Promise<void> {
  for await (const line of createInterface({ input: child.stderr })) if (line === what) return;
  throw new Error(`the process ended and did not say ${what}`);
}

void t.test("who logs on his way out to a reader that has gone ends all the same", async (t) => {
  const child = run(t, `say("up");`);
  await heard(child, "up");
  child.stdout.destroy();
  const exited = once(child, "exit");
  child.stdin.end();
  t.strictSame(await exited, [0, null]);
});

void t.test("a reader who does not read holds up neither files nor the process' end", async (t) => {
  // More threads that log than the pool has (four), each more than a pipe takes.
  const child = run(
    t,
    `import { Worker } from "node:worker_threads";
    import { stat } from "node:fs/promises";
    const source = \`import(${JSON.stringify(INDEX)}).then(({ createLogger }) => {
      const log = createLogger({ level: "info", name: "shard" });
      for (let line = 0; line < 2000; line++) log.info({ text: "x".repeat(200) }, "m");
      require("node:worker_threads").parentPort.postMessage("logged");
      setInterval(() => {}, 1000);
    });\`;
    const workers = Array.from({ length: 6 }, () => new Worker(source, { eval: true, execArgv: [] }));
    await Promise.all(workers.map((worker) => new Promise((done) => worker.once("message", done))));
    for (let line = 0; line < 2000; line++) log.info({ text: "x".repeat(200) }, "m");
    await stat("/");
    say("files are read");`,
  );
  await heard(child, "files are read");
  const exited = once(child, "exit");
  child.stdin.end();
  t.strictSame(await exited, [0, null]);
});

void t.test("past the bound lines are dropped, and told once somebody reads", async (t) => {
  const lines = Math.ceil((LOG_BUFFER_CHARS / 1_000) * 1.25);
  const child = run(
    t,
    `for (let line = 0; line < ${lines}; line++) log.info({ line, text: "x".repeat(1000) }, "m");
    say("logged");
    setInterval(() => log.info({}, "later"), 20);`,
  );
  await heard(child, "logged");
  let kept = 0;
  let previous = -1;
  let dropped = 0;
  for await (const text of createInterface({ input: child.stdout })) {
    const { line, message, count } = JSON.parse(text) as { line?: number; message: string; count?: number };
    if (line !== undefined) {
      if (line <= previous) t.fail(`line ${line} after ${previous}`);
      previous = line;
      kept++;
    } else if (message === "lines were dropped") dropped += count!;
    else if (kept + dropped >= lines) break;
  }
  t.equal(kept + dropped, lines);
  t.ok(dropped > 0 && kept > lines / 2, `${kept} kept, ${dropped} dropped`);
  child.stdin.end();
});
