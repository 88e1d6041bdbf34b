/**
 * Whole nodes and a control plane at the wire: what callers and journals notice of it, of its absence, and of another
 * owner.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { JournalEvent } from "#actors/journal";
import { parseTenantsFile } from "#actors/tenants";
import type { PhoneCall } from "#bench/caller";
import { type TestNode, startTestNode } from "../node.fixture.js";
import { FakeControlPlane } from "./control-plane.fixture.js";

// Mostly waiting for speech to be spoken: side by side.
t.jobs = 3;

async function startPlane(t: Test): Promise<FakeControlPlane> {
  const plane = new FakeControlPlane();
  for (const tenant of parseTenantsFile("config/tenants.json")) {
    plane.setTenant({ ...tenant, greeting: `This is ${tenant.name}.` });
  }
  await plane.start();
  t.teardown(() => plane.stop());
  return plane;
}

/** A node that the plane knows by this id. */
async function startMember(
  t: Test,
  plane: FakeControlPlane,
  nodeId = "node-a",
  directory?: string,
): Promise<TestNode> {
  const member = await startTestNode(t, {
    environment: {
      LUMENTRA_CONTROL_PLANE: plane.target,
      LUMENTRA_BOOTSTRAP_TOKEN: "bootstrap-token-0001",
      LUMENTRA_NODE_ID: nodeId,
      LUMENTRA_REGION: nodeId, // the fixture tells nodes apart by it
      ANTHROPIC_API_KEY: "", // one provider is not set up
      ...(directory !== undefined && { LUMENTRA_DATA_DIR: directory }),
    },
  });
  return member;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The control plane's journal of the call, once it is closed. */
async function storedJournal(plane: FakeControlPlane, call: PhoneCall): Promise<readonly JournalEvent[]> {
  const find = (): JournalEvent[] | undefined =>
    [...plane.journals.values()].find(
      ([first]) => first?.kind === "callStarted" && first.carrierCallId === call.callSid,
    );
  await until(() => find()?.at(-1)?.kind === "callEnded");
  return find()!;
}

/** Durations lose fractions of nanoseconds on the wire. */
function essence({ kind, epoch, atUnixMs, ...rest }: JournalEvent): unknown {
  return { kind, epoch, atUnixMs, pii: "pii" in rest ? rest.pii : null };
}

function isWhole(t: Test, journal: readonly JournalEvent[], what: string): void {
  t.same(
    journal.map(({ sequence }) => sequence),
    journal.map((_, index) => index),
    `${what}: whole, in order, each once`,
  );
}

void t.test("a call by the book: placed, confirmed, journaled, released", { buffered: true }, async (t) => {
  const plane = await startPlane(t);
  const member = await startMember(t, plane);
  await until(() => plane.nodes.has("node-a"));
  t.ok(plane.readyAtHello.has("node-a"), "placement may give it calls from the welcome on");
  const call = await member.call();
  await call.waitForReply(0);
  const [lease] = plane.leases.values();
  t.match(lease, {
    nodeId: "node-a",
    tenantId: "bright-smile-dental",
    carrierCallId: call.callSid,
    live: true,
  });
  call.hangUp();
  const journal = await storedJournal(plane, call);
  isWhole(t, journal, "its journal");
  t.match(journal[0], { callId: lease!.callId, epoch: lease!.epoch, nodeId: "node-a" });
  t.match(journal.at(-1), { outcome: { kind: "callerHungUp" } });
  await until(() => plane.leases.size === 0);
  t.match(
    (await member.admin("/metrics")).text,
    /lumentra_placements_total\{path="remote",result="here"\} 1/,
  );
});

void t.test(
  "the control plane goes away in mid-call and comes back: callers notice nothing, nothing is lost",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const member = await startMember(t, plane);
    await until(() => plane.nodes.has("node-a"));
    const before = await member.call();
    await before.waitForReply(0);
    plane.stop();
    const said = await before.say("Is there parking?");
    await before.waitForReply(said.endedAtMs);
    t.match(before.heardText(said.endedAtMs), /free parking/);
    const during = await member.call({ from: "+15550100002" });
    await during.waitForReply(0);
    before.hangUp();
    await before.ended;
    await plane.start();
    await until(() =>
      [...plane.leases.values()].some(({ carrierCallId }) => carrierCallId === during.callSid),
    );
    t.pass("the lease of a call that the node placed itself is claimed");
    during.hangUp();
    for (const call of [before, during]) {
      const journal = await storedJournal(plane, call);
      isWhole(t, journal, "its journal");
      const own = await member.journal(call);
      t.same(journal.map(essence), own.map(essence), "and is the node's own");
    }
  },
);

