/**
 * One machine, two node processes behind one port: calls spread over both, and those of one that is killed go on at the other.
 * Then their parent is killed while they drain.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type PhoneCall, placeCall } from "#bench/caller";
import { startEmulators } from "#bench/emulators";
import { readUsage } from "#bench/processes";
import { NUMBER, checkJournal, closedJournal, makeTenant, stopAfter } from "./cluster.fixture.js";
import { startCluster } from "./cluster.js";

/** The kernel draws a process for each connection, and phones use one again that is free: more call until both have some. */
const CALLS = 10;
const CALLS_MAX = 40;
const STORY = "one two three four five six seven eight nine ten eleven twelve";

void t.test(
  "two processes share a port; one is killed and its calls go on",
  { timeout: 120_000 },
  async (t) => {
    const emulators = await startEmulators({ seed: 12, ttsRealtimeFactor: 50 });
    t.teardown(() => emulators.close());
    const port = await freePorts(3);
    const cluster = await startCluster({
      nodes: 1,
      providers: emulators.env(),
      prepare: makeTenant,
      nodeEnvironment: {
        LUMENTRA_PROCESSES: "2",
        LUMENTRA_EDGE_PORT: String(port),
        LUMENTRA_WEBHOOK_URL: `http://localhost:${port}`,
        // Longer than the test waits for anything: what ends, ends by itself.
        LUMENTRA_DRAIN_GRACE_S: "120",
      },
    });
    stopAfter(t, cluster);
    const [parent] = cluster.nodes;
    t.equal(parent!.edgeUrl, `http://127.0.0.1:${port}`);
    const before = childrenOf(parent!.pid);
    t.strictSame([...before.keys()].toSorted(), ["node-1-0", "node-1-1"], "each is a node of its own");

    const callUp = async (index: number): Promise<PhoneCall> => {
      const call = await placeCall({
        nodeUrl: parent!.edgeUrl,
        to: NUMBER,
        from: `+1555${3_000_000 + index}`,
      });
      await call.waitForReply(0);
      const said = await call.say(`Please say ${nameOf(index)} ${STORY}`);
      await call.waitForAgentSpeech(said.endedAtMs, 700);
      return call;
    };
    const ownersOf = async (): Promise<ReadonlyMap<string, string>> => {
      const { rows } = await cluster.store.transaction({ kind: "operator" }, "operator:test", (tx) =>
        tx.calls.list({ state: "live" }, { size: 500, after: null }),
      );
      return new Map(rows.map(({ carrierCallId, nodeId }) => [carrierCallId, nodeId]));
    };
    const calls = await Promise.all(Array.from({ length: CALLS }, (_, index) => callUp(index)));
    let owners = await ownersOf();
    while (new Set(owners.values()).size < 2 && calls.length < CALLS_MAX) {
      const more = Array.from({ length: CALLS }, (_, index) => callUp(calls.length + index));
      calls.push(...(await Promise.all(more)));
      owners = await ownersOf();
    }
    const isStruck = (call: PhoneCall): boolean => owners.get(call.callSid) === "node-1-0";
    const struck = calls.filter(isStruck);
    t.ok(
      struck.length > 0 && struck.length < calls.length,
      `${struck.length} of ${calls.length} calls came to the first process`,
    );
    for (const [nodeId, pid] of before) {
      t.comment(`${nodeId}: ${readUsage(pid).threadCpuMs.get(pid)} ms of CPU on its edge thread so far`);
    }

    const page = (path: string): Promise<Response> => fetch(parent!.adminUrl + path);
    t.match(await (await page("/healthz/ready")).json(), {
      ready: true,
      draining: false,
      liveCalls: calls.length,
      processes: [
        { process: 0, liveCalls: struck.length },
        { process: 1, liveCalls: calls.length - struck.length },
      ],
    });
    const everyCall = (await (await page("/calls")).json()) as { calls: { callId: string }[] };
    t.equal(everyCall.calls.length, calls.length, "calls of both are on one page");
    t.equal((await page(`/calls/${everyCall.calls.at(-1)!.callId}/journal`)).status, 200);
    t.equal((await page("/calls/none/journal")).status, 404);
    t.equal(
      ((await (await page("/processes/1/calls")).json()) as { calls: [] }).calls.length,
      calls.length - struck.length,
    );
    const framesIn = async (index: number): Promise<number> => {
      const text = await (await page("/metrics")).text();
      const value = new RegExp(
        `^lumentra_edge_media_frames_total\\{direction="in",process="${index}"\\} (\\d+)`,
        "m",
      ).exec(text)?.[1];
      return Number(value);
    };
    const framesBefore = await framesIn(0);
    t.ok(framesBefore > 0 && (await framesIn(1)) > 0, "figures of each are on one page");

    process.kill(before.get("node-1-0")!, "SIGKILL");
    await Promise.all(
      struck.map((call) => call.waitUntil("a second stream", 20_000, () => call.stats.streamCount === 2)),
    );
    await Promise.all(
      calls.map(async (call, index) => {
        await call.waitForHeard((text) => text.includes("twelve"), 30_000);
        await call.waitForSilence(1_000);
        const said = await call.say(`Please say goodnight ${nameOf(index)}`);
        await call.waitForHeard(
          () =>
            call
              .heardText(said.endedAtMs)
              .toLowerCase()
              .includes(`goodnight ${nameOf(index)}`),
          20_000,
        );
        call.hangUp();
        t.equal((await call.ended).outcome.kind, "callerHungUp", `${nameOf(index)}: was there to the end`);
      }),
    );
    for (const [index, call] of calls.entries()) {
      const resumes = checkJournal(t, await closedJournal(cluster, call), nameOf(index));
      t.equal(
        resumes,
        isStruck(call) ? 1 : 0,
        `${nameOf(index)}: changed hands as often as its process died`,
      );
    }

    let after = childrenOf(parent!.pid);
    while (!after.has("node-1-0")) {
      await sleep(50);
      after = childrenOf(parent!.pid);
    }
    t.not(after.get("node-1-0"), before.get("node-1-0"), "it was started again");
    t.ok((await framesIn(0)) >= framesBefore, "its totals did not fall");
    t.equal(after.get("node-1-1"), before.get("node-1-1"), "and the other was left alone");

    const last = await callUp(calls.length);
    const owner = (await ownersOf()).get(last.callSid)!;
    // As a terminal or systemd does: every process is signalled, and the parent passes it on once more.
    for (const pid of [parent!.pid, ...after.values()]) process.kill(pid, "SIGTERM");
    while (!(await isDraining(page))) await sleep(50);
    await parent!.kill();
    const said = await last.say("Please say farewell");
    await last.waitForHeard(() => last.heardText(said.endedAtMs).toLowerCase().includes("farewell"), 20_000);
    t.ok(isRunning(after.get(owner)!), "a call that talks has its process");
    last.hangUp();
    t.equal((await last.ended).outcome.kind, "callerHungUp", "its call goes on to its end");
    t.match((await closedJournal(cluster, last)).at(-1), { outcome: { kind: "callerHungUp" } });
    while ([...after.values()].some(isRunning)) await sleep(50);
    t.pass("none outlives its parent and its calls"); // M1 of node/processes.ts
  },
);

