import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import {
  Breaker,
  type BreakerState,
  DENIED_OPEN_MS,
  FAULTS_IN_ROW,
  MIN_FAULTS,
  PROBES_TO_CLOSE,
  PROBE_PATIENCE_MS,
  WINDOW_MS,
} from "./breaker.js";

function setUp(seed = 1) {
  const clock = new VirtualClock();
  const moves: BreakerState[] = [];
  const breaker = new Breaker(clock, seededRandom(seed), (state) => moves.push(state));
  const fail = (count: number): void => {
    for (let index = 0; index < count; index += 1) breaker.failed();
  };
  const untilOpen = (): void => clock.advance(breaker.closedForMs);
  return { clock, breaker, moves, fail, untilOpen };
}

void t.test("a few faults in a row open it when there is no other traffic, however far apart", async (t) => {
  const { clock, breaker, fail } = setUp();
  for (let index = 1; index < FAULTS_IN_ROW; index += 1) {
    fail(1);
    clock.advance(2 * WINDOW_MS);
  }
  t.equal(breaker.state, "closed");
  fail(1);
  t.equal(breaker.state, "open");
  t.notOk(breaker.tryEnter());
});

void t.test("under traffic it takes a share of the window, and old faults are forgotten", async (t) => {
  const { clock, breaker, fail } = setUp();
  for (let index = 0; index < 20; index += 1) breaker.succeeded();
  fail(MIN_FAULTS);
  t.equal(breaker.state, "closed", "5 of 25");
  clock.advance(WINDOW_MS);
  for (let index = 0; index < MIN_FAULTS; index += 1) breaker.succeeded();
  fail(MIN_FAULTS - 1);
  t.equal(breaker.state, "closed", "those of the last window do not count");
  fail(1);
  t.equal(breaker.state, "open", "5 of 10");
});

void t.test("half-open lets one through at a time, and closes after enough that went well", async (t) => {
  const { breaker, moves, fail, untilOpen } = setUp();
  fail(FAULTS_IN_ROW);
  untilOpen();
  for (let probe = 0; probe < PROBES_TO_CLOSE; probe += 1) {
    t.ok(breaker.tryEnter());
    t.notOk(breaker.tryEnter(), "B1");
    breaker.succeeded();
  }
  t.same(moves, ["open", "halfOpen", "closed"]);
  t.ok(breaker.tryEnter());
  t.ok(breaker.tryEnter());
});

void t.test("a probe that fails opens it again for longer, differently on every node", async (t) => {
  const stays = (seed: number): number[] => {
    const { breaker, fail, untilOpen } = setUp(seed);
    fail(FAULTS_IN_ROW);
    return Array.from({ length: 8 }, () => {
      const stayMs = breaker.closedForMs;
      untilOpen();
      breaker.tryEnter();
      fail(1);
      return stayMs;
    });
  };
  const first = stays(1);
  t.ok(first[0]! >= 1_000 && first[0]! <= 2_000, `${first[0]} ms`);
  t.ok(first[3]! > first[0]! * 2, "doubling");
  t.ok(Math.max(...first) <= 30_000);
  t.not(first[0], stays(2)[0], "jitter");
});

void t.test("a bad key opens it at once and for long", async (t) => {
  const { breaker } = setUp();
  breaker.failed({ denied: true });
  t.ok(breaker.closedForMs >= DENIED_OPEN_MS);
});

void t.test(
  "a probe that was called off makes room, and one that tells nothing is not waited for",
  async (t) => {
    const { clock, breaker, fail, untilOpen } = setUp();
    fail(FAULTS_IN_ROW);
    untilOpen();
    t.ok(breaker.tryEnter());
    breaker.abandoned();
    t.ok(breaker.tryEnter());
    t.notOk(breaker.tryEnter());
    clock.advance(PROBE_PATIENCE_MS);
    t.ok(breaker.tryEnter());
  },
);

void t.test("another shard's word opens and closes it", async (t) => {
  const { breaker } = setUp();
  breaker.openedElsewhere(5_000);
  t.ok(breaker.closedForMs >= 5_000 && breaker.closedForMs <= 6_250);
  breaker.closedElsewhere();
  t.ok(breaker.tryEnter());
});

void t.test("an open connection ends a probe well, and is no success otherwise (B4)", async (t) => {
  const { breaker, fail, untilOpen } = setUp();
  for (let index = 1; index <= FAULTS_IN_ROW; index += 1) {
    t.notOk(breaker.reached(), "nothing to probe");
    fail(1);
  }
  t.equal(breaker.state, "open", "connections in between are no successes");
  untilOpen();
  for (let index = 0; index < PROBES_TO_CLOSE; index += 1) {
    t.ok(breaker.tryEnter());
    t.notOk(breaker.tryEnter(), "B1");
    t.ok(breaker.reached());
    breaker.succeeded(true);
  }
  t.equal(breaker.state, "closed");
});

void t.test("one that was silent on open connections is closed by answers alone", async (t) => {
  const { breaker, untilOpen } = setUp();
  for (let index = 0; index < FAULTS_IN_ROW; index += 1) breaker.failed({ mute: true });
  t.ok(breaker.wasMute);
  untilOpen();
  for (let index = 0; index < PROBES_TO_CLOSE; index += 1) {
    t.ok(breaker.tryEnter());
    t.notOk(breaker.reached());
    t.equal(breaker.state, "halfOpen");
    breaker.succeeded();
  }
  t.equal(breaker.state, "closed");
});

void t.test(
  "who has nobody else to ask is let through beside the probe, and not while it is open",
  async (t) => {
    const { breaker, fail, untilOpen } = setUp();
    fail(FAULTS_IN_ROW);
    t.notOk(breaker.tryEnter(true), "nobody is asked what was just found out");
    untilOpen();
    t.ok(breaker.tryEnter());
    t.notOk(breaker.tryEnter());
    t.ok(breaker.tryEnter(true));
    breaker.failed();
    t.equal(breaker.state, "open", "what became of it counts like the probe's");
    t.notOk(breaker.tryEnter(true));
  },
);
