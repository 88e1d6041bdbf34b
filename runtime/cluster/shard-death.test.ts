/** Shards that hang, throw, exit or run out of memory; what their calls and the others notice. */
import { availableParallelism, setPriority } from "node:os";
import { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import type { ShardPoolOptions } from "./options.js";
import { type PoolWorld, callStart, poolWorld } from "./pool.fixture.js";
import type { TestShardData } from "./shard.fixture.js";
import type { SlotLease } from "./slot-lease.js";
import { threadCpu } from "./thread-cpu.js";

const workers: Worker[] = [];
process.on("worker", (worker) => workers.push(worker));

/** Far longer than anything here takes, so that only what is lost runs into it. */
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

/** Sends a shard to its death; the ask that does it is rejected with SHARD_LOST. */
function kill(t: Test, { pool }: PoolWorld, shardId: number, topic: string, message = /./): void {
  void t.rejects(pool.ask(shardId, topic, null, DEADLINE_MS), { code: "SHARD_LOST", message });
}

void t.test("a shard in an infinite loop is replaced, while the other goes on as before", async (t) => {
  // The watchdog's defaults: a loop is seen from what the thread runs, where the system tells.
  const world = await started(t, {}, { shardCount: 2 });
  const { pool, seen } = world;
  const leases = [pool.reserve()!, pool.reserve()!];
  for (const lease of leases) pool.open(lease, callStart(`call-${lease.shardId}`));
  const lost = seen.next("lost");
  const ready = seen.next("ready");
  kill(t, world, 1, "spin", /sent no heartbeat for \d{3,4} ms/);
  let answersMeanwhile = 0;
  while (seen.of("lost").length === 0) {
    await pool.ask(0, "echo", answersMeanwhile, DEADLINE_MS);
    answersMeanwhile++;
  }
  t.match(await lost, { shardId: 1, leases: [leases[1]!], reason: "hung" });
  t.ok(answersMeanwhile > 10, `${answersMeanwhile} answers of the healthy shard`);
  t.match(await ready, { shardId: 1 });
  t.same(await pool.ask(1, "echo", "alive", DEADLINE_MS), "alive");
  t.match(
    leases.map(({ state }) => state),
    ["open", "lost"],
  );
  t.match(pool.stats(), [
    { live: 1, restarts: 0 },
    { live: 0, free: 4, restarts: 1 },
  ]);
});

void t.test(
  "however a shard dies, its leases are lost exactly once and a fresh one takes its place",
  async (t) => {
    const deaths = [
      { topic: "exit", reason: "exited", what: /exited with code 3/ },
      { topic: "throwLater", reason: "threw", what: /threw: a bug in a callback/ },
      { topic: "rejectLater", reason: "threw", what: /threw: unhandled/ },
      { topic: "exhaustMemory", reason: "outOfMemory", what: /ran out of memory/ },
    ];
    // None of them hangs, but on a busy machine the collector stops a thread that is out of memory for longer than that.
    const watchdog = { hungAfterMs: 10_000, spinningAfterMs: 10_000 };
    const world = await started(t, {}, { resourceLimits: { maxOldGenerationSizeMb: 32 }, watchdog });
    const { pool, seen } = world;
    for (const [index, { topic, reason, what }] of deaths.entries()) {
      const reserved = pool.reserve()!;
      const open = pool.reserve()!;
      const closed = pool.reserve()!;
      const seenClosed = seen.next("closed");
      pool.open(open, callStart("open"));
      pool.open(closed, callStart("close at once"));
      await seenClosed;
      const [lost, ready] = [seen.next("lost"), seen.next("ready")];
      void t.rejects(pool.ask(0, "never", null, DEADLINE_MS), { code: "SHARD_LOST", message: what });
      pool.ask(0, topic, null, DEADLINE_MS).catch(() => {});
      t.match(await lost, { shardId: 0, leases: [reserved, open], reason });
      await ready;
      t.equal(seen.of("lost").length, index + 1);
      t.match([reserved.state, open.state, closed.state], ["lost", "lost", "closed"]);
      t.match(pool.stats(), [{ state: "ready", live: 0, free: 4, restarts: index + 1 }]);
      // What the edge still does with a lost lease does no harm.
      open.side.in.writeAudio(new Uint8Array(160), 0, 160, 0);
      open.ringShard();
      for (const lease of [reserved, open, closed]) pool.release(lease);
      t.match(pool.stats(), [{ live: 0, free: 4 }]);
      const fresh = [pool.reserve()!, pool.reserve()!, pool.reserve()!, pool.reserve()!];
      const lostSides = new Set([reserved.side, open.side, closed.side]);
      t.notOk(
        fresh.some(({ side }) => lostSides.has(side)),
        "the slots lie in another arena",
      );
      for (const lease of fresh.reverse()) pool.release(lease);
    }
  },
);

void t.test(
  "a shard that gets no processor is not taken for hung, and one that loops is found at once",
  { skip: process.platform !== "linux" && "nobody tells what a thread runs" },
  async (t) => {
    const world = await started(t, {}, { watchdog: { hungAfterMs: 400 } });
    const { pool, seen } = world;
    const lease = pool.reserve()!;
    pool.open(lease, callStart());
    const threadId = (await pool.ask(0, "threadId", null, DEADLINE_MS)) as number;
    t.ok(threadCpu(threadId)!.ranMs > 0);
    // Every core is taken, and the shard comes last.
    setPriority(threadId, 19);
    const greedy = Array.from(
      { length: 2 * availableParallelism() },
      () => new Worker("for (;;);", { eval: true }),
    );
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await Promise.all(greedy.map((worker) => worker.terminate()));
    t.same(seen.of("lost"), [], "it was not lost");
    t.equal(await pool.ask(0, "echo", "alive", DEADLINE_MS), "alive");

    const lost = seen.next("lost");
    void t.rejects(pool.ask(0, "spinIn", lease.slot, DEADLINE_MS), {
      message: /sent no heartbeat for [2-4]\d\d ms/,
    });
    t.match(await lost, { reason: "hung", leases: [lease], culprit: lease });
  },
);

void t.test(
  "a spare gets no calls until a shard dies; then it stands in, and the next one is the spare",
  async (t) => {
    const world = await started(t, {}, { shardCount: 1, spare: true });
    const { pool, seen } = world;
    while (pool.stats()[1]!.state !== "ready") await seen.next("ready");
    t.match(pool.stats(), [{ role: "serving" }, { role: "spare" }]);
    const leases = Array.from({ length: 4 }, () => pool.reserve()!);
    t.same(
      leases.map(({ shardId }) => shardId),
      [0, 0, 0, 0],
    );
    t.equal(pool.reserve(), null, "full: the spare is not for this");
    const lost = seen.next("lost");
    kill(t, world, 0, "exit");
    await lost;
    t.match(pool.stats(), [
      { role: "spare", state: "backoff" },
      { role: "serving", state: "ready" },
    ]);
    const again = Array.from({ length: 4 }, () => pool.reserveAgain(0)!);
    t.ok(again.every(({ shardId }) => shardId === 1));
    await seen.next("ready");
    t.match(pool.stats(), [{ role: "spare", state: "ready", restarts: 1 }, { live: 4 }]);
    t.equal(pool.reserve(), null);
    t.equal(pool.reserveAgain(1)?.shardId, 0, "but a call that lost its own is taken in");
  },
);

void t.test("a drained shard gets nothing, starts afresh when it is empty, and was no loss", async (t) => {
  const world = await started(t, {}, { shardCount: 2 });
  const { pool, seen } = world;
  t.ok(pool.drainShard(0));
  const leases = Array.from({ length: 4 }, () => pool.reserve()!);
  t.ok(leases.every(({ shardId }) => shardId === 1));
  t.equal(pool.reserve(), null);
  t.equal(pool.reserveAgain(0)?.shardId, 0, "rather there than nowhere");
  t.notOk(pool.endShardDrain(0), "it has a call");
  t.equal(pool.reserve(), null, "and gets no other while it has");
  t.ok(pool.endShardDrain(0, true), "or it serves again as it is");
  t.ok(pool.drainShard(1));
  for (const lease of leases) pool.release(lease);
  const ready = seen.next("ready");
  t.ok(pool.endShardDrain(1));
  t.match(await ready, { shardId: 1 });
  t.match(pool.stats()[1], { role: "serving", state: "ready", restarts: 0 });
});

void t.test("a pool that is closed while a drained shard starts afresh starts nothing", async (t) => {
  const clock = new VirtualClock();
  const { pool } = await started(t, {}, { clock });
  t.ok(pool.drainShard(0));
  t.ok(pool.endShardDrain(0));
  await pool.close();
  t.equal(clock.timerCount, 0);
  t.match(pool.stats(), [{ state: "closed" }]);
});

void t.test("a bug in the tick ends the shard, not the process", async (t) => {
  const world = await started(t);
  const { pool, seen } = world;
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  await pool.ask(0, "failInRingsReady", null, DEADLINE_MS);
  const lost = seen.next("lost");
  lease.ringShard();
  t.match(await lost, { leases: [lease], reason: "threw" });
});

void t.test("what a shard said before it ended counts: a closed call is not lost", async (t) => {
  const { pool, seen } = await started(t);
  const [closed, open] = [pool.reserve()!, pool.reserve()!];
  for (const lease of [closed, open]) pool.open(lease, callStart(`call-${lease.slot}`));
  const lost = seen.next("lost");
  pool.ask(0, "closeAndExit", closed.slot, DEADLINE_MS).catch(() => {});
  t.match(await lost, { leases: [open] });
  t.same(
    seen.of("closed").map(({ lease }) => lease),
    [closed],
  );
  t.ok(seen.of("event").some(({ event }) => event === "last words"));
});

void t.test("a call opened while its shard dies comes back as lost", async (t) => {
  const world = await started(t);
  const { pool, seen } = world;
  const raced = [pool.reserve()!, pool.reserve()!];
  const lost = seen.next("lost");
  // The thread ends before it reads the second message, and the main thread cannot know yet.
  kill(t, world, 0, "exit");
  for (const lease of raced) t.equal(pool.open(lease, callStart()), true);
  t.equal(raced[0]!.state, "open");
  t.match(await lost, { leases: raced });
  const tooLate = raced[0]!;
  t.equal(pool.open(tooLate, callStart()), false);
  pool.release(tooLate);
  t.equal(tooLate.state, "lost");
  t.equal(seen.of("lost").length, 1);
  t.equal(seen.of("closed").length, 0);
});

void t.test("a call whose opening kills the shard is lost, as are the others of that shard", async (t) => {
  const { pool, seen } = await started(t);
  const [innocent, poison] = [pool.reserve()!, pool.reserve()!];
  pool.open(innocent, callStart());
  const lost = seen.next("lost");
  pool.open(poison, callStart("exit on open"));
  t.match(await lost, { leases: [innocent, poison], reason: "exited" });
});

void t.test(
  "a lease that is lost can be answered with one on another shard, from inside the news",
  async (t) => {
    const replacements: (SlotLease | null)[] = [];
    const world = await started(t, {}, { shardCount: 2 });
    const { pool, seen } = world;
    const leases = [pool.reserve()!, pool.reserve()!];
    const onShardLost = seen.onShardLost.bind(seen);
    seen.onShardLost = (shardId, lost, reason, last): void => {
      for (const _ of lost) replacements.push(pool.reserve());
      onShardLost(shardId, lost, reason, last);
    };
    const lost = seen.next("lost");
    kill(t, world, leases[0]!.shardId, "exit");
    await lost;
    t.match(replacements, [{ shardId: leases[1]!.shardId, state: "reserved" }]);
  },
);

void t.test("restarts back off, and a shard that needs too many is given up: the pool says so", async (t) => {
  const words = new SharedArrayBuffer(8);
  const clock = new VirtualClock();
  const world = await started(
    t,
    { words, goodStarts: 2 },
    {
      clock,
      shardCount: 2,
      restart: { maxRestarts: 3, withinMs: 60_000 },
      watchdog: { heartbeatMs: 1_000_000, lookEveryMs: 1_000_000, hungAfterMs: 4_000_000 },
    },
  );
  const { pool, seen } = world;
  const startCount = (): number => Atomics.load(new Int32Array(words), 1);
  const lost = seen.next("lost");
  kill(t, world, 1, "exit");
  await lost;
  const delaysMs: number[] = [];
  while (pool.stats()[1]!.state !== "failed") {
    t.equal(pool.stats()[1]!.state, "backoff");
    const delayMs = clock.nextDueAtMs() - clock.nowMs();
    delaysMs.push(delayMs);
    clock.advance(delayMs);
    t.equal(pool.stats()[1]!.state, "starting");
    // The thread dies at once, by itself.
    while (pool.stats()[1]!.state === "starting") {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }
  t.equal(startCount(), 2 + 3);
  t.equal(delaysMs.length, 3);
  t.equal(delaysMs[0], 0, "the first does not wait");
  t.ok(delaysMs[1]! >= 100 && delaysMs[1]! <= 120, `then ${delaysMs[1]} ms`);
  t.ok(delaysMs[2]! >= 200 && delaysMs[2]! <= 240, `then ${delaysMs[2]} ms`);
  t.match(pool.readiness(), { ready: false, reason: "given up on shard 1" });
  t.equal(pool.reserve()?.shardId, 0, "the other shard still serves");
  t.equal(pool.reserve()?.shardId, 0);
  t.equal(seen.of("lost").length, 1, "a shard that never was ready had nothing to lose");
});

void t.test("a shard that dies during a drain is not replaced", async (t) => {
  const world = await started(t, {}, { shardCount: 2 });
  const { pool, seen } = world;
  const lease = pool.reserve()!;
  pool.open(lease, callStart());
  pool.beginDrain(Number.MAX_SAFE_INTEGER);
  const lost = seen.next("lost");
  kill(t, world, lease.shardId, "exit");
  t.match(await lost, { leases: [lease] });
  t.match(pool.stats()[lease.shardId], { state: "closed", restarts: 0 });
});

void t.test("a restarted shard that is not ready in time is tried again", async (t) => {
  const words = new SharedArrayBuffer(8);
  const gate = new Int32Array(words);
  Atomics.store(gate, 0, 1);
  const clock = new VirtualClock();
  const world = await started(t, { start: "gated", words }, { clock, readyTimeoutMs: 5_000 });
  const { pool, seen } = world;
  Atomics.store(gate, 0, 0);
  const lost = seen.next("lost");
  kill(t, world, 0, "exit");
  await lost;
  clock.advance(0);
  t.match(pool.stats(), [{ state: "starting" }]);
  clock.advance(5_000);
  t.match(pool.stats(), [{ state: "backoff", restarts: 2 }]);
  Atomics.store(gate, 0, 1);
  const ready = seen.next("ready");
  clock.advance(1_000);
  await ready;
  t.equal(await pool.ask(0, "echo", 1, DEADLINE_MS), 1);
});

void t.test("closing while a shard is dead or coming back leaves nothing behind", async (t) => {
  for (const advanceMs of [null, 0]) {
    const clock = new VirtualClock();
    const world = poolWorld({}, { clock, closeGraceMs: 1 });
    await world.pool.start();
    const lost = world.seen.next("lost");
    kill(t, world, 0, "exit");
    await lost;
    if (advanceMs !== null) clock.advance(advanceMs);
    await world.pool.close();
    t.equal(clock.timerCount, 0);
    t.match(world.pool.stats(), [{ state: "closed" }]);
  }
});

void t.test("no thread is left of any of these tests", (t) => {
  t.ok(workers.length > 20);
  t.same(
    workers.filter(({ threadId }) => threadId !== -1),
    [],
  );
  t.end();
});
