import t from "tap";
import { DOWN_AFTER_MS, Ladder, type PressureInputs, type Rung } from "./ladder.js";

const CALM: PressureInputs = { pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 };
const OFF = Number.POSITIVE_INFINITY;
const THRESHOLDS = {
  pacingLagMs: [20, 50, 100, 200],
  eventLoopDelayMs: [50, 100, 200, 350],
  slotUsage: [OFF, 0.99, OFF, OFF],
  providerUsage: [0.75, 0.85, 0.95, OFF],
} as const;

/** A ladder on time of its own: one sample a second. */
class Seconds {
  readonly #ladder = new Ladder(THRESHOLDS);
  #nowMs = 0;

  get rung(): Rung {
    return this.#ladder.rung;
  }

  /** The rung after each sample. */
  feed(count: number, change: Partial<PressureInputs>): Rung[] {
    return Array.from({ length: count }, () => {
      this.#nowMs += 1_000;
      return this.#ladder.sample({ ...CALM, ...change }, this.#nowMs);
    });
  }
}

void t.test("one bad second moves nothing, two of three do at once", async (t) => {
  const seconds = new Seconds();
  t.strictSame(seconds.feed(1, { pacingLagMs: 500 }), [0]);
  t.strictSame(seconds.feed(2, {}), [0, 0]);
  t.strictSame(seconds.feed(1, { pacingLagMs: 500 }), [0], "the first is too long ago");
  t.strictSame(seconds.feed(1, {}), [0]);
  t.strictSame(seconds.feed(1, { pacingLagMs: 500 }), [4], "the first and the third");
});

void t.test("the rung is the one that two samples agree on, whichever inputs they are", async (t) => {
  const seconds = new Seconds();
  seconds.feed(1, { eventLoopDelayMs: 400 });
  t.strictSame(seconds.feed(1, { pacingLagMs: 20 }), [1], "four and one make one");
  t.strictSame(seconds.feed(1, { providerUsage: 0.96 }), [3], "four and three make three");
  t.strictSame(seconds.feed(1, { slotUsage: 1 }), [3], "it does not fall because of a lower one");
});

for (const [input, value, rung] of [
  ["pacingLagMs", 19.9, 0],
  ["pacingLagMs", 20, 1],
  ["pacingLagMs", 200, 4],
  ["eventLoopDelayMs", 199, 2],
  ["slotUsage", 0.98, 0],
  ["slotUsage", 1, 2],
  ["providerUsage", 1, 3],
] as const) {
  void t.test(`${input} at ${value} is rung ${rung}`, async (t) => {
    const seconds = new Seconds();
    seconds.feed(2, { [input]: value });
    t.equal(seconds.rung, rung);
  });
}

void t.test("down one rung after ten calm seconds, and ten more for the next", async (t) => {
  const seconds = new Seconds();
  seconds.feed(2, { pacingLagMs: 300 });
  t.equal(seconds.rung, 4);
  const calm = DOWN_AFTER_MS / 1_000;
  t.strictSame(seconds.feed(calm, {}), Array<Rung>(calm).fill(4));
  t.strictSame(seconds.feed(calm, {}), Array<Rung>(calm).fill(3));
  seconds.feed(2 * calm + 1, {});
  t.equal(seconds.rung, 0);
});

void t.test("a sample at four fifths of the threshold starts the ten seconds again", async (t) => {
  const seconds = new Seconds();
  seconds.feed(2, { eventLoopDelayMs: 100 });
  t.equal(seconds.rung, 2);
  seconds.feed(9, { eventLoopDelayMs: 79 });
  t.strictSame(seconds.feed(1, { eventLoopDelayMs: 80 }), [2]);
  t.strictSame(new Set(seconds.feed(10, { eventLoopDelayMs: 79 })), new Set([2]));
  t.strictSame(seconds.feed(1, { eventLoopDelayMs: 79 }), [1], "calm for two, and by far not for one");
  t.strictSame(new Set(seconds.feed(60, { eventLoopDelayMs: 41 })), new Set([1]));
});

void t.test("worse while on the way down goes up at once", async (t) => {
  const seconds = new Seconds();
  seconds.feed(2, { pacingLagMs: 60 });
  seconds.feed(9, {});
  seconds.feed(2, { pacingLagMs: 150 });
  t.equal(seconds.rung, 3);
  t.strictSame(new Set(seconds.feed(10, {})), new Set([3]), "the calm before does not count");
});
