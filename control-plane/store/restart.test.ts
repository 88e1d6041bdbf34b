import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { tenantSettingsSchema } from "#actors/tenants";
import { startTestStore } from "./store.fixture.js";
import type { AppendVerdict, Scope, Store } from "./store.js";

const OPERATOR: Scope = { kind: "operator" };
const SYSTEM: Scope = { kind: "system" };
const FIRST = { size: 50, after: null } as const;
const RETRY_MS = 20;

async function makeTenant(store: Store): Promise<void> {
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    await tx.resellers.create({
      id: "acme",
      name: "Acme",
      branding: { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" },
      limits: { concurrentCalls: 10, tenants: 10 },
      suspended: false,
    });
    const config = tenantSettingsSchema.parse({
      name: "Dentist",
      industry: "test",
      timeZone: "UTC",
      agentName: "Ava",
    });
    await tx.tenants.create({ id: "dentist", resellerId: "acme", suspended: false, config });
  });
}

/** A whole call: started, some turns, ended. */
function wholeCall(callId: string, turns: number): readonly JournalEvent[] {
  const facts: JournalFact[] = [
    {
      kind: "callStarted",
      tenantId: "dentist",
      carrier: "twilio",
      carrierCallId: callId,
      nodeId: "node-1",
      pii: { from: "+15550100001", to: "+12025550101" },
    },
    ...Array.from(
      { length: turns },
      (_, turn): JournalFact => ({
        kind: "callerTurn",
        turn: turn + 1,
        throughAtMs: null,
        pii: { said: `words ${turn}` },
      }),
    ),
    { kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 60_000 },
  ];
  const startedAtUnixMs = Date.now() - 60_000;
  return facts.map((fact, sequence) => ({
    ...fact,
    callId,
    epoch: 1,
    sequence,
    atMs: sequence,
    atUnixMs: startedAtUnixMs + sequence,
  }));
}

const append = (store: Store, callId: string, events: readonly JournalEvent[]): Promise<AppendVerdict> =>
  store.transaction(SYSTEM, "node:node-1", (tx) => tx.calls.append(callId, 1, "node-1", events));

void t.test("Postgres restarts under load: nothing stored is lost or doubled", async (t) => {
  const postgres = await startTestStore(t);
  const { store } = postgres;
  await makeTenant(store);
  const calls = Array.from({ length: 12 }, (_, index) => wholeCall(`call-${index}`, 30));
  let acknowledged = 0;
  let outages = 0;
  /** As a node's spool does it: in order, and the same batch again until it is acknowledged. */
  const drain = async (events: readonly JournalEvent[]): Promise<void> => {
    for (let from = 0; from < events.length; ) {
      const batch = events.slice(from, from + 3);
      try {
        const verdict = await append(store, batch[0]!.callId, batch);
        t.equal(verdict.kind, "stored");
        from += batch.length;
        acknowledged += batch.length;
        if (acknowledged >= 90) underLoad();
      } catch (error) {
        t.match(error, { code: "STORE_UNAVAILABLE" });
        outages += 1;
        await sleep(RETRY_MS);
      }
    }
  };
  let underLoad = (): void => {};
  const loaded = new Promise<void>((resolve) => {
    underLoad = resolve;
  });
  const drained = Promise.all(calls.map(drain));
  await loaded;
  await postgres.restart();
  await drained;
  t.ok(outages > 0, `the restart was noticed ${outages} times`);
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    for (const events of calls) {
      t.same(await tx.calls.journal(events[0]!.callId, 0, 100), events);
      t.match(await tx.calls.get(events[0]!.callId), { state: "ended", callerTurns: 30 });
    }
    const usage = await tx.usage.query({ fromDay: "2000-01-01", toDay: "2999-01-01" }, "tenant", FIRST);
    t.match(usage.rows, [{ calls: calls.length }], "each counted once");
  });
});

void t.test("a listener hears of changes again after a restart", async (t) => {
  const postgres = await startTestStore(t);
  const { store } = postgres;
  await makeTenant(store);
  let heard = (): void => {};
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      heard = resolve;
    });
  const first = next();
  store.onTenantsChanged(() => heard());
  await first; // the connection is there: what was missed before it is told by one call
  const again = next();
  await postgres.restart();
  await again;
  const changed = next();
  await store.transaction(OPERATOR, "operator:test", (tx) =>
    tx.tenants.update("dentist", "", { suspended: true }),
  );
  await changed;
  const { changes } = await store.transaction(SYSTEM, "system", (tx) => tx.tenants.changesAfter(0, 10));
  t.match(changes, [{ tenantId: "dentist", row: { suspended: true } }]);
});

void t.test("batches in any order, repeated, in parts and by twins, store each event once", async (t) => {
  const { store } = await startTestStore(t);
  await makeTenant(store);
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.comment(`SEED=${seed}`);
  const random = generator(seed);
  for (let round = 0; round < 4; round += 1) {
    const callId = `random-${round}`;
    const events = wholeCall(callId, 12);
    const sender = async (): Promise<void> => {
      for (;;) {
        const from = Math.floor(random() * events.length);
        const batch = events.slice(from, from + 1 + Math.floor(random() * 5));
        const verdict = await append(store, callId, batch).catch((error: unknown) => t.fail(String(error)));
        if (typeof verdict === "boolean") return;
        if (verdict.kind === "gap") {
          t.ok(verdict.nextSequence < from, "a gap is before the batch");
          await append(store, callId, events.slice(verdict.nextSequence, verdict.nextSequence + 2));
        } else if (verdict.kind === "invalid") {
          t.ok(from > 0, verdict.reason);
          await append(store, callId, events.slice(0, 1));
        } else if (verdict.kind === "stored" && verdict.nextSequence === events.length) {
          return;
        }
      }
    };
    await Promise.all([sender(), sender(), sender(), sender()]);
    const read = await store.transaction(SYSTEM, "system", (tx) => tx.calls.journal(callId, 0, 100));
    t.same(read, events);
  }
  const usage = await store.transaction(OPERATOR, "operator:test", (tx) =>
    tx.usage.query({ fromDay: "2000-01-01", toDay: "2999-01-01" }, "tenant", FIRST),
  );
  t.match(usage.rows, [{ calls: 4 }]);
});

void t.test("twins of one request do it once, and the second gets the first's answer", async (t) => {
  const { store } = await startTestStore(t);
  let done = 0;
  const request = (fingerprint: string): Promise<unknown> =>
    store.transaction(OPERATOR, "operator:test", async (tx) => {
      const known = await tx.requests.recall("key:1", "request-1", fingerprint);
      if (known !== null) return known;
      done += 1;
      const answer = { number: done };
      await tx.requests.remember("key:1", "request-1", fingerprint, answer);
      return { answer };
    });
  const answers = await Promise.all(Array.from({ length: 8 }, () => request("a")));
  t.equal(done, 1);
  for (const answer of answers) t.same(answer, { answer: { number: 1 } });
  t.equal(await request("b"), "reused");
});

/** A small linear congruential generator: enough to be repeated from its seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