void t.test(
  "a node that starts while nobody answers serves the tenants it knew, and hands over what was spooled",
  { buffered: true },
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "lumentra-member-"));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const plane = await startPlane(t);
    const first = await startMember(t, plane, "node-a", directory);
    await until(() => plane.nodes.has("node-a"));
    await first.node.close();
    plane.stop();

    const second = await startMember(t, plane, "node-a", directory);
    const call = await second.call();
    await call.waitForReply(0);
    t.match(call.heardText(), /Bright Smile Dental/);
    call.hangUp();
    await second.journal(call);
    await second.node.close();
    t.ok(readdirSync(join(directory, "spool")).length > 0, "its journal is on disk");

    await plane.start();
    await startMember(t, plane, "node-a", directory);
    isWhole(t, await storedJournal(plane, call), "the journal that a former process wrote");

    const cache = join(directory, "tenants-cache.json");
    writeFileSync(cache, readFileSync(cache, "utf8").replace("Dental", "Mental"));
    plane.stop();
    const blind = await startMember(t, plane, "node-b", directory);
    t.match(
      await (await blind.call()).ended,
      { outcome: { kind: "rejected" } },
      "a damaged cache is as good as none",
    );
    const { status, text } = await blind.admin("/healthz/ready");
    t.equal(status, 503, "and who does not know whom to answer for asks for no calls");
    t.match(JSON.parse(text), { ready: false, reason: /told the tenants/ });
    await plane.start();
    while ((await blind.admin("/healthz/ready")).status !== 200);
  },
);

void t.test(
  "tenants change while the node serves: new, changed, suspended, gone",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const member = await startMember(t, plane);
    const [dentist] = parseTenantsFile("config/tenants.json");
    const outcome = async () => (await (await member.call()).ended).outcome.kind;
    const isRejected = async (): Promise<void> => {
      while ((await outcome()) !== "rejected");
    };
    plane.setTenant({ ...dentist!, instructions: "suspended", overflow: { kind: "busy" } });
    await isRejected();
    t.match((await member.admin("/metrics")).text, /admission_refusals_total\{reason="suspended"\} [1-9]/);
    const llm = { ...dentist!.llm, provider: "anthropic" } as const;
    plane.setTenant({ ...dentist!, llm, overflow: { kind: "busy" } });
    const isMissing = /admission_refusals_total\{reason="providerMissing"\} [1-9]/;
    do await isRejected();
    while (!isMissing.test((await member.admin("/metrics")).text));
    plane.setTenant({ ...dentist!, greeting: "Welcome to the new place." });
    for (;;) {
      const call = await member.call();
      if (call.outcome === null) {
        await call.waitForHeard(() => /Welcome to the new place/.test(call.heardText()));
        call.hangUp();
        break;
      }
      await call.ended;
    }
    plane.deleteTenant(dentist!.id);
    await isRejected();
    t.match(
      (await member.admin("/metrics")).text,
      /admission_refusals_total\{reason="unknownNumber"\} [1-9]/,
    );
  },
);

