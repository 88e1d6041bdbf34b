/** On the real clock, since it blocks the real thread; what is asserted is order and counts, never how long. */
import { setImmediate } from "node:timers/promises";
import t, { type Test } from "tap";
import { SystemClock, VirtualClock } from "#runtime/actor";
import { FrameGrid, NapFlag } from "#runtime/media";
import { LONG_TURN_MS, LoopTurns, TURN_MS } from "./loop-turns.js";

/** A turn that began just before an instant of the grid lasts until the one after. */
const SLACK_MS = 0.1;

class NotingFlag extends NapFlag {
  readonly asked: number[] = [];

  override nap(ms: number): boolean {
    this.asked.push(ms);
    return super.nap(ms);
  }
}

interface World {
  readonly turns: LoopTurns;
  readonly flag: NotingFlag;
  readonly steps: string[];
  /** As many packets at once as begin turns. */
  readonly burst: () => void;
  readonly untilTurns: (count: number) => Promise<void>;
  readonly untilOver: () => Promise<void>;
  onLook: () => void;
}

function world(t: Test): World {
  const clock = new SystemClock();
  const flag = new NotingFlag();
  const steps: string[] = [];
  const seen = { turns: 0 };
  const made: World = {
    flag,
    steps,
    turns: new LoopTurns(clock, flag, new FrameGrid(clock.nowMs(), 10), {
      onPacketsTaken: () => {
        seen.turns++;
        steps.push("wake shards");
      },
      lookAtBells: () => {
        steps.push("look");
        made.onLook();
      },
      pump: () => steps.push("pump"),
    }),
    burst: () => {
      for (let packet = 0; packet < 1_000; packet++) made.turns.count(clock.nowMs());
    },
    untilTurns: async (count) => {
      const wanted = seen.turns + count;
      while (seen.turns < wanted) await setImmediate();
    },
    untilOver: async () => {
      while (made.turns.isTurning) await setImmediate();
    },
    onLook: () => {},
  };
  t.teardown(() => made.turns.close());
  return made;
}

void t.test("a few packets begin nothing, many do, and with none it ends", async (t) => {
  const { turns, flag, burst, untilTurns, untilOver } = world(t);
  turns.count(0);
  t.equal(turns.isTurning, false);
  burst();
  t.equal(turns.isTurning, true);
  t.equal(flag.isUp, true, "from the first on, shards need not post messages");
  await untilTurns(3);
  await untilOver();
  t.equal(flag.isUp, false);
  burst();
  t.equal(turns.isTurning, true, "and begins again");
});

void t.test("a turn tells the shards, sends what is due, looks at the bells and naps", async (t) => {
  const { steps, burst, untilTurns } = world(t);
  burst();
  await untilTurns(2);
  t.strictSame(steps.slice(0, 5), ["wake shards", "pump", "look", "pump", "wake shards"]);
});

void t.test("the last look comes after shards were told to post messages again", async (t) => {
  const made = world(t);
  made.burst();
  await made.untilTurns(1);
  let wasUp = true;
  made.onLook = () => {
    wasUp = made.flag.isUp;
  };
  await made.untilOver();
  t.equal(made.steps.at(-1), "look");
  t.equal(wasUp, false, "else what is rung in between would be found by nobody");
});

void t.test("a shard that rings ends the nap, is looked at, and the nap goes on", async (t) => {
  const made = world(t);
  let looks = 0;
  made.onLook = () => {
    // As another thread would, between this look and the nap. Every other time, or the nap would never be had.
    if (looks++ % 2 === 0) made.flag.wake();
  };
  made.burst();
  await made.untilTurns(20);
  t.match(made.steps.join(), "pump,look,look,pump,wake shards");
});

void t.test("with fewer packets turns are longer, and with many short again", async (t) => {
  const { turns, flag, burst, untilTurns } = world(t);
  const clock = new SystemClock();
  burst();
  /** Feeds this many packets a second until naps are as wanted; whether they ever were is the test's timeout. */
  const feed = async (rate: number, isAsWanted: (longestMs: number) => boolean): Promise<void> => {
    const sinceMs = clock.nowMs();
    let fed = 0;
    do {
      flag.asked.length = 0;
      for (; fed < ((clock.nowMs() - sinceMs) * rate) / 1_000; fed++) turns.count(clock.nowMs());
      await untilTurns(4);
    } while (!isAsWanted(Math.max(0, ...flag.asked)));
  };
  await feed(5_000, (longestMs) => longestMs > TURN_MS + 1);
  t.equal(turns.isTurning, true);
  t.ok(Math.max(...flag.asked) <= LONG_TURN_MS + SLACK_MS);
  await feed(40_000, (longestMs) => longestMs > 0 && longestMs <= TURN_MS + SLACK_MS);
  t.equal(turns.isTurning, true);
});

void t.test("naps are short while somebody waits for an answer", async (t) => {
  const { turns, flag, burst, untilTurns } = world(t);
  burst();
  await untilTurns(20);
  t.ok(Math.max(...flag.asked) > 1, "up to a whole turn");
  t.ok(Math.max(...flag.asked) <= TURN_MS + SLACK_MS);
  const over = turns.hurry();
  flag.asked.length = 0;
  await untilTurns(20);
  t.ok(Math.max(...flag.asked) <= 1);
  over();
  over();
  const other = turns.hurry();
  flag.asked.length = 0;
  await untilTurns(20);
  t.ok(Math.max(...flag.asked) <= 1, "ending twice ends no other's hurry");
  other();
  turns.expectStep();
  flag.asked.length = 0;
  await untilTurns(2);
  t.ok(Math.max(...flag.asked) <= 1, "a call that comes in takes its next step");
  while (flag.asked.at(-1)! <= 1) await untilTurns(1);
  t.pass("for a while");
});

void t.test("without a flag, as on virtual time, the thread is never blocked", async (t) => {
  const clock = new VirtualClock();
  const fail = (): never => t.fail("there are no turns") as never;
  const turns = new LoopTurns(clock, null, new FrameGrid(clock.nowMs(), 10), {
    onPacketsTaken: fail,
    lookAtBells: fail,
    pump: fail,
  });
  for (let packet = 0; packet < 2_000; packet++) turns.count(clock.nowMs());
  t.equal(turns.isTurning, false);
});
