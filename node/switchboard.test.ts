/**
 * The switchboard between an edge and shards that the test plays: what reaches it in an order, or not at all,
 * that running ones show only under load.
 */
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import type { CallOutcome, ShardPool, SlotLease } from "#runtime/cluster";
import type { Edge, InboundCall } from "#runtime/edge";
import { type AudioFormat, LegEnd, MULAW_8K } from "#runtime/media";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { type TenantDirectory, tenantSchema } from "#actors/tenants";
import { type CallPlacement, LocalPlacement, type Placed } from "./control/placement.js";
import { ApologyStore } from "./apologies.js";
import { JournalStore } from "./journal-store.js";
import type { Pressure } from "./pressure/index.js";
import { CRASHING_CALLS_MAX } from "./quarantine.js";
import { Switchboard, type SwitchboardDeps } from "./switchboard.js";

const RESUME_GRACE_MS = 15_000;
/** Above those that calls get here, which count from the virtual clock's beginning. */
const NEXT_EPOCH = 9_000_000_000_000;
const L16: AudioFormat = { encoding: "l16le", sampleRateHz: 16_000 };

interface Overrides {
  /** Made of the node's own. @default it */
  readonly placement?: (local: LocalPlacement) => CallPlacement;
  readonly readJournal?: SwitchboardDeps["readJournal"];
}

function rig(t: Test, { placement, readJournal = null }: Overrides = {}) {
  const clock = new VirtualClock();
  const metrics = createMetrics({ thread: "main" });
  t.teardown(() => metrics.close());
  const tenant = tenantSchema.parse({
    id: "test",
    name: "Test Dental",
    industry: "dental practice",
    numbers: ["+12025550101"],
    timeZone: "America/New_York",
    agentName: "Ava",
    greeting: "Hello there.",
  });
  const journals = new JournalStore();
  const apologies = new ApologyStore();
  const spooled: JournalEvent[] = [];
  const config = { tenant };
  const switchboard = new Switchboard({
    clock,
    log: silentLogger,
    metrics,
    tenants: {
      byNumber: () => config.tenant,
      byId: () => config.tenant,
      onChange: () => () => {},
    } as unknown as TenantDirectory,
    journals,
    apologies,
    accounts: {},
    canServe: () => true,
    nodeId: "node-1",
    placement: placement?.(new LocalPlacement(clock)) ?? new LocalPlacement(clock),
    resumeGraceMs: RESUME_GRACE_MS,
    readJournal,
    onJournal: (event) => spooled.push(event),
  });
  const leases: SlotLease[] = [];
  const apologised: Uint8Array[] = [];
  /** What the shards were told of calls that are to end. */
  const told: { readonly lease: SlotLease; readonly kind: CallOutcome["kind"] }[] = [];
  /** For calls that lose their actor: none, as when a shard takes all slots with it and no other is to come. */
  const slots = { left: 0 };
  const pool: ShardPool = {
    reserve: () => {
      const lease = {
        shardId: 0,
        slot: leases.length,
        side: {},
        ringShard: () => {},
        state: "lost",
      } as unknown as SlotLease;
      leases.push(lease);
      return lease;
    },
    open: () => true,
    endCall: (lease: SlotLease, { kind }: CallOutcome) => {
      told.push({ lease, kind });
      return true;
    },
    reserveAgain: (shardId: number | null) => (shardId === null || slots.left > 0 ? pool.reserve() : null),
    isGone: ({ state }: SlotLease) => state === "lost",
    hasRoom: true,
    hasRoomAgain: true,
    hasProspect: false,
    release: () => {},
    askAll: () => Promise.resolve(),
  } as unknown as ShardPool;
  const edge = {
    hangUp: () => {},
    takeRest: () => ({ held: [] }),
    rebind: () => {},
    playAndClose: (_callId: string, audio: Uint8Array) => apologised.push(audio),
  } as unknown as Edge;
  const pressure = { mayTakeCalls: () => true } as unknown as Pressure;
  switchboard.connect(pool, edge, pressure);
  const epochs = new Map<string, number>();
  /** A call whose media socket is open. */
  const open = (format: AudioFormat = MULAW_8K) => {
    const call: InboundCall = {
      carrier: "twilio",
      carrierCallId: `CA${leases.length}`,
      accountId: "AC1",
      callStatus: "ringing",
      direction: "inbound",
      pii: { from: "+15550100001", to: "+12025550101" },
      receivedAtMs: clock.nowMs(),
    };
    const admission = switchboard.admit(call);
    if (admission instanceof Promise || admission.kind !== "admitted") throw new Error("refused");
    switchboard.mediaOpened(admission.callId, format, clock.nowMs());
    epochs.set(admission.callId, admission.epoch);
    return { callId: admission.callId, epoch: admission.epoch, call, lease: leases.at(-1)! };
  };
  /** The shard writes it, under the call's first lease unless told. */
  const writes = (callId: string, fields: object, tenure = 0) => {
    const epoch = epochs.get(callId);
    const event = { callId, epoch, atMs: clock.nowMs(), atUnixMs: clock.unixMs(), ...fields };
    switchboard.onEvent(0, { kind: "journal", tenure, event });
  };
  /** A call whose leg was lost, and whose actor has written its last: it waits to be resumed. */
  const lostLeg = () => {
    const opened = open();
    writes(opened.callId, { ...started, carrierCallId: opened.call.carrierCallId });
    switchboard.legEnded(opened.callId, LegEnd.socketLost, clock.nowMs());
    switchboard.onCallClosed(opened.lease, { kind: "legLost" });
    return opened;
  };
  const parts = { clock, switchboard, journals, apologies, apologised, spooled, slots, pool, edge, leases };
  return { ...parts, told, config, open, writes, lostLeg };
}

