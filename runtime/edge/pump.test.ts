import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { NEVER_MS } from "./playout.js";
import { Pump, PUMP_TICK_MS, type Pumped } from "./pump.js";

/** Notes when it was pumped and asks for the instants it was given. */
class Noting implements Pumped {
  pumpIndex = -1;
  pumpDueAtMs = NEVER_MS;
  readonly pumpedAtMs: number[] = [];
  readonly #next: (nowMs: number) => number;
  constructor(next: (nowMs: number) => number) {
    this.#next = next;
  }
  pump(nowMs: number): number {
    this.pumpedAtMs.push(nowMs);
    return this.#next(nowMs);
  }
}

void t.test("each is called at the instant it asked for, and no timer runs when none asks", async (t) => {
  const clock = new VirtualClock();
  const pump = new Pump(clock);
  const startMs = clock.nowMs();
  const dues = [30, 50, 120].map((ms) => startMs + ms);
  const leg = new Noting((nowMs) => dues.find((dueAtMs) => dueAtMs > nowMs) ?? NEVER_MS);
  pump.wake(leg);
  clock.advance(1_000);
  t.strictSame(leg.pumpedAtMs, [startMs, ...dues]);
  t.equal(clock.timerCount, 0);
  t.equal(pump.waitingCount, 0);
});

void t.test("one timer serves all, set for the earliest", async (t) => {
  const clock = new VirtualClock();
  const pump = new Pump(clock);
  const startMs = clock.nowMs();
  const legs = Array.from(
    { length: 100 },
    (_, index) =>
      new Noting((nowMs) => (nowMs === startMs ? startMs + (1 + (index % 5)) * PUMP_TICK_MS : NEVER_MS)),
  );
  for (const leg of legs) {
    pump.wake(leg);
    t.equal(clock.timerCount, 1);
  }
  clock.advance(PUMP_TICK_MS);
  t.equal(legs.filter((leg) => leg.pumpedAtMs.length === 2).length, 20);
  clock.advance(100);
  t.ok(legs.every((leg, index) => leg.pumpedAtMs[1] === startMs + (1 + (index % 5)) * PUMP_TICK_MS));
  t.equal(pump.waitingCount, 0);
});

void t.test("legs that leave in the middle of a tick disturb no other", async (t) => {
  const clock = new VirtualClock();
  const pump = new Pump(clock);
  const startMs = clock.nowMs();
  const legs: Noting[] = [];
  for (let index = 0; index < 50; index++) {
    legs.push(
      new Noting((nowMs) => {
        if (nowMs === startMs) return startMs + 10;
        // Takes its neighbours with it.
        if (index % 10 === 3) for (const other of [index - 1, index + 1, index]) pump.remove(legs[other]!);
        return index % 10 === 3 ? NEVER_MS : nowMs + 10;
      }),
    );
  }
  for (const leg of legs) pump.wake(leg);
  clock.advance(45);
  const counts = legs.map((leg) => leg.pumpedAtMs.length);
  for (const [index, count] of counts.entries()) {
    const digit = index % 10;
    if (digit === 3) t.equal(count, 2, `leg ${index} was pumped once more and left`);
    // A neighbour may have had its turn in that tick already.
    else if (digit === 2 || digit === 4) t.ok(count <= 2, `leg ${index} was removed`);
    else t.equal(count, 5, `leg ${index} was pumped each tick`);
  }
  t.equal(pump.waitingCount, 35);
  pump.close();
  t.equal(clock.timerCount, 0);
  t.equal(pump.waitingCount, 0);
});

void t.test("waking one that waits replaces the instant it waits for", async (t) => {
  const clock = new VirtualClock();
  const pump = new Pump(clock);
  const startMs = clock.nowMs();
  let dueAtMs = startMs + 100;
  const leg = new Noting(() => dueAtMs);
  pump.wake(leg);
  dueAtMs = startMs + 20;
  pump.wake(leg);
  dueAtMs = NEVER_MS;
  clock.advance(500);
  t.strictSame(leg.pumpedAtMs, [startMs, startMs, startMs + 20]);
});
