import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { placeCall } from "#bench/caller";
import { startEmulators } from "#bench/emulators";
import { DENTIST } from "./node.fixture.js";

// Each has a process of its own; they wait more than they work.
t.jobs = 3;

/** Its bit, of linux/capability.h. */
const CAP_SYS_NICE = 1n << 23n;

interface NodeProcess {
  readonly child: ChildProcess;
  readonly edgeUrl: string;
  readonly adminUrl: string;
  /** Everything it has printed, both streams. */
  printed(): string;
  readonly exited: Promise<number | null>;
}

function spawnNode(environment: Readonly<Record<string, string>>): Omit<NodeProcess, "edgeUrl" | "adminUrl"> {
  const child = spawn(process.execPath, ["dist/node/main.js"], {
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, printed: () => text, exited };
}

async function startNodeProcess(
  t: Test,
  environment: Readonly<Record<string, string>>,
): Promise<NodeProcess> {
  const emulators = await startEmulators({ ttsRealtimeFactor: 200 });
  const directory = mkdtempSync(join(tmpdir(), "lumentra-process-"));
  const node = spawnNode({
    ...emulators.env(),
    LUMENTRA_EDGE_PORT: "0",
    LUMENTRA_ADMIN_PORT: "0",
    LUMENTRA_READY_JSON: "true",
    LUMENTRA_DATA_DIR: directory,
    LUMENTRA_LOG_LEVEL: "debug",
    ...environment,
  });
  t.teardown(async () => {
    node.child.kill("SIGKILL");
    await node.exited;
    await emulators.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const lines = createInterface({ input: node.child.stdout! });
  const ports = await new Promise<{ edgePort: number; adminPort: number }>((resolve, reject) => {
    lines.on("line", (line) => {
      if (line.startsWith('{"event":"listening"'))
        resolve(JSON.parse(line) as { edgePort: number; adminPort: number });
    });
    void node.exited.then((code) => reject(new Error(`the node ended with ${code}: ${node.printed()}`)));
  });
  return {
    ...node,
    edgeUrl: `http://127.0.0.1:${ports.edgePort}`,
    adminUrl: `http://127.0.0.1:${ports.adminPort}`,
  };
}

void t.test(
  "a wrong or unknown setting stops the start with one clear sentence",
  { buffered: true },
  async (t) => {
    const keys = { DEEPGRAM_API_KEY: "a", GROQ_API_KEY: "b", CARTESIA_API_KEY: "c" };
    const wrong: [Record<string, string>, RegExp][] = [
      [
        { LUMENTRA_EDGE_PORT: "http" },
        /^lumentra: LUMENTRA_EDGE_PORT must be a whole number \(got "http"\)\n$/,
      ],
      [{ LUMENTRA_EGDE_PORT: "1" }, /^lumentra: LUMENTRA_EGDE_PORT is not a setting/],
      [{}, /^lumentra: tenant \S+ chose deepgram, but DEEPGRAM_API_KEY is not set/],
      [{ ...keys, LUMENTRA_TENANTS_FILE: "/nowhere.json" }, /^lumentra: \/nowhere.json: ENOENT/],
    ];
    for (const [environment, expected] of wrong) {
      const { exited, printed } = spawnNode({ LUMENTRA_LOG_LEVEL: "silent", ...environment });
      t.equal(await exited, 2);
      t.match(printed(), expected);
      t.equal(printed().trim().split("\n").length, 1);
    }
  },
);

void t.test(
  "SIGTERM drains: live calls go on, new ones are refused, then the process ends by itself",
  { buffered: true },
  async (t) => {
    const node = await startNodeProcess(t, {});
    const call = await placeCall({ nodeUrl: node.edgeUrl, to: DENTIST });
    await call.waitForReply(0);
    node.child.kill("SIGTERM");
    await call.waitUntil("the drain", 5_000, () => /draining/.test(node.printed()));
    t.match(await (await placeCall({ nodeUrl: node.edgeUrl, to: DENTIST })).ended, {
      outcome: { kind: "rejected" },
    });
    const said = await call.say("Is there parking?");
    await call.waitForReply(said.endedAtMs);
    t.match(call.heardText(said.endedAtMs), /free parking/);
    call.hangUp();
    t.equal(await node.exited, 0);
  },
);

void t.test("a second signal ends it now, live calls or not", { buffered: true }, async (t) => {
  const node = await startNodeProcess(t, {});
  const call = await placeCall({ nodeUrl: node.edgeUrl, to: DENTIST });
  await call.waitForReply(0);
  node.child.kill("SIGTERM");
  await call.waitUntil("the drain", 5_000, () => /draining/.test(node.printed()));
  node.child.kill("SIGTERM");
  t.equal(await node.exited, 0);
  await call.ended;
});

void t.test("when the grace has run out the caller is told goodbye", { buffered: true }, async (t) => {
  const node = await startNodeProcess(t, { LUMENTRA_DRAIN_GRACE_S: "6" });
  const call = await placeCall({ nodeUrl: node.edgeUrl, to: DENTIST });
  await call.waitForReply(0);
  node.child.kill("SIGTERM");
  const { outcome } = await call.ended;
  t.equal(outcome.kind, "agentHungUp");
  t.match(call.heardText(), /Goodbye/);
  t.equal(await node.exited, 0);
});

void t.test(
  "logs carry the call's id, and neither words, digits, numbers nor keys",
  { buffered: true },
  async (t) => {
    const secrets = {
      TWILIO_AUTH_TOKEN: "planted-twilio-token",
      SIGNALWIRE_SIGNING_KEY: "planted-signalwire-key",
    };
    const node = await startNodeProcess(t, secrets);
    const from = "+15550107788";
    const call = await placeCall({
      nodeUrl: node.edgeUrl,
      to: DENTIST,
      from,
      authToken: secrets.TWILIO_AUTH_TOKEN,
    });
    await call.waitForReply(0);
    const said = await call.say("My secret word is xylophone.");
    await call.waitForReply(said.endedAtMs);
    call.dtmf("918273#");
    await call.waitForReply(call.nowMs());
    call.hangUp();
    await call.ended;
    const scraped = await (await fetch(`${node.adminUrl}/metrics`)).text();
    node.child.kill("SIGTERM");
    await node.exited;
    const printed = node.printed() + scraped;
    for (const planted of [
      ...Object.values(secrets),
      "lumentra-emulator-key",
      "xylophone",
      "918273",
      from,
      DENTIST,
    ]) {
      t.notOk(printed.includes(planted), `${planted} is not in logs or metrics`);
    }
    const callLines = node
      .printed()
      .split("\n")
      .filter((line) => /media opened|leg ended|"turn"/.test(line));
    t.ok(callLines.length >= 3);
    for (const line of callLines) t.match(JSON.parse(line), { callId: /^[0-9a-f-]{36}$/ });
  },
);

void t.test(
  "the edge's thread goes before all others, those that are made later included",
  { buffered: true },
  async (t) => {
    const node = await startNodeProcess(t, {});
    const pid = node.child.pid!;
    while (!/the edge's thread/.test(node.printed())) await sleep(20);
    const before = nicenesses(pid);
    await fetch(`${node.adminUrl}/shards/0/drain`, { method: "POST" });
    while (![...nicenesses(pid).keys()].some((threadId) => !before.has(threadId))) await sleep(20);
    const others = nicenesses(pid);
    const edge = others.get(pid);
    others.delete(pid);
    // Where a test may not raise a thread the node may not either, and serves as it is.
    t.equal(edge, mayRaise() ? -10 : 0);
    t.same(new Set(others.values()), new Set([0]));
  },
);

/** By thread of a process, whose first has the process's own number. */
function nicenesses(pid: number): Map<number, number> {
  const threads = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(threads.map((threadId) => [threadId, getPriority(threadId)]));
}

function mayRaise(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))![1]!;
  return (BigInt(`0x${effective}`) & CAP_SYS_NICE) !== 0n;
}