const started = {
  kind: "callStarted",
  sequence: 0,
  carrierCallId: "CA0",
  tenantId: "test",
  carrier: "twilio",
};

void t.test("a journal whose end the shard dropped is ended with the call, and is no live one", async (t) => {
  const { switchboard, journals, open, writes } = rig(t);
  for (const legFirst of [true, false]) {
    const { callId, lease } = open();
    writes(callId, started);
    if (legFirst) switchboard.legEnded(callId, LegEnd.stopped, 0);
    switchboard.onCallClosed(lease, { kind: "callerHungUp" });
    if (!legFirst) switchboard.legEnded(callId, LegEnd.hungUp, 0);
    t.equal(journals.liveCount, 0);
    const end = { kind: "callEnded", sequence: 1, outcome: { kind: "callerHungUp" } };
    t.match(journals.get(callId)!.at(-1), end);
    t.equal(journals.get(callId)!.length, 2);
  }
});

void t.test("a shard that says nothing more of a call leaves no live journal behind", async (t) => {
  const { switchboard, journals, open, writes } = rig(t);
  const { callId } = open();
  writes(callId, started);
  t.equal(journals.liveCount, 1);
  switchboard.legEnded(callId, LegEnd.stopped, 0);
  t.equal(journals.liveCount, 0);
});

void t.test("what a shard writes after the leg has ended is kept, in order, once", async (t) => {
  const { switchboard, journals, open, writes } = rig(t);
  const { callId, lease } = open();
  switchboard.legEnded(callId, LegEnd.stopped, 0);
  writes(callId, started);
  writes(callId, { kind: "callEnded", sequence: 1, outcome: { kind: "callerHungUp" }, durationMs: 5 });
  switchboard.onCallClosed(lease, { kind: "callerHungUp" });
  t.same(
    journals.get(callId)!.map(({ kind }) => kind),
    ["callStarted", "callEnded"],
  );
  t.same(journals.get("CA0"), journals.get(callId), "found by the carrier's id as well");
  t.equal(journals.liveCount, 0);
});

void t.test("the apology comes in the format of the leg", async (t) => {
  const { switchboard, apologies, apologised, open } = rig(t);
  const audio = new Uint8Array(800).fill(0x9f);
  apologies.set("test", audio);
  const narrow = open();
  const wide = open(L16);
  switchboard.onShardLost(0, [narrow.lease, wide.lease], "hung", { culprit: null, silentMs: 300 });
  await new Promise(setImmediate);
  t.equal(apologised[0], audio);
  const wideMs = apologised[1]!.length / 32;
  t.ok(wideMs >= 100 && wideMs <= 103, `${wideMs} ms of 16-bit audio at 16 kHz`);
});

