/** Placement, calls, asks, drain and close, with real threads; deaths have a file of their own. */
import type { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { SystemClock, VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import type { ShardPoolOptions } from "./options.js";
import { type PoolWorld, SeenLog, callStart, poolWorld } from "./pool.fixture.js";
import type { TestShardData } from "./shard.fixture.js";
import type { ShardAnswer, ShardPool } from "./shard-pool.js";
import type { SlotLease } from "./slot-lease.js";

/** Every thread made in this file; the last test looks whether one is left. */
const workers: Worker[] = [];
process.on("worker", (worker) => workers.push(worker));

const frame = new Uint8Array(160).fill(0x55);
/** Far longer than an answer takes, so that only a lost one runs into it. */
const DEADLINE_MS = 20_000;

async function started(
  t: Test,
  data: TestShardData = {},
  options: Partial<ShardPoolOptions> = {},
): Promise<PoolWorld> {
  const world = poolWorld(data, options);
  t.teardown(() => world.pool.close());
  await world.pool.start();
  return world;
}

function stateOf(pool: ShardPool, shardId = 0): Promise<unknown> {
  return pool.ask(shardId, "state", null, DEADLINE_MS);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

void t.test("a shard tells its load without being asked, and sees the node's pressure", async (t) => {
  const { pool, seen } = await started(t);
  const load = () => pool.stats()[0]!.load;
  await pool.ask(0, "useBudget", 0.5, DEADLINE_MS);
  // A second with one stall in it is no p99: some are needed.
  do await pool.ask(0, "stall", 100, DEADLINE_MS);
  while (load()!.budgetUsage !== 0.5 || load()!.eventLoopDelayMs < 80);
  pool.setPressure(3);
  t.equal(await pool.ask(0, "pressure", null, DEADLINE_MS), 3);
  const ready = seen.next("ready");
  void pool.ask(0, "exit", null, DEADLINE_MS).catch(() => {});
  await seen.next("lost");
  t.equal(load(), null, "a shard that does not serve has no load");
  await ready;
  t.equal(await pool.ask(0, "pressure", null, DEADLINE_MS), 3, "its successor sees it too");
  pool.setPressure(0);
  t.equal(await pool.ask(0, "pressure", null, DEADLINE_MS), 0);
});

void t.test("a shard takes calls only after its handler has started", async (t) => {
  const words = new SharedArrayBuffer(8);
  const { pool, seen } = poolWorld({ start: "gated", words });
  t.teardown(() => pool.close());
  const starting = pool.start();
  const gate = new Int32Array(words);
  while (Atomics.load(gate, 1) === 0) await sleep(1);
  t.equal(pool.reserve(), null);
  t.match(pool.stats(), [{ state: "starting", free: 0 }]);
  t.match(pool.readiness(), { ready: false, reason: "no shard is ready" });
  await t.rejects(pool.ask(0, "echo", 1, DEADLINE_MS), { code: "SHARD_LOST" });
  Atomics.store(gate, 0, 1);
  await starting;
  t.match(pool.readiness(), { ready: true });
  t.match(seen.all, [{ kind: "ready", shardId: 0 }]);
  t.ok(pool.reserve());
});

void t.test("calls go to the least loaded shard, equals take turns, and a full pool says no", async (t) => {
  const { pool } = await started(t, {}, { shardCount: 2, slotsPerShard: 3 });
  const leases: SlotLease[] = [];
  for (let i = 0; i < 6; i++) leases.push(pool.reserve()!);
  const shardsInOrder = leases.map(({ shardId }) => shardId);
  t.same(shardsInOrder, [0, 1, 0, 1, 0, 1]);
  t.equal(pool.reserve(), null);
  const ofOne = leases.filter(({ shardId }) => shardId === 1);
  pool.release(ofOne[0]!);
  pool.release(ofOne[1]!);
  t.match(pool.stats(), [
    { live: 3, free: 0 },
    { live: 1, free: 2 },
  ]);
  const refilled = [pool.reserve()!, pool.reserve()!];
  t.same(
    refilled.map(({ shardId }) => shardId),
    [1, 1],
  );
  t.equal(pool.reserve(), null);
  for (const lease of [...leases, ...refilled]) pool.release(lease);
  const next = pool.reserve()!;
  pool.release(next);
  const afterIt = pool.reserve()!;
  t.not(afterIt.shardId, next.shardId, "also when each call ends before the next comes");
});

void t.test("audio goes in and comes out, and the edge is woken for it", async (t) => {
  const { pool, seen } = await started(t);
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  const opened = await seen.next("event", () => true, 0);
  t.same(opened.event, { kind: "opened", callId: "call-1" });
  const heard: number[] = [];
  const visit = (visited: SlotLease): void => {
    t.equal(visited, lease);
    while (visited.side.out.read()) heard.push(visited.side.out.payload[0]!);
  };
  for (let i = 1; i <= 3; i++) {
    lease.side.in.writeAudio(new Uint8Array(160).fill(i), 0, 160, 0);
    lease.ringShard();
    while (heard.length < i) {
      await seen.next("wake");
      pool.drainOutBell(0, visit);
    }
  }
  t.same(heard, [1, 2, 3]);
});

void t.test("while the edge goes by turns it wakes the shard, and the shard ends its nap", async (t) => {
  // A poll that never comes: only the edge's word can bring the shard to its rings.
  const { pool, seen } = await started(t, {}, { pollMs: 1_000_000 });
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  await seen.next("event", () => true, 0);
  const heard: number[] = [];
  const look = (): void =>
    pool.drainOutBells((visited) => {
      while (visited.side.out.read()) heard.push(visited.side.out.payload[0]!);
    });
  pool.edgeNap.begin();
  for (let i = 1; i <= 3; i++) {
    lease.side.in.writeAudio(new Uint8Array(160).fill(i), 0, 160, 0);
    lease.ringShard();
    pool.wakeRung();
    pool.edgeNap.lieDown();
    look();
    if (heard.length < i) t.ok(pool.edgeNap.nap(DEADLINE_MS), "woken, not by the time");
    look();
  }
  t.same(heard, [1, 2, 3]);
  t.same(seen.of("wake"), [], "and no message was posted for it");
  pool.edgeNap.end();
});

void t.test("audio that came before the shard knew of the call is not left lying", async (t) => {
  const { pool, seen } = await started(t);
  const other = pool.reserve()!;
  pool.open(other, callStart("other"));
  await seen.next("event", () => true, 0);
  const lease = pool.reserve()!;
  lease.side.in.writeAudio(frame, 0, 160, 0);
  lease.ringShard();
  // The other call keeps the shard polling: once it has echoed a frame, the bell was drained.
  const wake = seen.next("wake");
  other.side.in.writeAudio(frame, 0, 160, 0);
  other.ringShard();
  await wake;
  pool.drainOutBell(0, () => {});
  const secondWake = seen.next("wake");
  pool.open(lease, callStart());
  await secondWake;
  t.match(await stateOf(pool), { framesRead: 2 });
});

void t.test("an idle shard does not tick; one with a call does", async (t) => {
  const { pool, seen } = await started(t, {}, { pollMs: 1 });
  const ticks = (): Promise<unknown> => pool.ask(0, "ticksWithin", 30, DEADLINE_MS);
  t.equal(await ticks(), 0);
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  await seen.next("event", () => true, 0);
  t.ok(Number(await ticks()) > 0);
  await pool.ask(0, "close", lease.slot, DEADLINE_MS);
  t.equal(await ticks(), 0);
});

void t.test("a slot is given out again only when the edge and the shard are both done with it", async (t) => {
  const { pool, seen } = await started(t, {}, { slotsPerShard: 1 });
  const first = pool.reserve()!;
  pool.open(first, callStart("first"));
  pool.release(first);
  t.equal(pool.reserve(), null, "the shard is not done");
  t.match(pool.stats(), [{ live: 1, lingering: 1 }]);
  const closed = seen.next("closed");
  await pool.ask(0, "close", first.slot, DEADLINE_MS);
  t.match(await closed, { lease: first, outcome: { kind: "callerHungUp" } });
  t.equal(first.state, "closed");

  const second = pool.reserve()!;
  t.equal(second.slot, first.slot);
  t.ok(second.generation > first.generation);
  const closedSecond = seen.next("closed");
  pool.open(second, callStart("second"));
  await pool.ask(0, "close", second.slot, DEADLINE_MS);
  await closedSecond;
  t.equal(pool.reserve(), null, "the edge is not done");
  pool.release(second);
  t.ok(pool.reserve());
  t.equal(seen.of("closed").length, 2);
});

void t.test("a call that ends while it is being opened is closed like any other", async (t) => {
  const { pool, seen } = await started(t);
  const lease = pool.reserve()!;
  const closed = seen.next("closed");
  pool.open(lease, callStart("close at once"));
  t.equal((await closed).lease, lease);
  pool.release(lease);
  t.match(pool.stats(), [{ live: 0, free: 4 }]);
});

void t.test("a call the handler refuses comes back closed, with the code", async (t) => {
  const { pool, seen } = await started(t);
  const lease = pool.reserve()!;
  const closed = seen.next("closed");
  pool.open(lease, callStart("refuse me"));
  t.match(await closed, { lease, outcome: { kind: "actorCrashed", code: "TENANT_CONFIG_INVALID" } });
  pool.release(lease);
  t.match(pool.stats(), [{ live: 0 }]);
  const next = pool.reserve()!;
  const opened = seen.next("event");
  pool.open(next, callStart("the shard is fine"));
  await opened;
});

void t.test("a start that cannot cross to the shard leaves the lease reserved", async (t) => {
  const { pool } = await started(t);
  const lease = pool.reserve()!;
  const unclonable = { ...callStart(), pii: { from: (() => {}) as unknown as string, to: "" } };
  t.throws(() => pool.open(lease, unclonable), { name: "DataCloneError" });
  t.equal(lease.state, "reserved");
  pool.release(lease);
  t.match(pool.stats(), [{ live: 0 }]);
});

void t.test("a hang-up reaches the edge with its lease, and a late one reaches nobody", async (t) => {
  const { pool, seen } = await started(t);
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  const hangUp = seen.next("hangUp");
  await pool.ask(0, "hangUp", lease.slot, DEADLINE_MS);
  t.equal((await hangUp).lease, lease);
  await pool.ask(0, "close", lease.slot, DEADLINE_MS);
  await t.rejects(pool.ask(0, "hangUp", lease.slot, DEADLINE_MS), /no call on slot/);
  t.equal(seen.of("hangUp").length, 1);
});

void t.test("one call is ended by the node, and an ask that comes too late ends no other", async (t) => {
  const { pool, seen } = await started(t);
  const [lease, other] = [pool.reserve()!, pool.reserve()!];
  t.equal(pool.endCall(lease, { kind: "operatorHungUp" }), false, "it has not begun");
  pool.open(lease, callStart());
  pool.open(other, callStart("call-2"));
  t.equal(pool.endCall(lease, { kind: "operatorHungUp" }), true);
  // Sent before the first could be answered: by its turn the call is over.
  t.equal(pool.endCall(lease, { kind: "leaseLost" }), true);
  const closed = await seen.next("closed", () => true, 0);
  t.equal(closed.lease, lease);
  t.same(closed.outcome, { kind: "operatorHungUp" });
  t.equal(pool.endCall(lease, { kind: "operatorHungUp" }), false, "it is over");
  pool.release(lease);
  t.match(await stateOf(pool), { openCalls: 1 });
  t.equal(other.state, "open");
  t.equal(seen.of("event").filter(({ event }) => (event as { kind: string }).kind === "endCall").length, 1);
});

void t.test("events arrive in order with the end of the call", async (t) => {
  const { pool, seen } = await started(t);
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  const closed = seen.next("closed");
  const events = Array.from({ length: 2_000 }, (_, i) => i);
  void pool.ask(0, "emit", events, DEADLINE_MS);
  void pool.ask(0, "close", lease.slot, DEADLINE_MS);
  await closed;
  const order = seen.all.filter(({ kind }) => kind === "event" || kind === "closed");
  t.equal(order.at(-1)!.kind, "closed");
  t.same(
    seen.of("event").map(({ event }) => event),
    [{ kind: "opened", callId: "call-1" }, ...events],
  );
});

void t.test("an event that cannot be cloned is logged and takes no other with it", async (t) => {
  const { pool, seen } = await started(t);
  const after = seen.next("event", ({ event }) => event === "after");
  await pool.ask(0, "emitUnclonable", null, DEADLINE_MS);
  await after;
  t.same(
    seen.of("event").map(({ event }) => event),
    ["before", "after"],
  );
});

void t.test("a delegate that throws keeps no other message from being handled", async (t) => {
  const errors: string[] = [];
  const log = { ...silentLogger, error: (_: unknown, message: string) => void errors.push(message) };
  class Broken extends SeenLog {
    override onEvent(shardId: number, event: unknown): void {
      super.onEvent(shardId, event);
      throw new Error("a bug of the node");
    }
  }
  const seen = new Broken();
  const { pool } = poolWorld({}, { log: { ...log, child: () => log } }, seen);
  t.teardown(() => pool.close());
  await pool.start();
  const third = seen.next("event", ({ event }) => event === 3);
  await pool.ask(0, "emit", [1, 2, 3], DEADLINE_MS);
  await third;
  t.same(
    seen.of("event").map(({ event }) => event),
    [1, 2, 3],
  );
  t.equal(errors.filter((message) => message.includes("delegate failed")).length, 3);
});

void t.test("asks are answered; errors keep their code, detail and origin across the thread", async (t) => {
  const { pool } = await started(t);
  t.same(await pool.ask(0, "echo", { deep: [1, new Map([["a", 1]])] }, DEADLINE_MS), {
    deep: [1, new Map([["a", 1]])],
  });
  const error = await pool.ask(0, "fail", null, DEADLINE_MS).then(
    () => null,
    (error: unknown) => error,
  );
  t.match(error, {
    name: "LumentraError",
    code: "REQUEST_INVALID",
    message: "no such codec",
    detail: { codec: "opus" },
  });
  t.match((error as Error).stack, /shard\.fixture/);
  await t.rejects(pool.ask(0, "unclonable", null, DEADLINE_MS), /could not be cloned/);
  await t.rejects(
    pool.ask(0, "echo", () => {}, DEADLINE_MS),
    { name: "DataCloneError" },
  );
  await t.rejects(pool.ask(0, "no such topic", null, DEADLINE_MS), /unknown topic/);
});

void t.test("an ask without an answer ends at its deadline, by the pool's clock", async (t) => {
  const clock = new VirtualClock();
  const { pool } = await started(t, {}, { clock });
  const answer = pool.ask(0, "never", null, 1_000);
  const settled = t.rejects(answer, { code: "SHARD_ASK_TIMEOUT" });
  clock.advance(1_000);
  await settled;
});

void t.test("asks beyond the bound are refused at once", async (t) => {
  const { pool } = await started(t);
  const waiting = Array.from({ length: 256 }, () => pool.ask(0, "never", null, DEADLINE_MS));
  for (const ask of waiting) ask.catch(() => {});
  await t.rejects(pool.ask(0, "echo", 1, DEADLINE_MS), { code: "SHARD_ASKS_FULL" });
  await pool.close();
  const settled = await Promise.allSettled(waiting);
  t.ok(settled.every((one) => one.status === "rejected" && one.reason.code === "SHARD_LOST"));
});

void t.test("askAll has an answer from each shard, value or error", async (t) => {
  const { pool, seen } = await started(t, {}, { shardCount: 2, restart: { maxRestarts: 0, withinMs: 1 } });
  const askAll = async () => {
    const answers: ShardAnswer[] = [];
    await pool.askAll("echo", "x", DEADLINE_MS, (answer) => answers.push(answer));
    return answers.toSorted((a, b) => a.shardId - b.shardId);
  };
  t.match(await askAll(), [
    { shardId: 0, ok: true, value: "x" },
    { shardId: 1, ok: true, value: "x" },
  ]);
  const lost = seen.next("lost");
  pool.ask(1, "exit", null, DEADLINE_MS).catch(() => {});
  await lost;
  t.match(await askAll(), [
    { shardId: 0, ok: true },
    { shardId: 1, ok: false, error: { code: "SHARD_LOST" } },
  ]);
});

void t.test("a shard knows the configuration before it is ready, and hears of each new one", async (t) => {
  const { pool, seen } = poolWorld();
  t.teardown(() => pool.close());
  const config = { version: 1 };
  pool.configure(config);
  config.version = 99;
  await pool.start();
  t.match(await stateOf(pool), { configs: [{ version: 1 }] });
  pool.configure({ version: 2 });
  pool.configure("refuse me");
  t.same(((await stateOf(pool)) as { configs: unknown[] }).configs, [{ version: 1 }, { version: 2 }]);
  t.throws(() => pool.configure(() => {}), { name: "DataCloneError" });

  pool.configure({ version: 3 });
  const ready = seen.next("ready");
  pool.ask(0, "exit", null, DEADLINE_MS).catch(() => {});
  await ready;
  t.same(((await stateOf(pool)) as { configs: unknown[] }).configs, [{ version: 3 }]);
});

void t.test("a shard is ready only when the configuration it was born with is in force", async (t) => {
  const words = new SharedArrayBuffer(8);
  const { pool } = poolWorld({ words });
  t.teardown(() => pool.close());
  pool.configure("gated");
  let ready = false;
  const starting = pool.start().then(() => {
    ready = true;
  });
  const gate = new Int32Array(words);
  while (Atomics.load(gate, 1) === 0) await sleep(1);
  // The shard has started by now; had it not waited, its "ready" would be here within this time.
  await sleep(50);
  t.notOk(ready);
  pool.configure("next");
  Atomics.store(gate, 0, 1);
  await starting;
  t.match(await stateOf(pool), { configs: ["gated", "next"] });
});

void t.test(
  "a draining pool gives no slots, tells its shards until when, and lets calls finish",
  async (t) => {
    const { pool, seen } = await started(t, {}, { shardCount: 2 });
    const lease = pool.reserve()!;
    const reserved = pool.reserve()!;
    pool.open(lease, callStart());
    const deadlineAtMs = new SystemClock().nowMs() + 60_000;
    pool.beginDrain(deadlineAtMs);
    pool.beginDrain(0);
    t.equal(pool.reserve(), null);
    t.match(pool.readiness(), { ready: false, reason: "draining" });
    t.match(await stateOf(pool, 0), { drainDeadlineAtMs: deadlineAtMs });
    t.match(await stateOf(pool, 1), { drainDeadlineAtMs: deadlineAtMs });
    // A media socket that was promised before the drain may still come.
    const opened = seen.next("event", ({ shardId }) => shardId === reserved.shardId);
    pool.open(reserved, callStart("late"));
    await opened;
    const closed = seen.next("closed", (one) => one.lease === lease);
    await pool.ask(lease.shardId, "close", lease.slot, DEADLINE_MS);
    await closed;
  },
);

/** It told balancers and placement that it was ready, and every call they sent got the overflow. */
void t.test(
  "a node whose only shard is drained while a call is on it is not ready until that is over",
  async (t) => {
    const { pool } = await started(t);
    const lease = pool.reserve()!;
    t.ok(pool.drainShard(0));
    t.equal(pool.reserve(), null);
    t.match(pool.readiness(), { ready: false, reason: /takes new calls/ });
    t.notOk(pool.endShardDrain(0), "somebody holds a slot");
    t.ok(pool.endShardDrain(0, true));
    t.match(pool.readiness(), { ready: true });
    pool.release(lease);
  },
);

void t.test("close stops the handlers, loses what is still held, and leaves no thread", async (t) => {
  const { pool, seen } = await started(t, {}, { shardCount: 2 });
  const open = pool.reserve()!;
  const reserved = pool.reserve()!;
  pool.open(open, callStart());
  await Promise.all([pool.close(), pool.close()]);
  t.same(seen.of("event").filter(({ event }) => (event as { kind?: string }).kind === "stopping").length, 2);
  t.same(new Set(seen.of("lost").flatMap(({ leases }) => leases)), new Set([open, reserved]));
  t.match(pool.stats(), [{ state: "closed" }, { state: "closed" }]);
  t.equal(pool.reserve(), null);
  pool.release(open);
  pool.open(reserved, callStart("too late"));
  t.equal(reserved.state, "lost");
  t.equal(seen.of("lost").flatMap(({ leases }) => leases).length, 2);
});

void t.test("a shard that does not stop, or fails to, is ended by force", async (t) => {
  for (const stop of ["never", "throws"] as const) {
    const { pool } = poolWorld({ stop }, { closeGraceMs: 50 });
    await pool.start();
    await pool.close();
    t.match(pool.stats(), [{ state: "closed" }]);
  }
  const { pool } = poolWorld({}, { closeGraceMs: 50 });
  await pool.start();
  pool.ask(0, "spin", null, DEADLINE_MS).catch(() => {});
  await pool.close();
});

void t.test(
  "a shard that cannot start fails the pool's start, with the cause, and leaves no thread",
  async (t) => {
    const cases = [
      { start: "throws", reason: /this shard cannot start/, code: "SETTING_INVALID" },
      { start: "exits", reason: /exited with code 7/, code: undefined },
      { start: "never", reason: /not ready within 50 ms/, code: undefined, readyTimeoutMs: 50 },
    ] as const;
    for (const { start, reason, code, ...options } of cases) {
      const { pool, seen } = poolWorld({ start }, { shardCount: 2, ...options });
      const error = await pool.start().then(
        () => null,
        (error: unknown) => error as { code: string; message: string; cause?: { code?: string } },
      );
      t.equal(error?.code, "SHARD_START_FAILED");
      t.match(error?.message, reason);
      t.equal(error?.cause?.code, code);
      t.match(pool.stats(), [{ state: "closed" }, { state: "closed" }]);
      t.same(seen.all, []);
    }
  },
);

void t.test("options that contradict each other are refused", (t) => {
  t.throws(() => poolWorld({}, { shardCount: 0 }));
  t.throws(() => poolWorld({}, { watchdog: { heartbeatMs: 100, hungAfterMs: 300 } }), /hungAfterMs/);
  t.end();
});

void t.test("no thread is left of any of these tests", (t) => {
  t.ok(workers.length > 20);
  t.same(
    workers.filter(({ threadId }) => threadId !== -1),
    [],
  );
  t.end();
});
