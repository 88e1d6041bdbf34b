import t from "tap";
import type { Clock, TimerHandle } from "#runtime/actor";
import { FrameClock } from "./frame-clock.js";
import { FrameGrid } from "./frame-grid.js";
import { seededBelow, testSeed } from "./ring-pattern.js";

/** A clock whose timers fire as late (or, against the contract, as early) as the test says. */
class LateClock implements Clock {
  now = 0;
  armed: { atMs: number; callback: () => void } | null = null;
  setCount = 0;
  constructor(readonly latenessMs: () => number) {}

  nowMs(): number {
    return this.now;
  }
  unixMs(): number {
    return this.now;
  }
  setTimer(delayMs: number, callback: () => void): TimerHandle {
    this.setCount++;
    const armed = { atMs: this.now + delayMs, callback };
    this.armed = armed;
    return {
      cancel: () => {
        if (this.armed === armed) this.armed = null;
      },
    };
  }
  /** Runs the next timer; false when none is armed. */
  step(): boolean {
    const { armed } = this;
    if (!armed) return false;
    this.armed = null;
    this.now = Math.max(armed.atMs + this.latenessMs(), this.now);
    armed.callback();
    return true;
  }
}

const HOUR_MS = 3_600_000;

/** Ticks at every deadline, as a phone does, and notes each tick: its deadline and those gone by before it. */
function steadyClock(clock: Clock, periodMs: number, onTick: (dueAtMs: number, missedCount: number) => void) {
  let next = 1;
  const frames = new FrameClock(clock, periodMs, (nowMs) => {
    const latest = frames.grid.indexAt(nowMs);
    const missedCount = latest - next;
    next = latest + 1;
    frames.tickAt(frames.grid.deadlineMs(next));
    onTick(frames.grid.deadlineMs(latest), missedCount);
  });
  frames.tickAt(frames.grid.deadlineMs(next));
  return frames;
}

void t.test(
  "over an hour of late timers and stalls no deadline moves, is missed uncounted or comes twice",
  async (t) => {
    for (const periodMs of [20, 10, 1 / 3]) {
      const seed = testSeed();
      const below = seededBelow(seed);
      // Mostly up to 2 ms late; one in a hundred up to 30 periods.
      const clock = new LateClock(
        () => (below(100) === 0 ? below(30_000) / 1_000 : below(2_000) / 1_000) * periodMs,
      );
      clock.now = 1_234.567;
      const start = clock.now;
      const hours = periodMs < 1 ? 0.05 : 1;
      let deadlines = 0;
      let ticks = 0;
      const wrong: string[] = [];
      const frames = steadyClock(clock, periodMs, (dueAtMs, missedCount) => {
        deadlines += 1 + missedCount;
        ticks++;
        if (missedCount < 0) wrong.push(`deadline ${deadlines} comes twice`);
        if (dueAtMs !== start + deadlines * periodMs) wrong.push(`deadline ${deadlines} at ${dueAtMs}`);
        if (clock.now < dueAtMs) wrong.push(`early by ${dueAtMs - clock.now}`);
        if (start + (deadlines + 1) * periodMs <= clock.now)
          wrong.push(`deadline ${deadlines} is not the latest`);
      });
      while (clock.now < start + hours * HOUR_MS) clock.step();
      t.same(wrong, [], `period ${periodMs}, run again with LUMENTRA_TEST_SEED=${seed}`);
      t.ok(Math.abs(deadlines - (clock.now - start) / periodMs) <= 1, "as many as the time holds");
      t.ok(ticks < deadlines, "some were missed, each told in one call");
      frames.stop();
    }
  },
);

void t.test("a stall of half a second is one tick, and the grid says that 25 went by", async (t) => {
  const lateness = [500, 0, 0];
  const clock = new LateClock(() => lateness.shift() ?? 0);
  const ticks: number[][] = [];
  steadyClock(clock, 20, (...tick) => ticks.push(tick));
  for (let n = 0; n < 3; n++) clock.step();
  t.same(ticks, [
    [520, 25],
    [540, 0],
    [560, 0],
  ]);
});

void t.test("a timer that fires a fraction early waits for the deadline", async (t) => {
  const lateness = [-0.7, -0.1, 0];
  const clock = new LateClock(() => lateness.shift() ?? 0);
  const ticks: number[][] = [];
  steadyClock(clock, 20, (...tick) => ticks.push(tick));
  clock.step();
  clock.step();
  t.same(ticks, []);
  clock.step();
  t.same(ticks, [[20, 0]]);
});

void t.test("it sleeps unless asked, and of what is asked for the earliest comes", async (t) => {
  const clock = new LateClock(() => 0);
  const ticks: number[] = [];
  const frames = new FrameClock(clock, 20, (nowMs) => ticks.push(nowMs));
  t.equal(clock.armed, null, "made, not running");
  frames.tickAt(Number.POSITIVE_INFINITY);
  t.equal(clock.armed, null, "never is no deadline");
  frames.tickAt(60);
  frames.tickAt(40);
  frames.tickAt(80);
  t.equal(clock.setCount, 2, "what is later than the next tick sets no timer");
  clock.step();
  t.same(ticks, [40]);
  t.equal(clock.armed, null, "one tick, and it sleeps again");
  clock.now = 130;
  frames.tickAt(60);
  clock.step();
  t.same(ticks, [40, 130], "a deadline gone by ticks at once");
});

void t.test("stopped is stopped, from within a tick too, until it is asked again", async (t) => {
  const clock = new LateClock(() => 0);
  const due: number[] = [];
  const frames = steadyClock(clock, 20, (dueAtMs) => {
    due.push(dueAtMs);
    if (due.length === 2) frames.stop();
  });
  while (clock.step());
  t.same(due, [20, 40]);
  frames.stop();
  clock.now = 45;
  frames.tickAt(frames.grid.deadlineFrom(clock.now));
  clock.step();
  t.same(due, [20, 40, 60], "on the same grid");
  frames.stop();
  t.equal(clock.step(), false);
});

void t.test("a tick that throws does not undo what it asked for", async (t) => {
  const clock = new LateClock(() => 0);
  let ticks = 0;
  const frames = steadyClock(clock, 20, () => {
    if (++ticks === 1) throw new Error("one bad frame");
  });
  t.throws(() => clock.step());
  clock.step();
  t.equal(ticks, 2);
  frames.stop();
});

void t.test("an instant on the grid is its own deadline, wherever the division rounds", async (t) => {
  for (const [originMs, periodMs] of [
    [0, 10],
    [1_000_003.7, 10],
    [86_400_000.123, 1 / 3],
    [1e9 + 1 / 7, 20],
  ] as const) {
    const grid = new FrameGrid(originMs, periodMs);
    const wrong: number[] = [];
    for (let index = 0; index < 20_000; index++) {
      const atMs = grid.deadlineMs(index);
      if (grid.indexAt(atMs) !== index || grid.deadlineFrom(atMs) !== atMs) wrong.push(index);
      const between = atMs + periodMs / 2;
      if (grid.indexAt(between) !== index || grid.deadlineFrom(between) !== grid.deadlineMs(index + 1))
        wrong.push(index);
    }
    t.same(wrong, [], `from ${originMs}, every ${periodMs}`);
  }
});