/** All that are left: one without calls ends within a second. */
async function isDraining(page: (path: string) => Promise<Response>): Promise<boolean> {
  const { draining } = (await (await page("/healthz/ready")).json()) as { draining: boolean };
  return draining;
}

function isRunning(pid: number): boolean {
  try {
    // A zombie whose parent is gone may stay for a while where nobody reaps.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** By node id. */
function childrenOf(pid: number): Map<string, number> {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  const found = new Map<string, number>();
  for (const child of text.trim().split(" ").filter(Boolean).map(Number)) {
    const nodeId = /\0LUMENTRA_NODE_ID=([^\0]+)/.exec(
      `\0${readFileSync(`/proc/${child}/environ`, "utf8")}`,
    )?.[1];
    if (nodeId !== undefined) found.set(nodeId, child);
  }
  return found;
}

/** The first of so many in a row that nobody listens on. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const servers = [];
    try {
      const first = createServer();
      await listen(first, 0);
      servers.push(first);
      const { port } = first.address() as { port: number };
      for (let next = 1; next < count; next++) {
        const server = createServer();
        servers.push(server);
        await listen(server, port + next);
      }
      return port;
    } catch {
      // Somebody has one of them: others are tried.
    } finally {
      for (const server of servers) server.close();
    }
  }
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}

function nameOf(index: number): string {
  const letters = "bdfgklmnprst";
  return `${letters[Math.floor(index / letters.length)]!}o${letters[index % letters.length]!}a`;
}
