/** A call outlives its node: heard by the caller, written in one journal. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { placeCall } from "#bench/caller";
import { startEmulators } from "#bench/emulators";
import type { JournalEvent } from "#actors/journal";
import { parseTenantsFile } from "#actors/tenants";
import { FakeControlPlane } from "./control/control-plane.fixture.js";
import { DENTIST, factsOf, startTestNode } from "./node.fixture.js";
import { isOneJournal, midReply, resumed } from "./resume.fixture.js";

async function startPlane(t: Test): Promise<FakeControlPlane> {
  const plane = new FakeControlPlane();
  for (const tenant of parseTenantsFile("config/tenants.json"))
    plane.setTenant({ ...tenant, greeting: "Hello there." });
  await plane.start();
  t.teardown(() => plane.stop());
  return plane;
}

void t.test("a node is killed in mid-call: another goes on with it, from the journal", async (t) => {
  const plane = await startPlane(t);
  const survivor = await startTestNode(t, {
    environment: {
      LUMENTRA_CONTROL_PLANE: plane.target,
      LUMENTRA_NODE_ID: "node-b",
      LUMENTRA_REGION: "node-b",
    },
  });
  const emulators = await startEmulators({ seed: 7, ttsRealtimeFactor: 200 });
  const directory = mkdtempSync(join(tmpdir(), "lumentra-doomed-"));
  const doomed = spawn(process.execPath, ["dist/node/main.js"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      ...emulators.env(),
      LUMENTRA_EDGE_PORT: "0",
      LUMENTRA_ADMIN_PORT: "0",
      LUMENTRA_SHARDS: "1",
      LUMENTRA_READY_JSON: "true",
      LUMENTRA_DATA_DIR: directory,
      LUMENTRA_LOG_LEVEL: "silent",
      LUMENTRA_CONTROL_PLANE: plane.target,
      LUMENTRA_NODE_ID: "node-a",
      LUMENTRA_REGION: "node-a",
      // As a balancer would, once the node is gone.
      LUMENTRA_WEBHOOK_URL: survivor.nodeUrl,
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const gone = new Promise<void>((resolve) => doomed.once("close", () => resolve()));
  t.teardown(async () => {
    doomed.kill("SIGKILL");
    await gone;
    await emulators.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const edgePort = await new Promise<number>((resolve) => {
    createInterface({ input: doomed.stdout }).on("line", (line) => {
      if (line.startsWith('{"event":"listening"'))
        resolve((JSON.parse(line) as { edgePort: number }).edgePort);
    });
  });
  while (!plane.nodes.has("node-a") || !plane.nodes.has("node-b")) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const call = await placeCall({ nodeUrl: `http://127.0.0.1:${edgePort}`, to: DENTIST });
  await call.waitForReply(0);
  const asked = await call.say("When are you open?");
  await midReply(call, asked.endedAtMs);
  doomed.kill("SIGKILL");
  await resumed(call);
  const backAtMs = call.nowMs();
  await call.waitForReply(backAtMs);
  t.notMatch(call.heardText(backAtMs), /Hello there/);
  const said = await call.say("Is there parking?");
  await call.waitForReply(said.endedAtMs);
  t.match(call.heardText(said.endedAtMs), /free parking/);
  call.hangUp();
  const find = (): JournalEvent[] | undefined =>
    [...plane.journals.values()].find(([first]) => first?.kind === "callStarted");
  while (find()?.at(-1)?.kind !== "callEnded") await new Promise((resolve) => setTimeout(resolve, 10));
  const journal = find()!;
  isOneJournal(t, journal);
  t.match(journal[0], { nodeId: "node-a" });
  t.match(factsOf(journal, "callResumed"), [{ nodeId: "node-b" }]);
  t.equal([...plane.journals.keys()].length, 1, "it is the same call");
});
