import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { JsonLineProcess } from "./json-line-process.js";
import { startNodeProcess } from "./node-process.js";
import { readUsage, usageSince } from "./usage.js";

async function script(t: { teardown(act: () => Promise<void>): void }, source: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lumentra-process-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, "script.mjs");
  await writeFile(path, source);
  return path;
}

const options = (path: string) => ({
  name: "The script",
  script: path,
  environment: process.env,
  isReady: (line: Readonly<Record<string, unknown>>) => line.kind === "ready",
});

void t.test(
  "the line that says ready is found among others, and the process ends when told to",
  async (t) => {
    const path = await script(
      t,
      `console.log("plain words"); console.log('{"level":30}'); console.log("null");
     console.log('{"kind":"ready","port":7}'); setInterval(() => console.log("x".repeat(1e5)), 1);`,
    );
    const { process: child, ready } = await JsonLineProcess.start(options(path));
    t.equal(ready.port, 7);
    t.ok(child.running);
    t.ok(existsSync(`/proc/${child.pid}`));
    await child.stop();
    t.notOk(child.running);
    t.notOk(existsSync(`/proc/${child.pid}`));
    await child.stop();
  },
);

void t.test("what it logs and what it says are kept, from before and after it was ready", async (t) => {
  const path = await script(
    t,
    `console.log('{"level":40,"msg":"early"}'); console.error("to people"); console.log('{"kind":"ready"}');
     setTimeout(() => console.log('{"level":40,"msg":"late"}'), 50); setInterval(() => {}, 1_000);`,
  );
  const { process: child } = await JsonLineProcess.start(options(path));
  t.teardown(() => child.stop());
  // Two pipes, read when each is.
  while (!/"late"/.test(child.logTail) || !/^to people$/m.test(child.logTail))
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.match(child.logTail, /"early"/);
  t.notMatch(child.logTail, /"ready"/);
});

void t.test("a process that ends before it is ready is an error with its own last words", async (t) => {
  const path = await script(t, `console.error("the port is taken"); process.exit(3);`);
  await t.rejects(JsonLineProcess.start(options(path)), {
    message: /The script ended with code 3 before it was ready:\nthe port is taken/,
  });
});

void t.test("a node with a wrong setting says which one", async (t) => {
  await t.rejects(startNodeProcess({ environment: { LUMENTRA_SHARDS: "many" } }), {
    message: /LUMENTRA_SHARDS/,
  });
});

void t.test("CPU is counted for the whole process and its main thread, memory as it grows", async (t) => {
  const before = readUsage(process.pid);
  // As much of the CPU as the runtime itself says it used, however long a busy machine takes to give it.
  const usedMs = (since: NodeJS.CpuUsage): number => {
    const { user, system } = process.cpuUsage(since);
    return (user + system) / 1000;
  };
  const start = process.cpuUsage();
  while (usedMs(start) < 120);
  const ballast = Buffer.alloc(32 * 2 ** 20, 1);
  const used = usageSince(before, readUsage(process.pid), process.pid);
  t.ok(used.cpuMs >= 90, `${used.cpuMs} ms of CPU`);
  t.ok(used.mainThreadCpuMs > 0 && used.mainThreadCpuMs <= used.cpuMs + 20, `${used.mainThreadCpuMs} ms`);
  t.ok(used.rssGrowthBytes > ballast.length / 2, `${used.rssGrowthBytes} bytes`);
  t.ok(used.elapsedMs >= 90);
});

/** Whoever stopped a benchmark with Ctrl-C kept the data folders of its nodes, and a whole Postgres, in /tmp. */
void t.test("what is interrupted leaves neither processes nor folders", async (t) => {
  const source = new URL("index.js", import.meta.url).href;
  const idle = await script(t, `console.log('{"kind":"ready"}'); setInterval(() => {}, 1_000);`);
  const path = await script(
    t,
    `import { JsonLineProcess, exitOnSignals, makeScratchFolder } from ${JSON.stringify(source)};
     exitOnSignals();
     const isReady = ({ kind }) => kind === "ready";
     const gone = await makeScratchFolder("test");
     await gone.remove();
     const { path } = await makeScratchFolder("test");
     const { process: child } = await JsonLineProcess.start({ name: "x", script: ${JSON.stringify(idle)}, environment: process.env, isReady });
     console.log(JSON.stringify({ kind: "ready", path, gone: gone.path, pid: child.pid }));`,
  );
  const program = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface(program.stdout), "line")) as [string];
  const { path: folder, gone, pid } = JSON.parse(line) as { path: string; gone: string; pid: number };
  t.notOk(existsSync(gone));
  t.ok(existsSync(folder));
  const exited = once(program, "exit");
  program.kill("SIGINT");
  t.same(await exited, [130, null]);
  t.notOk(existsSync(folder));
  // It is killed; its parent being gone, another one buries it when it gets round to it.
  const isAlive = (): boolean => /^State:\s+[^XZ]/m.test(readStatus(pid));
  while (isAlive()) await new Promise((resolve) => setTimeout(resolve, 10));
});

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
