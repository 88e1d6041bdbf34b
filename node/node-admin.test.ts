/** What the admin port is told, of parts as they are in a node; the shards are the test's own. */
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import type { ShardAnswer, ShardPool, SlotLease } from "#runtime/cluster";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import type { NodeTenants } from "./admitter.js";
import { JournalStore } from "./journal-store.js";
import { type LiveCall, LiveCalls } from "./live-calls.js";
import { NodeAdmin } from "./node-admin.js";
import type { Pressure } from "./pressure/index.js";
import { ProviderBoard } from "./provider-board.js";
import { KILLS_MAX, Quarantine, RELEASE_AFTER_MS } from "./quarantine.js";
import type { Recovery } from "./recovery.js";
import { SuspendedCalls } from "./suspended-calls.js";

function rig(t: Test) {
  const clock = new VirtualClock();
  const log = silentLogger;
  const metrics = createMetrics({ thread: "main" });
  t.teardown(() => metrics.close());
  const state = { pool: { ready: true, reason: "ready" }, isKnown: true };
  const journals = new JournalStore();
  const calls = new LiveCalls();
  const suspended = new SuspendedCalls(clock, 1_000, () => {});
  t.teardown(() => suspended.close());
  const shards = { ask: async (_onAnswer: (answer: ShardAnswer) => void): Promise<void> => {} };
  const read: string[] = [];
  const quarantine = new Quarantine({ clock, log, tenantOf: () => undefined });
  const admin = new NodeAdmin({
    log,
    metrics,
    tenants: {
      get isKnown() {
        return state.isKnown;
      },
    } as NodeTenants,
    journals,
    calls,
    suspended,
    providers: new ProviderBoard(clock, log),
    quarantine,
    recovery: {} as Recovery,
    pool: () =>
      ({
        readiness: () => state.pool,
        stats: () => [],
        askAll: (_topic, _payload, _deadlineMs, onAnswer) => shards.ask(onAnswer),
      }) as Pick<ShardPool, "readiness" | "stats" | "askAll"> as ShardPool,
    pressure: () => ({ current: () => ({ rung: 0 }) }) as unknown as Pressure,
    readMessage: async (callId) => {
      read.push(callId);
      return new Uint8Array(1);
    },
  });
  const call = (callId: string, fields: Partial<LiveCall>): LiveCall => ({
    callId,
    epoch: 1,
    carrier: "twilio",
    carrierCallId: `CA-${callId}`,
    tenantId: "test",
    tenant: null,
    lease: { shardId: 2 } as SlotLease,
    tenure: 0,
    webhookAtMs: 0,
    startedAtUnixMs: 1_700_000_000_000,
    pii: { from: "+15550100001", to: "+12025550101" },
    resumed: null,
    format: null,
    state: "open",
    ending: null,
    ...fields,
  });
  return { clock, admin, state, journals, calls, suspended, quarantine, shards, read, call };
}

/** A shard that has ended so many calls. */
async function shardAnswer(shardId: number, endedCount: number): Promise<ShardAnswer> {
  const metrics = createMetrics({ thread: `shard-${shardId}` });
  metrics.callsEnded.inc({ outcome: "callerHungUp" }, endedCount);
  const value = await metrics.snapshot();
  metrics.close();
  return { shardId, ok: true, value };
}

async function endedIn(admin: NodeAdmin): Promise<number> {
  return Number(/^lumentra_calls_ended_total\{.*\} (\d+)$/m.exec(await admin.metricsText())?.[1] ?? 0);
}

void t.test("a node is ready when its shards are and it knows whom it answers for", async (t) => {
  const { admin, state } = rig(t);
  t.match(admin.ready(), { ready: true, detail: { reason: "ready" } });
  state.isKnown = false;
  t.match(admin.ready(), { ready: false, detail: { reason: /tenants/ } });
  t.equal(admin.isReady, false);
  state.pool = { ready: false, reason: "draining" };
  t.match(admin.ready(), { ready: false, detail: { reason: "draining" } }, "the shards' reason first");
});

void t.test("calls are counted by their state, and what they say of people stands under pii", async (t) => {
  const { admin, calls, suspended, call } = rig(t);
  for (const [id, state] of [
    ["a", "open"],
    ["b", "open"],
    ["c", "recovering"],
  ] as const)
    calls.add(call(id, { state, lease: { shardId: 1 } as SlotLease }));
  suspended.add(call("d", {}), 0);
  const page = await admin.metricsText();
  const counts = [...page.matchAll(/^lumentra_calls\{state="(\w+)"\} (\d+)$/gm)].map(([, state, n]) => [
    state,
    n,
  ]);
  t.same(Object.fromEntries(counts), { reserved: 0, open: 2, recovering: 1, leaving: 0, suspended: 1 });
  const [first] = admin.liveCalls() as readonly Record<string, unknown>[];
  t.same(first!["pii"], { from: "+15550100001", to: "+12025550101" });
  t.notMatch(JSON.stringify({ ...first, pii: null }), /555/);
});

/** The gauge was set when somebody called the tenant, or crashed: one whom nobody called stayed in quarantine for the alarm. */
void t.test(
  "tenants in quarantine are counted until their time is over, though nobody calls them",
  async (t) => {
    const { admin, clock, quarantine } = rig(t);
    const counted = async (): Promise<string | undefined> =>
      /^lumentra_tenants_quarantined (\d+)$/m.exec(await admin.metricsText())?.[1];
    for (let kills = 0; kills < KILLS_MAX; kills += 1)
      quarantine.noteKill({ callId: "call-1", tenantId: "test", tenant: null });
    t.equal(await counted(), "1");
    clock.advance(RELEASE_AFTER_MS);
    t.equal(await counted(), "0");
  },
);

void t.test("a message is found by the carrier's id as well", async (t) => {
  const { admin, journals, read } = rig(t);
  const started = { kind: "callStarted", callId: "ours", carrierCallId: "CA1", sequence: 0, epoch: 1 };
  journals.append(started as unknown as JournalEvent);
  await admin.message("CA1");
  await admin.message("long-gone");
  t.same(read, ["ours", "long-gone"]);
});

void t.test("a shard that does not answer a scrape is there with its last figures", async (t) => {
  const { admin, shards } = rig(t);
  const [zero, one] = await Promise.all([shardAnswer(0, 3), shardAnswer(1, 4)]);
  shards.ask = async (onAnswer) => [zero, one].forEach(onAnswer);
  t.equal(await endedIn(admin), 7);
  const later = await shardAnswer(0, 5);
  shards.ask = async (onAnswer) =>
    [later, { shardId: 1, ok: false, error: new Error("busy") } as const].forEach(onAnswer);
  t.equal(await endedIn(admin), 9);
});

/** Its answer was put down when the last shard had answered: after its death, whose totals were counted by then. */
void t.test("a shard that answers and dies while another is waited for counts once", async (t) => {
  const { admin, shards } = rig(t);
  const [before, last] = await Promise.all([shardAnswer(0, 3), shardAnswer(0, 5)]);
  shards.ask = async (onAnswer) => onAnswer(before);
  t.equal(await endedIn(admin), 3);
  shards.ask = async (onAnswer) => {
    onAnswer(last);
    admin.retireShard(0);
    await new Promise(setImmediate); // another is waited for
  };
  t.equal(await endedIn(admin), 5);
  const successor = await shardAnswer(0, 1);
  shards.ask = async (onAnswer) => onAnswer(successor);
  t.equal(await endedIn(admin), 6);
});
