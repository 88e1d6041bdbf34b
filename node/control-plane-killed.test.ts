/**
 * Nodes and a control plane that is a process of its own, over Postgres, with the directory in its memory: killed in
 * mid-call it costs nobody anything, and forgets nothing that matters.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import type { JournalEvent } from "#actors/journal";
import { parseTenantsFile } from "#actors/tenants";
import type { PhoneCall } from "#bench/caller";
import { startTestStore } from "../control-plane/store/store.fixture.js";
import { type TestNode, factsOf, startTestNode } from "./node.fixture.js";
import { isOneJournal, midReply, resumed } from "./resume.fixture.js";

const BOOTSTRAP_TOKEN = "a bootstrap token of tests";
const { store, appUrl } = await startTestStore(t);

interface Plane {
  readonly target: string;
  readonly kill: () => Promise<void>;
}

/** On any port, or on the one it had. */
async function startPlane(t: Test, port = 0): Promise<Plane> {
  const child: ChildProcess = spawn(process.execPath, ["dist/control-plane/main.js"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      DATABASE_URL: appUrl,
      LUMENTRA_GRPC_PORT: String(port),
      LUMENTRA_CONTROL_PLANE_ADMIN_PORT: "0",
      LUMENTRA_READY_JSON: "true",
      LUMENTRA_LOG_LEVEL: "silent",
      LUMENTRA_BOOTSTRAP_TOKEN: BOOTSTRAP_TOKEN,
      LUMENTRA_CLUSTER_KEY: "a cluster key for tests, 32 characters long",
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  t.teardown(kill);
  const grpcPort = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.startsWith('{"event":"listening"')) {
        resolve((JSON.parse(line) as { grpcPort: number }).grpcPort);
      }
    });
    void gone.then(() => reject(new Error("the control plane ended")));
  });
  return { target: `127.0.0.1:${grpcPort}`, kill };
}

async function seed(): Promise<void> {
  await store.transaction({ kind: "operator" }, "test", async (tx) => {
    await tx.resellers.create({
      id: "reseller",
      name: "Reseller",
      branding: { displayName: "R", logoUrl: "", primaryColor: "", supportEmail: "" },
      limits: { concurrentCalls: 100, tenants: 10 },
      suspended: false,
    });
    for (const { id, numbers, ...config } of parseTenantsFile("config/tenants.json")) {
      const greeting = "Hello there.";
      await tx.tenants.create({
        id,
        resellerId: "reseller",
        suspended: false,
        config: { ...config, greeting },
      });
      for (const number of numbers) await tx.phoneNumbers.create({ number, tenantId: id, label: "" });
    }
  });
}

async function startMember(
  t: Test,
  plane: Plane,
  nodeId: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<TestNode> {
  const member = await startTestNode(t, {
    environment: {
      LUMENTRA_CONTROL_PLANE: plane.target,
      LUMENTRA_BOOTSTRAP_TOKEN: BOOTSTRAP_TOKEN,
      LUMENTRA_NODE_ID: nodeId,
      ...environment,
    },
  });
  await isUp(member);
  return member;
}

async function isUp(member: TestNode): Promise<void> {
  while (!(await member.admin("/metrics")).text.includes("lumentra_control_plane_up 1")) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A node that has just come is placed on a moment later; until then its calls go to the other. */
async function callOn(member: TestNode): Promise<PhoneCall> {
  for (;;) {
    const call = await member.call();
    if ((await member.admin("/calls")).text.includes(call.callSid)) return call;
    call.hangUp();
    await call.ended;
  }
}

/** A start may take half a minute on a busy machine, and the agent hangs up on those who say nothing for as long. */
async function talkUntil(call: PhoneCall, over: Promise<unknown>): Promise<void> {
  const state = { isOver: false };
  const ended = over.finally(() => (state.isOver = true));
  while (!state.isOver) {
    const said = await call.say("Is there parking?");
    await call.waitForReply(said.endedAtMs);
  }
  await ended;
}

/** As Postgres has it, once it is closed. */
async function storedJournal(call: PhoneCall): Promise<readonly JournalEvent[]> {
  for (;;) {
    const journal = await store.transaction({ kind: "operator" }, "test", async (tx) => {
      const { rows } = await tx.calls.list({}, { size: 100, after: null });
      const row = rows.find(({ carrierCallId }) => carrierCallId === call.callSid);
      return row === undefined ? null : tx.calls.journal(row.id, 0, 1_000);
    });
    if (journal?.at(-1)?.kind === "callEnded") return journal;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await seed();
// Mostly waiting for speech to be spoken: side by side.
t.jobs = 2;

void t.test(
  "the control plane is killed in mid-call and comes back without a memory: nothing is lost",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const member = await startMember(t, plane, "node-a");
    const before = await member.call();
    await before.waitForReply(0);
    await plane.kill();
    const said = await before.say("Is there parking?");
    await before.waitForReply(said.endedAtMs);
    t.match(before.heardText(said.endedAtMs), /free parking/);
    const during = await member.call({ from: "+15550100002" });
    await during.waitForReply(0);
    t.match(during.heardText(), /Hello there/, "a new call is answered meanwhile");
    before.hangUp();
    await before.ended;
    await talkUntil(
      during,
      startPlane(t, Number(plane.target.split(":")[1])).then(() => isUp(member)),
    );
    const again = await during.say("Is there parking?");
    await during.waitForReply(again.endedAtMs);
    during.hangUp();
    for (const call of [before, during]) {
      const journal = await storedJournal(call);
      isOneJournal(t, journal);
      t.match(journal.at(-1), { outcome: { kind: "callerHungUp" } });
      t.equal(journal.length, (await member.journal(call)).length, "all that the node wrote");
    }
  },
);

void t.test(
  "a call whose media breaks goes on where the redirect arrives, and its old owner lets go",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const b = await startMember(t, plane, "node-b");
    const a = await startMember(t, plane, "node-a", { LUMENTRA_WEBHOOK_URL: b.nodeUrl });
    const call = await callOn(a);
    await call.waitForReply(0);
    const asked = await call.say("When are you open?");
    await midReply(call, asked.endedAtMs);
    call.cutMedia();
    await resumed(call);
    const backAtMs = call.nowMs();
    await call.waitForReply(backAtMs);
    t.notMatch(call.heardText(backAtMs), /Hello there/);
    const said = await call.say("Is there parking?");
    await call.waitForReply(said.endedAtMs);
    t.match(call.heardText(said.endedAtMs), /free parking/);
    call.hangUp();
    const journal = await storedJournal(call);
    isOneJournal(t, journal);
    t.match(journal[0], { nodeId: "node-a" });
    t.match(factsOf(journal, "callResumed"), [{ nodeId: "node-b" }]);
    const metricsOfA = (await a.admin("/metrics")).text;
    t.notMatch(metricsOfA, /lumentra_calls\{state="suspended"\} 1/, "node-a does not wait for it");
  },
);