void t.test("an actor that wakes up late writes nothing once another one has its call", async (t) => {
  const { switchboard, journals, spooled, slots, open, writes } = rig(t);
  slots.left = 1;
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.onCallClosed(lease, { kind: "actorCrashed", code: "INTERNAL" });
  writes(callId, { kind: "dtmf", sequence: 1, pii: { digit: "4" } }, 0);
  writes(callId, { kind: "callResumed", sequence: 1, nodeId: "node-1", gapMs: 0, reason: "actorCrashed" }, 1);
  writes(callId, { kind: "dtmf", sequence: 2, pii: { digit: "5" } }, 0);
  t.same(
    journals.get(callId)!.map(({ kind }) => kind),
    ["callStarted", "callResumed"],
  );
  t.equal(spooled.length, 2, "nor does it reach the control plane");
});

void t.test("a call whose journal is not whole ends with words rather than with gaps", async (t) => {
  const { switchboard, journals, apologies, apologised, slots, open, writes } = rig(t);
  slots.left = 1;
  apologies.set("test", new Uint8Array(800));
  const { callId, lease } = open();
  writes(callId, started);
  writes(callId, { kind: "dtmf", sequence: 5, pii: { digit: "4" } });
  switchboard.onCallClosed(lease, { kind: "actorCrashed", code: "INTERNAL" });
  t.match(journals.get(callId)!.at(-1), { kind: "callEnded", outcome: { kind: "actorCrashed" } });
  t.equal(apologised.length, 1);
});

void t.test("a caller who hangs up while his call waits for a shard has hung up", async (t) => {
  const { switchboard, journals, pool, open, writes } = rig(t);
  (pool as { hasProspect: boolean }).hasProspect = true;
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.onShardLost(0, [lease], "hung", { culprit: null, silentMs: 0 });
  await new Promise(setImmediate);
  switchboard.legEnded(callId, LegEnd.stopped, 0);
  t.match(journals.get(callId)!.at(-1), { kind: "callEnded", outcome: { kind: "callerHungUp" } });
});

void t.test("a call whose shard dies just as the caller has hung up has an end all the same", async (t) => {
  const { switchboard, journals, spooled, open, writes } = rig(t);
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.legEnded(callId, LegEnd.stopped, 0);
  switchboard.onShardLost(0, [lease], "hung", { culprit: null, silentMs: 300 });
  const end = { kind: "callEnded", sequence: 1, outcome: { kind: "callerHungUp" } };
  t.match(journals.get(callId)!.at(-1), end);
  t.match(spooled.at(-1), end, "the control plane hears of it, too");
  t.match(
    await switchboard.admin.metricsText(),
    /lumentra_calls_ended_total\{[^}]*outcome="callerHungUp"[^}]*\} 1/,
  );
});

