/** Calls that crash again and again: each ends with words, and a tenant whose calls do is kept from new ones. */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { type TenantConfig, tenantSchema } from "#actors/tenants";
import { DEATHS } from "./deaths.fixture.js";
import { DENTIST, RESTAURANT, factsOf, startTestNode } from "./node.fixture.js";
import { DYING_SHARD_ENTRY } from "./deaths.fixture.js";
import {
  CRASHING_CALLS_MAX,
  KILLS_MAX,
  QUARANTINE_WINDOW_MS,
  Quarantine,
  RELEASE_AFTER_MS,
} from "./quarantine.js";
import { isOneJournal } from "./resume.fixture.js";

function rig() {
  const clock = new VirtualClock();
  const tenantOf = (greeting: string): TenantConfig =>
    tenantSchema.parse({
      id: "test",
      name: "Test Dental",
      industry: "dental practice",
      numbers: ["+12025550101"],
      timeZone: "America/New_York",
      agentName: "Ava",
      greeting,
    });
  let tenant = tenantOf("Hello there.");
  const quarantine = new Quarantine({
    clock,
    log: silentLogger,
    tenantOf: () => tenant,
  });
  /** A call that begins now. */
  const begin = (callId: string) => ({ callId, tenantId: "test", tenant });
  const change = (greeting: string): void => {
    tenant = tenantOf(greeting);
    quarantine.reconsider();
  };
  return { clock, quarantine, begin, change };
}

void t.test(
  "one call alone never puts its tenant in quarantine; several do, and others are not touched",
  (t) => {
    const { quarantine, begin } = rig();
    for (let crash = 0; crash < 20; crash += 1) quarantine.noteCrash(begin("call-0"));
    t.notOk(quarantine.isQuarantined("test"));
    for (let call = 1; call < CRASHING_CALLS_MAX; call += 1) quarantine.noteCrash(begin(`call-${call}`));
    t.ok(quarantine.isQuarantined("test"));
    t.notOk(quarantine.isQuarantined("other"));
    t.match(quarantine.list(), [{ tenantId: "test", reason: "crashes" }]);
    t.end();
  },
);

void t.test("crashes far apart are no pattern", (t) => {
  const { clock, quarantine, begin } = rig();
  for (let call = 0; call < 20; call += 1) {
    quarantine.noteCrash(begin(`call-${call}`));
    clock.advance(QUARANTINE_WINDOW_MS / 2 + 1);
  }
  t.notOk(quarantine.isQuarantined("test"));
  t.end();
});

void t.test("shards taken down count for themselves; time or another configuration sets free", (t) => {
  const { clock, quarantine, begin, change } = rig();
  const kill = (): void => {
    for (let kills = 0; kills < KILLS_MAX; kills += 1) quarantine.noteKill(begin("call-1"));
  };
  kill();
  t.match(quarantine.list(), [{ reason: "kills" }]);
  quarantine.reconsider();
  t.ok(quarantine.isQuarantined("test"), "the same configuration, read again");
  clock.advance(RELEASE_AFTER_MS);
  kill(); // nobody has called since
  t.ok(quarantine.isQuarantined("test"));
  clock.advance(RELEASE_AFTER_MS);
  t.notOk(quarantine.isQuarantined("test"));
  kill();
  change("Good morning.");
  t.notOk(quarantine.isQuarantined("test"));
  t.end();
});

/** Calls keep the configuration they began with: those of before a repair put the tenant back, as often as it was repaired. */
void t.test("what began before a repair is not held against what repaired it", (t) => {
  const { quarantine, begin, change } = rig();
  const before = Array.from({ length: 6 }, (_, index) => begin(`call-${index}`));
  for (const call of before.slice(0, 3)) quarantine.noteCrash(call);
  t.ok(quarantine.isQuarantined("test"));
  change("Good morning.");
  for (const call of before) quarantine.noteCrash(call);
  for (const call of before) quarantine.noteKill(call);
  t.notOk(quarantine.isQuarantined("test"));
  quarantine.noteCrash(begin("call-6"));
  quarantine.noteCrash(begin("call-7"));
  t.notOk(quarantine.isQuarantined("test"), "two of its own, and none of before");
  quarantine.noteCrash(begin("call-8"));
  t.ok(quarantine.isQuarantined("test"));
  t.end();
});

void t.test("at the wire: the third crash ends a call with words, the third call its tenant's", async (t) => {
  const { call, journal, admin } = await startTestNode(t, {
    shardEntry: DYING_SHARD_ENTRY,
    tenants: { "bright-smile-dental": { greeting: "Hello there.", overflow: { kind: "busy" } } },
  });
  for (let number = 0; number < CRASHING_CALLS_MAX; number += 1) {
    const phone = await call({ to: DENTIST });
    await phone.waitForReply(0);
    // The first crashes to its end, the others go on.
    const crashes = number === 0 ? 3 : 1;
    for (let crash = 1; crash <= crashes; crash += 1) {
      phone.dtmf(DEATHS.crashes);
      if (crash === 3) break;
      await takenOver(phone.callSid, crash);
    }
    if (number === 0) {
      t.match(await phone.ended, { outcome: { kind: "agentHungUp" } });
      t.match(phone.heardText(), /something went wrong on our side/);
    } else {
      phone.hangUp();
    }
    const events = await journal(phone);
    isOneJournal(t, events);
    t.equal(factsOf(events, "callResumed").length, Math.min(crashes, 2));
    t.match(events.at(-1), { outcome: { kind: number === 0 ? "actorCrashed" : "callerHungUp" } });
  }
  const refused = await call({ to: DENTIST });
  t.match(await refused.ended, { outcome: { kind: "rejected" } });
  const served = await call({ to: RESTAURANT });
  await served.waitForReply(0);
  served.hangUp();
  const ready = await admin("/healthz/ready");
  t.equal(ready.status, 200, "the node serves everybody else");
  t.match(JSON.parse(ready.text), { quarantined: [{ tenantId: "bright-smile-dental", reason: "crashes" }] });
  const metrics = (await admin("/metrics")).text;
  t.match(metrics, /lumentra_tenants_quarantined 1/);
  t.match(metrics, /lumentra_admission_refusals_total\{reason="quarantined"\} 1/);

  async function takenOver(callSid: string, times: number): Promise<void> {
    for (let attempt = 0; attempt < 500; attempt += 1) {
      const { text } = await admin(`/calls/${callSid}/journal`);
      if (text.split('"callResumed"').length > times) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the call was not taken over ${times} times`);
  }
});
