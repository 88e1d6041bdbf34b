import { Worker } from "node:worker_threads";
import t from "tap";
import { SystemClock } from "./system-clock.js";
import { VirtualClock } from "./virtual-clock.js";

void t.test("the system clock counts from the origin all threads share", async (t) => {
  const clock = new SystemClock();
  const before = clock.nowMs();
  const worker = new Worker(new URL("./clock-reader.fixture.js", import.meta.url), { execArgv: [] });
  const inWorker = await new Promise<number>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
  const after = clock.nowMs();
  t.ok(before <= inWorker && inWorker <= after, `${before} <= ${inWorker} <= ${after}`);
  const monotonicMs = Number(process.hrtime.bigint()) / 1e6;
  t.ok(monotonicMs >= after, "and hrtime counts from it too");
  t.ok(monotonicMs - after < 1_000);
});

void t.test("system timers fire in due order, never early, and cancelled ones not at all", async (t) => {
  const clock = new SystemClock();
  const order: number[] = [];
  const early: number[] = [];
  await new Promise<void>((resolve) => {
    for (const delayMs of [40, 5, 0, 25, 5.5]) {
      const dueAtMs = clock.nowMs() + delayMs;
      clock.setTimer(delayMs, () => {
        if (clock.nowMs() < dueAtMs) early.push(delayMs);
        order.push(delayMs);
        if (delayMs === 40) resolve();
      });
    }
    clock.setTimer(15, () => t.fail("cancelled")).cancel();
    t.same(order, [], "never synchronously");
  });
  t.same(order, [0, 5, 5.5, 25, 40]);
  t.same(early, []);
});

void t.test(
  "a thousand system timers wait behind one Node timer, and none is left when all are gone",
  (t) => {
    const clock = new SystemClock();
    const nodeTimers = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = nodeTimers();
    const handles = Array.from({ length: 1_000 }, (_, i) => clock.setTimer(1_000 + i * 7, () => {}));
    t.equal(nodeTimers() - before, 1);
    t.equal(clock.timerCount, 1_000);
    for (const handle of handles) handle.cancel();
    t.equal(nodeTimers() - before, 0);
    t.equal(clock.timerCount, 0);
    t.end();
  },
);

void t.test("a system timer set by the callback of another fires too", async (t) => {
  const clock = new SystemClock();
  await new Promise<void>((resolve) => {
    clock.setTimer(1, () => void clock.setTimer(1, () => void clock.setTimer(0, resolve)));
  });
  t.equal(clock.timerCount, 0);
});

void t.test("an earlier system timer set later still fires first", async (t) => {
  const clock = new SystemClock();
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    clock.setTimer(30, () => {
      order.push("late");
      resolve();
    });
    clock.setTimer(2, () => order.push("soon"));
  });
  t.same(order, ["soon", "late"]);
});

void t.test("virtual time stands still until advanced, and stops at each due instant", (t) => {
  const clock = new VirtualClock({ startMs: 100, startUnixMs: 5_000 });
  const seen: [string, number][] = [];
  const note = (name: string) => (): void => void seen.push([name, clock.nowMs()]);
  clock.setTimer(20, note("b"));
  clock.setTimer(10, note("a"));
  clock.setTimer(20, note("c"));
  clock.setTimer(15, note("never")).cancel();
  clock.setTimer(10, () => clock.setTimer(5.5, note("set on the way")));
  clock.setTimer(1_000, note("far"));
  t.same(seen, []);
  clock.advance(30);
  t.same(seen, [
    ["a", 110],
    ["set on the way", 115.5],
    ["b", 120],
    ["c", 120],
  ]);
  t.equal(clock.nowMs(), 130);
  t.equal(clock.unixMs(), 5_030);
  t.equal(clock.timerCount, 1);
  t.equal(clock.nextDueAtMs(), 1_100);
  t.end();
});

void t.test("advanceAsync lets code that awaits between timers keep up", async (t) => {
  const clock = new VirtualClock();
  const start = clock.nowMs();
  const seen: number[] = [];
  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.setTimer(ms, resolve);
    });
  const loop = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await sleep(10);
      seen.push(clock.nowMs() - start);
    }
  };
  const done = loop();
  await clock.advanceAsync(25);
  t.same(seen, [10, 20]);
  await clock.advanceAsync(5);
  await done;
  t.same(seen, [10, 20, 30]);
});

void t.test("timers with no delay that set each other for ever are an error, not a hang", (t) => {
  const clock = new VirtualClock();
  const again = (): void => void clock.setTimer(0, again);
  again();
  t.throws(() => clock.advance(1), /for ever/);
  t.end();
});
