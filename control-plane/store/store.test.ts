import t from "tap";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { tenantSettingsSchema } from "#actors/tenants";
import { startTestStore } from "./store.fixture.js";
import type { Scope, Store } from "./store.js";

const OPERATOR: Scope = { kind: "operator" };
const SYSTEM: Scope = { kind: "system" };
const FIRST = { size: 50, after: null } as const;

async function makeTenant(store: Store, resellerId: string, id: string, number: string): Promise<void> {
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    await tx.resellers.create({
      id: resellerId,
      name: resellerId,
      branding: { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" },
      limits: { concurrentCalls: 10, tenants: 10 },
      suspended: false,
    });
    const config = tenantSettingsSchema.parse({
      name: id,
      industry: "test",
      timeZone: "UTC",
      agentName: "Ava",
    });
    await tx.tenants.create({ id, resellerId, suspended: false, config });
    await tx.phoneNumbers.create({ number, tenantId: id, label: "" });
  });
}

/** Events of a call, numbered. */
function journal(callId: string, facts: readonly JournalFact[], epoch = 1, from = 0): JournalEvent[] {
  return facts.map((fact, index) => ({
    ...fact,
    callId,
    epoch,
    sequence: from + index,
    atMs: index,
    atUnixMs: Date.now() + index,
  }));
}

const started = (tenantId: string): JournalFact => ({
  kind: "callStarted",
  tenantId,
  carrier: "twilio",
  carrierCallId: "CA1",
  nodeId: "node-1",
  pii: { from: "+15550100001", to: "+12025550101" },
});
const said = (words: string): JournalFact => ({
  kind: "callerTurn",
  turn: 1,
  throughAtMs: null,
  pii: { said: words },
});
const ended: JournalFact = { kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 60_000 };

void t.test("a call's journal: in order, once, under one lease after the other", async (t) => {
  const { store } = await startTestStore(t);
  await makeTenant(store, "acme", "dentist", "+12025550101");
  const append = (epoch: number, nodeId: string, events: readonly JournalEvent[]) =>
    store.transaction(SYSTEM, "node:x", (tx) => tx.calls.append("c1", epoch, nodeId, events));
  const whole = journal("c1", [started("dentist"), said("Is there parking?")], 5);
  t.match(await append(5, "node-1", whole), { kind: "stored", nextSequence: 2, call: { state: "live" } });
  t.match(await append(5, "node-1", whole), { kind: "stored", nextSequence: 2 }, "repeats are fine");
  t.match(await append(5, "node-1", journal("c1", [ended], 5, 3)), { kind: "gap", nextSequence: 2 });
  t.match(await append(5, "node-1", journal("c1", [{ kind: "legLost" }], 5, 2)), {
    kind: "stored",
    call: { state: "suspended" },
  });
  const resumed: JournalFact = { kind: "callResumed", nodeId: "node-2", gapMs: 900, reason: "legLost" };
  t.match(await append(6, "node-2", journal("c1", [resumed], 6, 3)), {
    kind: "stored",
    call: { state: "live", nodeId: "node-2", resumes: 1 },
  });
  t.same(await append(5, "node-1", journal("c1", [said("late")], 5, 4)), { kind: "leaseLost", epoch: 6 });
  const fence = (epoch: number) =>
    store.transaction(SYSTEM, "node:x", async (tx) => [
      await tx.calls.fence("c1", epoch),
      (await tx.calls.journal("c1", 0, 100))!.length,
    ]);
  t.same(await fence(7), [7, 4], "a third owner reads, and from then on");
  t.same(await append(6, "node-2", journal("c1", [said("late too")], 6, 4)), { kind: "leaseLost", epoch: 7 });
  t.same(await fence(6), [7, 4], "an older one fences nobody");
  t.match(await append(7, "node-2", journal("c1", [ended], 7, 4)), {
    kind: "stored",
    call: { state: "ended", outcome: "callerHungUp" },
  });
  t.match(await append(7, "node-2", journal("c1", [said("more")], 7, 5)), { kind: "ended" });
  const read = await store.transaction(OPERATOR, "operator:test", (tx) => tx.calls.journal("c1", 0, 100));
  t.same(
    read!.map(({ kind }) => kind),
    ["callStarted", "callerTurn", "legLost", "callResumed", "callEnded"],
  );
  t.same(read!.slice(0, 2), whole, "what is read is what was written");
  const usage = await store.transaction(OPERATOR, "operator:test", (tx) =>
    tx.usage.query({ fromDay: "2000-01-01", toDay: "2999-01-01" }, "tenant", FIRST),
  );
  t.match(usage.rows, [{ tenantId: "dentist", calls: 1 }]);
  const found = await store.transaction(OPERATOR, "operator:test", (tx) =>
    tx.calls.list({ query: "PARKING" }, FIRST),
  );
  t.equal(found.rows.length, 1);
});

void t.test("nobody sees or touches what is another's", async (t) => {
  const { store } = await startTestStore(t);
  await makeTenant(store, "acme", "dentist", "+12025550101");
  await makeTenant(store, "rival", "florist", "+12025550102");
  await store.transaction(SYSTEM, "node:x", (tx) =>
    tx.calls.append("c1", 1, "node-1", journal("c1", [started("dentist"), said("secret words")])),
  );
  await store.transaction(OPERATOR, "operator:x", (tx) => tx.secrets.set("dentist", "token", "t0ken"));
  const strangers: Scope[] = [
    { kind: "reseller", resellerId: "rival" },
    { kind: "tenant", tenantId: "florist" },
    { kind: "reseller", resellerId: "' OR '1'='1" },
    { kind: "tenant", tenantId: "" },
  ];
  for (const scope of strangers) {
    await store.transaction(scope, "key:stranger", async (tx) => {
      t.equal(await tx.tenants.get("dentist"), null);
      t.equal(await tx.phoneNumbers.get("+12025550101"), null);
      t.equal(await tx.calls.get("c1"), null);
      t.equal(await tx.calls.journal("c1", 0, 10), null);
      t.equal(await tx.secrets.all("dentist"), null);
      t.equal(await tx.resellers.get("acme"), null);
      for (const query of ["secret", "%", "' OR 1=1 --", "\\", "_"]) {
        t.same((await tx.calls.list({ query, tenantId: "dentist" }, FIRST)).rows, []);
        t.same((await tx.tenants.list({ query, resellerId: "acme" }, FIRST)).rows, []);
      }
      t.same((await tx.audit.list({ resellerId: "acme" }, FIRST)).rows, []);
      t.equal(await tx.tenants.update("dentist", "", { suspended: true }), null);
      t.equal(await tx.tenants.delete("dentist", ""), null);
      t.equal(await tx.phoneNumbers.delete("+12025550101", ""), null);
    });
  }
  const own = await store.transaction({ kind: "reseller", resellerId: "acme" }, "key:own", (tx) =>
    tx.calls.list({ query: "secret words" }, FIRST),
  );
  t.equal(own.rows.length, 1, "its own it finds");
});
