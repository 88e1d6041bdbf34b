import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Children } from "./children.js";

const READY = 'console.log(JSON.stringify({ event: "listening", pid: process.pid }));';
const STAYS = "setInterval(() => {}, 1_000);";

function rig(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), "lumentra-children-"));
  const lines: string[] = [];
  const children = new Children((line) => lines.push(line));
  t.teardown(async () => {
    children.kill();
    await children.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const start = (name: string, source: string) => {
    const script = join(folder, `${name}.mjs`);
    writeFileSync(script, source);
    const isReady = (line: Readonly<Record<string, unknown>>): boolean => line["event"] === "listening";
    return children.start({ name, script, environment: { PATH: process.env["PATH"] }, isReady });
  };
  const said = async (text: string): Promise<void> => {
    while (!lines.some((line) => line.includes(text))) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { children, start, said, lines };
}

void t.test("they end in the reverse order of their start, and that is nobody's unasked end", async (t) => {
  const { children, start, lines } = rig(t);
  children.onExit((name) => t.fail(`${name} ended by itself`));
  const ends = `process.on("SIGTERM", () => { console.log("ends"); process.exit(); });`;
  await start("first", ends + STAYS + READY);
  await start("second", ends + STAYS + READY);
  await Promise.all([children.stop(), children.stop()]);
  t.match(lines, [/second.*ends/, /first.*ends/]);
  t.equal(lines.length, 2);
});

void t.test("one that ends by itself is told of, with its code", async (t) => {
  const { children, start } = rig(t);
  const ended = new Promise((resolve) => children.onExit((name, code) => resolve([name, code])));
  await start("short", `${READY} setTimeout(() => process.exit(3), 50);`);
  t.same(await ended, ["short", 3]);
});

void t.test("one that is on its way up when all are stopped ends, and no other is started", async (t) => {
  const { children, start, said } = rig(t);
  children.onExit((name) => t.fail(`${name} never served`));
  const starting = start("slow", `console.log("loading"); ${STAYS}`);
  await said("loading");
  await Promise.all([t.rejects(starting, /slow ended/), children.stop()]);
  await t.rejects(start("late", READY + STAYS), /late was not started/);
});

void t.test("one that is killed takes along what it started", async (t) => {
  const { children, start } = rig(t);
  const below = `process.on("SIGTERM", () => {}); ${STAYS}`;
  const { pid } = await start(
    "parent",
    `import { spawn } from "node:child_process";
    const child = spawn(process.execPath, ["-e", ${JSON.stringify(below)}], { stdio: "inherit" });
    console.log(JSON.stringify({ event: "listening", pid: child.pid }));
    process.on("SIGTERM", () => {}); ${STAYS}`,
  );
  const stopping = children.stop();
  children.kill();
  // Until the output of both is closed.
  await stopping;
  t.notOk(isRunning(pid as number));
});

void t.test("one that does not heed is killed when that is asked for", async (t) => {
  const { children, start } = rig(t);
  await start("deaf", `process.on("SIGTERM", () => {}); ${READY} ${STAYS}`);
  const stopping = children.stop();
  children.kill();
  await stopping;
  t.pass("it has ended");
});

function isRunning(pid: number): boolean {
  try {
    // A zombie whose parent is gone may stay for a while where nobody reaps.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
