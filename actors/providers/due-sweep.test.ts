import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { BACKOFF_MAX_MS, backoffMs } from "./backoff.js";
import { DueSweep, NEVER, STALL_MS, SWEEP_INTERVAL_MS } from "./due-sweep.js";

class Probe {
  dueAtMs: number;
  readonly firedAtMs: number[] = [];

  constructor(dueAtMs: number) {
    this.dueAtMs = dueAtMs;
  }

  onDue(nowMs: number): void {
    this.firedAtMs.push(nowMs);
    this.dueAtMs = NEVER;
  }
}

void t.test("a deadline fires once, never early and at most a sweep late", async (t) => {
  const clock = new VirtualClock({ startMs: 0 });
  const sweep = new DueSweep(clock);
  const probes = [1, 99, 100, 101, 250, 1_234].map((dueAtMs) => new Probe(dueAtMs));
  for (const probe of probes) sweep.add(probe);
  const dues = probes.map((probe) => probe.dueAtMs);
  clock.advance(2_000);
  for (const [index, probe] of probes.entries()) {
    t.equal(probe.firedAtMs.length, 1);
    const lateMs = probe.firedAtMs[0]! - dues[index]!;
    t.ok(lateMs >= 0 && lateMs <= SWEEP_INTERVAL_MS, `${lateMs} ms late`);
  }
});

void t.test("moving a deadline is an assignment, and a removed one does not fire", async (t) => {
  const clock = new VirtualClock({ startMs: 0 });
  const sweep = new DueSweep(clock);
  const moved = new Probe(150);
  const removed = new Probe(150);
  sweep.add(moved);
  sweep.add(removed);
  clock.advance(100);
  moved.dueAtMs = 450;
  sweep.remove(removed);
  clock.advance(300);
  t.same(moved.firedAtMs, []);
  clock.advance(200);
  t.equal(moved.firedAtMs.length, 1);
  t.same(removed.firedAtMs, []);
});

void t.test("after a stall nobody is judged before what lies in the sockets was read", async (t) => {
  // A node that had just started stood still for a second, and its first sweep after it called every provider late.
  let nowMs = 0;
  let tick = (): void => {};
  const sweep = new DueSweep({
    nowMs: () => nowMs,
    unixMs: () => nowMs,
    setTimer: (_delayMs, callback) => {
      tick = callback;
      return { cancel: () => {} };
    },
  });
  const answered = new Probe(500);
  const silent = new Probe(500);
  sweep.add(answered);
  sweep.add(silent);
  nowMs = 1_000;
  tick();
  t.same([answered.firedAtMs, silent.firedAtMs], [[], []]);
  answered.dueAtMs = 2_000; // read from its socket
  nowMs += SWEEP_INTERVAL_MS + STALL_MS;
  tick();
  t.same(
    [answered.firedAtMs, silent.firedAtMs],
    [[], [1_200]],
    "the next sweep judges, though it is late too",
  );
});

void t.test("when nothing waits there is no timer", async (t) => {
  const clock = new VirtualClock({ startMs: 0 });
  const sweep = new DueSweep(clock);
  t.equal(clock.timerCount, 0);
  const probe = new Probe(NEVER);
  sweep.add(probe);
  clock.advance(1_000);
  t.equal(clock.timerCount, 1, "it waits, though for nothing yet");
  sweep.remove(probe);
  t.equal(clock.timerCount, 0);
});

void t.test(
  "one that leaves while the sweep looks at it, or lets another leave, disturbs nobody",
  async (t) => {
    const clock = new VirtualClock({ startMs: 0 });
    const sweep = new DueSweep(clock);
    const victim = new Probe(50);
    const killer = { dueAtMs: 50, onDue: () => [killer, victim].forEach((due) => sweep.remove(due)) };
    const other = new Probe(50);
    for (const due of [killer, victim, other]) sweep.add(due);
    clock.advance(500);
    t.same(victim.firedAtMs, []);
    t.equal(other.firedAtMs.length, 1);
  },
);

void t.test(
  "the wait before dialling again doubles to its bound and differs from shard to shard",
  async (t) => {
    const random = seededRandom(7);
    for (let failures = 1; failures < 40; failures++) {
      const fullMs = Math.min(250 * 2 ** (failures - 1), BACKOFF_MAX_MS);
      const waits = Array.from({ length: 20 }, () => backoffMs(failures, random));
      t.ok(waits.every((waitMs) => waitMs >= fullMs / 2 && waitMs <= fullMs));
      t.ok(new Set(waits).size > 10);
    }
  },
);
