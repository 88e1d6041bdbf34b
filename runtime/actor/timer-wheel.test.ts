import t from "tap";
import { seededRandom } from "./random.js";
import { TimerWheel } from "./timer-wheel.js";

void t.test("every timer fires in its tick, whatever the mix of delays, steps and cancels", (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const failure = runAgainstModel(seed);
    if (failure !== null) {
      t.fail(`seed ${seed}: ${failure}`);
      break;
    }
  }
  t.end();
});

/** Drives the wheel and a plain list side by side; returns what differed. */
function runAgainstModel(seed: number): string | null {
  const random = seededRandom(seed);
  const upTo = (limit: number): number => Math.floor(random.next() * limit);
  const wheel = new TimerWheel();
  const model = new Map<number, { dueTick: number; cancel: () => void }>();
  const fired: { id: number; dueTick: number }[] = [];
  let nowTick = 0;
  for (let step = 0; step < 2_000; step++) {
    const adds = upTo(4);
    for (let i = 0; i < adds; i++) {
      // Delays of every magnitude, so that every level and the overflow list take part.
      const dueTick = nowTick + 1 + upTo(2 ** (1 + upTo(30)));
      const id = step * 4 + i;
      const handle = wheel.add(dueTick, () => {
        model.delete(id);
        fired.push({ id, dueTick });
      });
      model.set(id, { dueTick, cancel: () => handle.cancel() });
    }
    if (upTo(3) === 0 && model.size > 0) {
      const [id, timer] = [...model][upTo(model.size)]!;
      timer.cancel();
      model.delete(id);
    }
    const earliest = Math.min(...[...model.values()].map((timer) => timer.dueTick));
    if (wheel.nextTick() > earliest) return `wants to be called after its earliest timer at ${earliest}`;
    nowTick += upTo(2 ** upTo(24));
    fired.length = 0;
    wheel.advance(nowTick);
    const overdue = [...model.values()].filter((timer) => timer.dueTick <= nowTick);
    if (overdue.length > 0) return `${overdue.length} timers did not fire by tick ${nowTick}`;
    if (fired.some((timer) => timer.dueTick > nowTick)) return `a timer fired before its tick`;
    for (let i = 1; i < fired.length; i++) {
      const [a, b] = [fired[i - 1]!, fired[i]!];
      if (a.dueTick > b.dueTick || (a.dueTick === b.dueTick && a.id > b.id)) return "fired out of order";
    }
    if (wheel.count !== model.size) return `counts ${wheel.count} timers, there are ${model.size}`;
  }
  return null;
}

void t.test("a timer cancelled by another of the same tick does not fire", (t) => {
  const wheel = new TimerWheel();
  let fired = 0;
  wheel.add(5, () => second.cancel());
  const second = wheel.add(5, () => fired++);
  wheel.advance(10);
  t.equal(fired, 0);
  t.equal(wheel.count, 0);
  t.end();
});

void t.test("a timer set while its own tick is fired waits for the next", (t) => {
  const wheel = new TimerWheel();
  let fired = 0;
  wheel.add(5, () => void wheel.add(5, () => fired++));
  wheel.advance(5);
  t.equal(fired, 0);
  wheel.advance(6);
  t.equal(fired, 1);
  t.end();
});

void t.test("timers behind one that throws fire at the next call", (t) => {
  const wheel = new TimerWheel();
  let fired = 0;
  wheel.add(5, () => {
    throw new Error("boom");
  });
  wheel.add(5, () => fired++);
  wheel.add(6, () => fired++);
  t.throws(() => wheel.advance(6), { message: "boom" });
  t.ok(wheel.nextTick() <= 6, "it asks to be called again at once");
  wheel.advance(6);
  t.equal(fired, 2);
  t.end();
});

void t.test("onEmpty runs when the last timer is cancelled or fires", (t) => {
  let empty = 0;
  const wheel = new TimerWheel(() => empty++);
  const one = wheel.add(3, () => {});
  wheel.add(4, () => {});
  one.cancel();
  one.cancel();
  t.equal(empty, 0);
  wheel.advance(4);
  t.equal(empty, 1);
  t.equal(wheel.nextTick(), Number.POSITIVE_INFINITY);
  t.end();
});