/** He was told of as lost with his leg, or with the node that he was sent to, though the carrier had said what became of him. */
void t.test("a caller who hangs up between two media sockets has hung up", async (t) => {
  const { clock, switchboard, journals, lostLeg, open, writes } = rig(t);
  const outcomeOf = (callId: string) => {
    const last = journals.get(callId)?.at(-1);
    return last?.kind === "callEnded" ? last.outcome.kind : last?.kind;
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  const waiting = lostLeg();
  switchboard.carrierEnded("signalwire", waiting.call.carrierCallId);
  switchboard.carrierEnded("twilio", "CA-of-nobody");
  await settled();
  t.equal(outcomeOf(waiting.callId), "callStarted", "another's end is not his");
  switchboard.carrierEnded("twilio", waiting.call.carrierCallId);
  await settled();
  t.equal(outcomeOf(waiting.callId), "callerHungUp", "before the carrier asked what comes next");

  const speaking = open();
  writes(speaking.callId, started);
  switchboard.legEnded(speaking.callId, LegEnd.socketLost, clock.nowMs());
  switchboard.carrierEnded("twilio", speaking.call.carrierCallId);
  await settled();
  writes(speaking.callId, { kind: "dtmf", sequence: 1, pii: { digit: "4" } });
  switchboard.onCallClosed(speaking.lease, { kind: "legLost" });
  await settled();
  t.same(
    journals.get(speaking.callId)?.map(({ kind }) => kind),
    ["callStarted", "dtmf", "callEnded"],
    "after his actor's last words",
  );

  const resumed = lostLeg();
  t.match(await switchboard.afterMedia(resumed.callId, resumed.epoch, resumed.call), { kind: "reconnect" });
  switchboard.carrierEnded("twilio", resumed.call.carrierCallId);
  switchboard.mediaExpired(resumed.callId);
  t.equal(outcomeOf(resumed.callId), "callerHungUp", "while his next socket was awaited");

  const halfOpen = open();
  writes(halfOpen.callId, started);
  switchboard.carrierEnded("twilio", halfOpen.call.carrierCallId);
  t.equal(outcomeOf(halfOpen.callId), "callStarted", "a leg says itself that it ends");
  switchboard.legEnded(halfOpen.callId, LegEnd.socketLost, clock.nowMs());
  switchboard.onCallClosed(halfOpen.lease, { kind: "legLost" });
  t.equal(outcomeOf(halfOpen.callId), "callerHungUp", "and is not waited for when it cannot");
  t.equal(switchboard.heldCount, 0);
});

/** Each goes on in a slot of its own. */
function lostShard(world: ReturnType<typeof rig>, callCount: number) {
  const { slots, switchboard, open, writes } = world;
  const calls = Array.from({ length: callCount }, () => open());
  for (const { callId } of calls) writes(callId, started);
  slots.left = callCount;
  const last = { culprit: null, silentMs: 0 };
  return {
    calls,
    lose: () =>
      switchboard.onShardLost(
        0,
        calls.map(({ lease }) => lease),
        "threw",
        last,
      ),
  };
}

void t.test(
  "a hundred calls of one shard are taken over bit by bit: the others' audio goes between",
  async (t) => {
    const world = rig(t);
    const { pool, clock } = world;
    const { calls, lose } = lostShard(world, 100);
    let takenOver = 0;
    pool.open = () => {
      takenOver += 1;
      clock.advance(0.5); // a long journal
      return true;
    };
    lose();
    let most = takenOver;
    while (takenOver < calls.length) {
      const before = takenOver;
      await new Promise(setImmediate);
      most = Math.max(most, takenOver - before);
      t.ok(takenOver > before, "it goes on");
    }
    t.ok(most <= 5, `at most ${most} at once`);
  },
);

/** The first few were tried again and again, with all of the processor, and those behind them never came to be given up. */
void t.test(
  "many calls that find no slot are each tried once, and given up when none is to come",
  async (t) => {
    const world = rig(t);
    const { pool, clock, slots, apologies, apologised } = world;
    apologies.set("test", new Uint8Array(80));
    const { calls, lose } = lostShard(world, 20);
    slots.left = 0;
    let asked = 0;
    pool.reserveAgain = () => {
      asked += 1;
      clock.advance(0.5); // a long journal, many shards
      return null;
    };
    lose();
    for (let turn = 0; turn < calls.length; turn += 1) await new Promise(setImmediate);
    t.equal(apologised.length, calls.length);
    t.ok(asked <= calls.length + 5, `asked ${asked} times for ${calls.length} calls`);
  },
);

void t.test("a slot that comes while some were tried in vain is asked for by them again", async (t) => {
  const world = rig(t);
  const { pool, clock, slots, told, switchboard } = world;
  (pool as { hasProspect: boolean }).hasProspect = true;
  const { calls, lose } = lostShard(world, 20);
  slots.left = 0;
  const reserveAgain = pool.reserveAgain.bind(pool);
  let asked = 0;
  pool.reserveAgain = (shardId) => {
    clock.advance(0.5);
    asked += 1;
    if (asked === 10) {
      slots.left = calls.length;
      switchboard.onShardReady(1);
    }
    return asked === 10 ? null : reserveAgain(shardId);
  };
  let opened = 0;
  pool.open = () => (opened += 1) > 0;
  lose();
  for (let turn = 0; turn < 2 * calls.length; turn += 1) await new Promise(setImmediate);
  t.equal(opened, calls.length);
  t.same(told, []);
});

/** Only a shard that came up was a reason to try again: calls were given up while others hung up beside them. */
void t.test("a call whose shard is gone has the slot of the next who hangs up", async (t) => {
  const world = rig(t);
  const { pool, clock, slots, journals } = world;
  let hasRoomAgain = false;
  Object.defineProperties(pool, { hasProspect: { value: true }, hasRoomAgain: { get: () => hasRoomAgain } });
  const { calls, lose } = lostShard(world, 2);
  slots.left = 0;
  let opened = 0;
  pool.open = () => {
    slots.left -= 1;
    return (opened += 1) > 0;
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  };
  lose();
  await pass(2_000);
  t.equal(opened, 0);
  slots.left = 1;
  hasRoomAgain = true;
  await pass(200);
  t.equal(opened, 1);
  await pass(5_000);
  const ended = calls.filter(({ callId }) => journals.isComplete(callId));
  t.equal(ended.length, 1, "nobody else hung up within five seconds");
});

/** Its slot was closed already, and so not lost: there was none beside it, and the call was given up at once. */
void t.test("a call that crashed waits for a slot when its shard dies before it had another", async (t) => {
  const { switchboard, pool, slots, journals, open, writes } = rig(t);
  (pool as { hasProspect: boolean }).hasProspect = true;
  pool.isGone = () => true;
  const { callId, lease } = open();
  writes(callId, started);
  (lease as { state: string }).state = "closed";
  let opened = 0;
  pool.open = () => (opened += 1) > 0;
  switchboard.onCallClosed(lease, { kind: "actorCrashed", code: "INTERNAL" });
  await new Promise(setImmediate);
  t.equal(journals.whole(callId)?.length, 1, "it has not ended");
  slots.left = 1;
  switchboard.onShardReady(1);
  await new Promise(setImmediate);
  t.equal(opened, 1);
});

void t.test("a call that cannot be taken over takes no other of its shard with it", async (t) => {
  const world = rig(t);
  const { pool, apologies, apologised, switchboard } = world;
  apologies.set("test", new Uint8Array(80));
  const { calls, lose } = lostShard(world, 3);
  const goneOn: string[] = [];
  pool.open = (_lease, { callId }) => {
    if (callId === calls[0]!.callId) throw new Error("cannot be cloned");
    goneOn.push(callId);
    return true;
  };
  lose();
  await new Promise(setImmediate);
  t.same(goneOn, [calls[1]!.callId, calls[2]!.callId]);
  t.equal(apologised.length, 1, "and its caller hears so");
  t.equal(switchboard.heldCount, 3);
});

void t.test("a leg that ends while its call is taken over has no actor afterwards", async (t) => {
  const world = rig(t);
  const { pool, edge, switchboard, journals } = world;
  const { calls, lose } = lostShard(world, 1);
  const { callId } = calls[0]!;
  edge.takeRest = () => {
    switchboard.legEnded(callId, LegEnd.evicted, 0); // its socket did not take the clear
    return { held: [] } as unknown as ReturnType<Edge["takeRest"]>;
  };
  const released: SlotLease[] = [];
  pool.release = (lease) => void released.push(lease);
  pool.open = () => t.fail("nobody is on the line") && false;
  lose();
  t.equal(switchboard.heldCount, 0);
  t.equal(released.length, 2, "both slots are given back");
  t.match(journals.get(callId)!.at(-1), { kind: "callEnded", outcome: { kind: "legEvicted" } });
});

/** An operator's request reached a shard whose actor had just crashed, and the next actor talked on. */
void t.test("a call whose end was asked for ends, whoever goes on with it", async (t) => {
  const world = rig(t);
  const { switchboard, slots, leases, told, open, writes } = world;
  const { callId, lease } = open();
  writes(callId, started);
  slots.left = 3;
  t.ok(switchboard.endCall(callId, { kind: "operatorHungUp" }));
  switchboard.onCallClosed(lease, { kind: "actorCrashed", code: "INTERNAL" });
  const second = leases.at(-1)!;
  t.same(
    told.map((entry) => [entry.lease === second, entry.kind]),
    [
      [false, "operatorHungUp"],
      [true, "operatorHungUp"],
    ],
  );
  switchboard.onShardLost(0, [second], "hung", { culprit: null, silentMs: 300 });
  await new Promise(setImmediate);
  t.equal(told.at(-1)!.lease, leases.at(-1)!);
  t.equal(told.length, 3);
});

void t.test("one that waits for a slot is told so by its next actor", async (t) => {
  const { switchboard, slots, pool, edge, leases, told, open, writes } = rig(t);
  (pool as { hasProspect: boolean }).hasProspect = true;
  edge.hangUp = () => t.fail("nobody has said goodbye");
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.onShardLost(0, [lease], "hung", { culprit: null, silentMs: 0 });
  t.ok(switchboard.endCall(callId, { kind: "operatorHungUp" }));
  t.same(told, []);
  slots.left = 1;
  switchboard.onShardReady(1);
  await new Promise(setImmediate);
  t.same(told, [{ lease: leases.at(-1)!, kind: "operatorHungUp" }]);
});

void t.test("one whose leg is lost before the goodbye was heard is over, and waits for nobody", async (t) => {
  const { switchboard, journals, open, writes } = rig(t);
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.endCall(callId, { kind: "operatorHungUp" });
  switchboard.legEnded(callId, LegEnd.socketLost, 0);
  t.equal(switchboard.heldCount, 0, "also where its shard says nothing more");
  switchboard.onCallClosed(lease, { kind: "legLost" });
  t.match(journals.get(callId)!.at(-1), { kind: "callEnded", outcome: { kind: "operatorHungUp" } });
});

void t.test("crashes count against the configuration that the crashed actor had", async (t) => {
  const { switchboard, config, slots, open, writes } = rig(t);
  const calls = Array.from({ length: 4 }, () => open());
  for (const { callId } of calls) writes(callId, started);
  slots.left = 100;
  config.tenant = { ...config.tenant, greeting: "Good morning." };
  const crash = { kind: "actorCrashed", code: "INTERNAL" } as const;
  for (const { lease } of calls) switchboard.onCallClosed(lease, crash);
  for (let count = 0; count < 3; count += 1) {
    const { callId, lease } = open(); // let in: they had begun before the repair
    writes(callId, started);
    switchboard.onCallClosed(lease, crash);
  }
  t.throws(() => open(), /refused/, "three of the new one's own");
});

/** A carrier that got no answer asked again: the second resume took the call from the first, which was live by then. */
void t.test("what follows a leg is asked twice: one resume, and the same answer", async (t) => {
  const { clock, switchboard, leases, open, writes } = rig(t);
  const { callId, epoch, call, lease } = open();
  writes(callId, started);
  switchboard.legEnded(callId, LegEnd.socketLost, 0);
  switchboard.onCallClosed(lease, { kind: "legLost" });
  const answers = await Promise.all([1, 2].map(async () => switchboard.afterMedia(callId, epoch, call)));
  t.match(answers, [{ kind: "reconnect" }, { kind: "resumed", callId }]);
  t.equal(leases.length, 2, "one slot for the old leg, one for the new");
  const [second] = [...switchboard.held()];
  t.ok(second!.epoch > epoch);
  switchboard.mediaOpened(callId, MULAW_8K, clock.nowMs());
  const late = await switchboard.afterMedia(callId, epoch, call);
  t.same(late, { kind: "resumed", callId, epoch: second!.epoch });
  t.match([...switchboard.held()], [{ callId, epoch: second!.epoch, live: true }], "it is live as before");

  writes(callId, { kind: "callResumed", sequence: 1, epoch: second!.epoch, nodeId: "node-1" });
  switchboard.legEnded(callId, LegEnd.socketLost, 0);
  switchboard.onCallClosed(leases[1]!, { kind: "legLost" });
  t.match(await switchboard.afterMedia(callId, second!.epoch, call), { kind: "reconnect" }, "its own end");
});

/** What is resumed goes to another node; what is new stays here. */
function resumesElsewhere(local: LocalPlacement): CallPlacement {
  const goOn = (callId: string): Placed => ({
    kind: "elsewhere",
    callId,
    epoch: NEXT_EPOCH,
    mediaUrl: "ws://node-2",
  });
  return {
    canPlaceElsewhere: true,
    place: (request) => (request.resume === null ? local.place(request) : goOn(request.resume.callId)),
    confirm: () => {},
    claim: () => Promise.resolve(null),
    release: (callId, epoch) => local.release(callId, epoch),
  };
}

/** The last call of a node that was told to stop went on at another, and the node waited out its grace for nobody. */
void t.test(
  "a drain is over when the last call has gone on elsewhere, and nothing of it is kept",
  async (t) => {
    const { switchboard, journals, lostLeg } = rig(t, { placement: resumesElsewhere });
    const { callId, epoch, call } = lostLeg();
    let isEmpty = false;
    void switchboard.drain().then(() => (isEmpty = true));
    await new Promise(setImmediate);
    t.notOk(isEmpty, "it may come back");
    const next = await switchboard.afterMedia(callId, epoch, call);
    t.match(next, { kind: "reconnect", admission: { kind: "admittedElsewhere", callId } });
    await new Promise(setImmediate);
    t.ok(isEmpty);
    t.equal(journals.liveCount, 0, "its journal is no live one here");
  },
);

void t.test("a lease that is lost leaves no live journal, wherever its call stands", async (t) => {
  const { switchboard, journals, edge, lostLeg } = rig(t);
  const suspended = lostLeg();
  switchboard.leaseLost(suspended.callId, suspended.epoch + 1);
  t.equal(journals.liveCount, 0, "its leg was lost");
  const { callId, epoch, call } = lostLeg();
  t.match(await switchboard.afterMedia(callId, epoch, call), { kind: "reconnect" });
  edge.hangUp = (hungUp) => switchboard.mediaExpired(hungUp);
  switchboard.leaseLost(callId, NEXT_EPOCH);
  t.equal(journals.liveCount, 0, "it waited for its next media socket");
  t.equal(switchboard.heldCount, 0);
});

/** Places what is resumed here as another node's answer did: its media socket comes, and nobody expects it. */
function sentBack(local: LocalPlacement, resumed = true): CallPlacement {
  return {
    ...resumesElsewhere(local),
    claim: (callId) => {
      const request = { carrier: "twilio", carrierCallId: "CA0", tenantId: "test" };
      local.adopt(callId, NEXT_EPOCH, request);
      const pii = { from: "+15550100001", to: "+12025550101" };
      return Promise.resolve({ ...request, callId, epoch: NEXT_EPOCH, pii, resumed });
    },
  };
}

/**
 * The redirect reached another node, which sent the call back to the one where its leg was lost. It went on there, and still
 * waited to be resumed as well: when that grace was over it was ended in the middle of the conversation.
 */
/** Another node asked placement, which knows nothing of a quarantine: the tenant's calls took this node's shards down. */
void t.test(
  "a new call of a quarantined tenant that another node sends here is not taken; one that goes on is",
  async (t) => {
    const journal = [{ ...started, callId: "theirs", epoch: 1, atUnixMs: 0 }] as unknown as JournalEvent[];
    const readJournal = () => Promise.resolve(journal);
    for (const resumed of [false, true]) {
      const placement = (local: LocalPlacement): CallPlacement => sentBack(local, resumed);
      const { switchboard, slots, open, writes } = rig(t, { placement, readJournal });
      slots.left = 100;
      for (let count = 0; count < CRASHING_CALLS_MAX; count += 1) {
        const { callId, lease } = open();
        writes(callId, started);
        switchboard.onCallClosed(lease, { kind: "actorCrashed", code: "INTERNAL" });
      }
      t.equal((await switchboard.claim("theirs")) !== null, resumed);
      t.equal(switchboard.heldCount, CRASHING_CALLS_MAX + Number(resumed), "its lease is given back");
    }
  },
);

void t.test("a call that another node sends back to where its leg was lost is resumed, once", async (t) => {
  const readJournal = () => Promise.reject(new Error("it is all here"));
  const { clock, switchboard, journals, lostLeg, writes } = rig(t, { placement: sentBack, readJournal });
  const { callId } = lostLeg();
  t.match(await switchboard.claim(callId), { admitted: { callId, epoch: NEXT_EPOCH } });
  switchboard.mediaOpened(callId, MULAW_8K, clock.nowMs());
  t.match([...switchboard.held()], [{ callId, epoch: NEXT_EPOCH }], "nobody waits for it any more");
  writes(callId, { kind: "callResumed", sequence: 1, epoch: NEXT_EPOCH, nodeId: "node-1" });
  clock.advance(RESUME_GRACE_MS);
  writes(callId, { kind: "dtmf", sequence: 1, pii: { digit: "4" } });
  t.same(
    journals.whole(callId)?.map(({ kind }) => kind),
    ["callStarted", "callResumed"],
    "it lives, and what its former owner writes is refused",
  );
});

void t.test("a call that is sent back has its last actor's last words", async (t) => {
  const readJournal = () => Promise.reject(new Error("it is all here"));
  const { clock, switchboard, pool, open, writes } = rig(t, { placement: sentBack, readJournal });
  const { callId, lease } = open();
  writes(callId, started);
  switchboard.legEnded(callId, LegEnd.socketLost, 0);
  const claiming = switchboard.claim(callId);
  await new Promise(setImmediate);
  writes(callId, { kind: "dtmf", sequence: 1, pii: { digit: "4" } });
  switchboard.onCallClosed(lease, { kind: "legLost" });
  t.ok(await claiming);
  let goneOnFrom: readonly JournalEvent[] = [];
  pool.open = (_lease, { resumed }) =>
    (goneOnFrom = resumed?.journal as readonly JournalEvent[]) !== undefined;
  switchboard.mediaOpened(callId, MULAW_8K, clock.nowMs());
  t.same(
    goneOnFrom.map(({ kind }) => kind),
    ["callStarted", "dtmf"],
  );
});

void t.test("a call that ended just as another node sent it back is over", async (t) => {
  const ended = { kind: "callEnded", sequence: 1, outcome: { kind: "agentHungUp" }, durationMs: 5, epoch: 1 };
  const journal = [{ ...started, epoch: 1 }, ended] as unknown as readonly JournalEvent[];
  const readJournal = () => Promise.resolve(journal);
  const { switchboard, leases } = rig(t, { placement: sentBack, readJournal });
  t.equal(await switchboard.claim("call-of-another"), null);
  t.equal(leases.length, 0, "it holds no slot");
});

/**
 * A shard died as the call was sent here: its socket was refused, though a slot came back within the second that the edge
 * would have waited.
 */
void t.test("a call that is sent here waits for a slot, new or not, as long as its socket may", async (t) => {
  const journal = [{ ...started, callId: "theirs", epoch: 1, atUnixMs: 0 }] as unknown as JournalEvent[];
  const readJournal = () => Promise.resolve(journal);
  /** After how long a claim was answered with a slot, or with null, where there is room after so long. */
  const claim = async (resumed: boolean, roomAfterMs: number, draining = false) => {
    const placement = (local: LocalPlacement): CallPlacement => sentBack(local, resumed);
    const { clock, switchboard, journals, pool, leases } = rig(t, { placement, readJournal });
    const knockedAtMs = clock.nowMs();
    const waitedMs = (): number => clock.nowMs() - knockedAtMs;
    const hasRoom = (): boolean => waitedMs() >= roomAfterMs;
    const reserve = pool.reserve.bind(pool);
    pool.reserve = () => (hasRoom() ? reserve() : null);
    Object.defineProperties(pool, { hasRoom: { get: hasRoom }, hasRoomAgain: { get: hasRoom } });
    switchboard.setDraining(draining);
    let isAnswered = false;
    const claiming = switchboard.claim("theirs").finally(() => (isAnswered = true));
    for (;;) {
      for (let step = 0; step < 10; step += 1) await new Promise(setImmediate);
      if (isAnswered) break;
      clock.advance(50);
    }
    t.equal(switchboard.heldCount, leases.length);
    const isTaken = (await claiming) !== null;
    const last = journals.get("theirs")?.at(-1);
    if (resumed && !isTaken) t.match(last, { outcome: { kind: "legLost" } }, "nobody else would end it");
    return { afterMs: waitedMs(), isTaken };
  };
  for (const resumed of [true, false]) {
    t.same(await claim(resumed, 0), { afterMs: 0, isTaken: true });
    t.same(await claim(resumed, 1_000), { afterMs: 1_000, isTaken: true });
    t.same(await claim(resumed, 2_000), { afterMs: 1_500, isTaken: false }, "the edge waits no longer");
  }
  t.same(
    await claim(true, 1_000, true),
    { afterMs: 1_000, isTaken: true },
    "one that goes on, while it drains",
  );
  t.same(await claim(false, 1_000, true), { afterMs: 0, isTaken: false }, "and no new one");
});

/** A redirect and the media socket of an earlier answer to it, both at a node that had to read the journal first. */
void t.test(
  "a journal that is read while its call goes on here already is not put in its place",
  async (t) => {
    const journal = [{ ...started, callId: "theirs", epoch: 1, atUnixMs: 0 }] as unknown as JournalEvent[];
    const reads: (() => void)[] = [];
    const readJournal = () =>
      new Promise<readonly JournalEvent[]>((resolve) => reads.push(() => resolve(journal)));
    const { clock, switchboard, journals, writes } = rig(t, { placement: sentBack, readJournal });
    const claims = [switchboard.claim("theirs"), switchboard.claim("theirs")];
    while (reads.length < claims.length) await new Promise(setImmediate);
    reads[0]!();
    t.ok(await claims[0]);
    switchboard.mediaOpened("theirs", MULAW_8K, clock.nowMs());
    writes("theirs", { kind: "callResumed", sequence: 1, epoch: NEXT_EPOCH, nodeId: "node-1" });
    reads[1]!();
    t.equal(await claims[1], null);
    t.equal(journals.whole("theirs")?.length, 2);
  },
);
