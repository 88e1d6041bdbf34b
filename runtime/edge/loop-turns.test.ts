/**
 * On the real clock, since it blocks the real thread; what is asserted is order and counts, never how long. A thread that
 * stands still has its turns ended, as nothing comes: they are begun again wherever more of them are waited for.
 */
import { setImmediate } from "node:timers/promises";
import t, { type Test } from "tap";
import { SystemClock, VirtualClock } from "#runtime/actor";
import { FrameGrid, NapFlag } from "#runtime/media";
import { LONG_TURN_MS, LoopTurns, STEP_WITHIN_MS, TURN_MS } from "./loop-turns.js";

/** A turn that began just before an instant of the grid lasts until the one after. */
const SLACK_MS = 0.1;

const clock = new SystemClock();

class NotingFlag extends NapFlag {
  readonly asked: number[] = [];
  readonly askedAtMs: number[] = [];

  override nap(ms: number): boolean {
    this.asked.push(ms);
    this.askedAtMs.push(clock.nowMs());
    return super.nap(ms);
  }

  forget(): void {
    this.asked.length = 0;
    this.askedAtMs.length = 0;
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
      while (seen.turns < wanted) {
        if (!made.turns.isTurning) made.burst();
        await setImmediate();
      }
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
  let wasUp = true;
  made.onLook = () => {
    wasUp = made.flag.isUp;
  };
  made.burst();
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
  while (!made.steps.join().includes("pump,look,look,pump,wake shards")) await made.untilTurns(1);
  t.pass("whether it ever was so is the test's timeout");
});

void t.test("with fewer packets turns are longer, and with many short again", async (t) => {
  const { turns, flag, burst, untilTurns } = world(t);
  burst();
  /** Feeds this many packets a second until turns are as wanted; whether they ever were is the test's timeout. */
  const feed = async (rate: number, isAsWanted: (longestMs: number) => boolean): Promise<void> => {
    const sinceMs = clock.nowMs();
    let fed = 0;
    do {
      flag.forget();
      for (; fed < ((clock.nowMs() - sinceMs) * rate) / 1_000; fed++) turns.count(clock.nowMs());
      await untilTurns(4);
    } while (!turns.isTurning || !isAsWanted(Math.max(0, ...flag.asked)));
  };
  await feed(5_000, (longestMs) => longestMs > TURN_MS + 1);
  t.ok(Math.max(...flag.asked) <= LONG_TURN_MS + SLACK_MS);
  await feed(40_000, (longestMs) => longestMs > 0 && longestMs <= TURN_MS + SLACK_MS);
});

void t.test("naps are short while somebody waits for an answer", async (t) => {
  const { turns, flag, burst, untilTurns } = world(t);
  burst();
  while (Math.max(0, ...flag.asked) <= 1) await untilTurns(20); // up to a whole turn
  t.ok(Math.max(...flag.asked) <= TURN_MS + SLACK_MS);
  const over = turns.hurry();
  flag.forget();
  await untilTurns(20);
  t.ok(Math.max(...flag.asked) <= 1);
  over();
  over();
  const other = turns.hurry();
  flag.forget();
  await untilTurns(20);
  t.ok(Math.max(...flag.asked) <= 1, "ending twice ends no other's hurry");
  other();
  let hurried: readonly number[];
  // Again where the thread stood still for all the time that a step has.
  do {
    flag.forget();
    const untilMs = clock.nowMs() + STEP_WITHIN_MS;
    turns.expectStep();
    await untilTurns(2);
    hurried = flag.asked.filter((_napMs, index) => flag.askedAtMs[index]! < untilMs);
  } while (hurried.length === 0);
  t.ok(Math.max(...hurried) <= 1, "a call that comes in takes its next step");
  while (flag.asked.at(-1)! <= 1) await untilTurns(1);
  t.pass("for a while");
});

void t.test("without a flag, as on virtual time, the thread is never blocked", async (t) => {
  const virtual = new VirtualClock();
  const fail = (): never => t.fail("there are no turns") as never;
  const turns = new LoopTurns(virtual, null, new FrameGrid(virtual.nowMs(), 10), {
    onPacketsTaken: fail,
    lookAtBells: fail,
    pump: fail,
  });
  for (let packet = 0; packet < 2_000; packet++) turns.count(virtual.nowMs());
  t.equal(turns.isTurning, false);
});