void t.test(
  "a call whose lease is another's ends here without a word, and nothing more of it is written",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const member = await startMember(t, plane);
    await until(() => plane.nodes.has("node-a"));
    const call = await member.call();
    await call.waitForReply(0);
    const { callId } = [...plane.leases.values()][0]!;
    await until(() => (plane.journals.get(callId)?.length ?? 0) > 1);
    plane.placeOn = "node-b";
    plane.nodes.set("node-b", { mediaUrl: "ws://127.0.0.1:9", stream: null, draining: false });
    const { epoch } = plane.moveLease(callId, "node-b");
    const written = plane.journals.get(callId)!.length;
    plane.command("node-a", { leaseLost: { callId, epoch } });
    t.match(await call.ended, { outcome: { kind: "mediaFailed" } }, "the carrier is sent to the owner");
    t.notMatch(call.heardText(), /goodbye|sorry/i);
    t.equal(plane.journals.get(callId)!.length, written);
    t.match((await member.admin("/metrics")).text, /lumentra_lease_losses_total 1/);
    t.equal((JSON.parse((await member.admin("/calls")).text) as { calls: unknown[] }).calls.length, 0);
  },
);

/**
 * Two nodes started at once, and the first call was lost: placement knows a node from its hello, so that one node sent
 * a caller to another which had not read its welcome yet, knew no keys but its own, and refused the media socket.
 */
void t.test(
  "a node that is known to placement takes media before it has heard its welcome",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const a = await startMember(t, plane, "node-a");
    await until(() => plane.nodes.has("node-a"));
    let welcome: () => void = () => {};
    plane.welcomeDelay = new Promise((resolve) => (welcome = resolve));
    const b = await startMember(t, plane, "node-b");
    await until(() => plane.nodes.has("node-b"));
    plane.placeOn = "node-b";
    const call = await a.call();
    t.equal(call.outcome, null, "the media socket was let in");
    await call.waitForReply(0);
    t.match((await b.admin("/metrics")).text, /lumentra_control_plane_up 0/);
    welcome();
    call.hangUp();
    t.match((await storedJournal(plane, call))[0], { nodeId: "node-b" });
  },
);

void t.test("operators hang up, drain and undrain", { buffered: true }, async (t) => {
  const plane = await startPlane(t);
  const member = await startMember(t, plane);
  await until(() => plane.nodes.has("node-a"));
  const call = await member.call();
  await call.waitForReply(0);
  const { callId } = [...plane.leases.values()][0]!;
  plane.command("node-a", { hangUp: { callId, reason: "operator" } });
  t.match(await call.ended, { outcome: { kind: "agentHungUp" } });
  t.match(call.heardText(), /goodbye/i);
  t.match((await storedJournal(plane, call)).at(-1), { outcome: { kind: "operatorHungUp" } });
  plane.command("node-a", { drain: { draining: true } });
  for (;;) {
    const { outcome } = await (await member.call()).ended;
    if (outcome.kind === "rejected") break;
  }
  plane.command("node-a", { drain: { draining: false } });
  for (;;) {
    const again = await member.call();
    if (again.outcome !== null) continue;
    const answered = await again.waitForReply(0).then(
      () => true,
      () => false,
    );
    again.hangUp();
    if (answered) break;
  }
  t.pass("calls are taken again");
});

void t.test(
  "a call placed on another node: its media goes there, and that node owns it",
  { buffered: true },
  async (t) => {
    const plane = await startPlane(t);
    const [a, b] = [await startMember(t, plane, "node-a"), await startMember(t, plane, "node-b")];
    await until(() => plane.nodes.has("node-a") && plane.nodes.has("node-b"));
    plane.placeOn = "node-b";
    const call = await a.call();
    await call.waitForReply(0);
    t.match(call.heardText(), /Bright Smile Dental/);
    t.match([...plane.leases.values()][0], { nodeId: "node-b", live: true });
    const callsOf = async ({ admin }: TestNode) =>
      (JSON.parse((await admin("/calls")).text) as { calls: unknown[] }).calls.length;
    t.equal(await callsOf(a), 0);
    t.equal(await callsOf(b), 1);
    call.hangUp();
    const journal = await storedJournal(plane, call);
    t.match(journal[0], { nodeId: "node-b" });
    t.match(
      (await a.admin("/metrics")).text,
      /lumentra_placements_total\{path="remote",result="elsewhere"\} 1/,
    );
  },
);
