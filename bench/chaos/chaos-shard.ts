/**
 * Entry of a shard's thread in chaos: the shard as it is, and the levers that take it down or make a stage of a call
 * throw. A stage is made to throw where it hands audio to the edge, which all that the caller hears passes.
 */
import { type ShardContext, type ShardHandler, runShard } from "#runtime/cluster";
import { createCallShard } from "#actors/call";
import { type ShardDeath, watchLevers } from "./levers.js";

function createChaosShard(context: ShardContext): ShardHandler {
  let crashesOwed = 0;
  const crashed = new Set<number>();
  watchLevers(context.shardId, {
    onDeath: die,
    onCrashes: (count) => {
      crashesOwed = count;
      crashed.clear();
    },
  });
  const wakeEdge = context.wakeEdge.bind(context);
  context.wakeEdge = (slot) => {
    if (crashesOwed > 0 && !crashed.has(slot)) {
      crashesOwed -= 1;
      crashed.add(slot);
      throw new Error("a stage of this call throws");
    }
    wakeEdge(slot);
  };
  return createCallShard(context);
}

function die(death: ShardDeath): void {
  switch (death) {
    case "exits":
      return process.exit(7);
    case "throws":
      throw new Error("this shard dies");
    case "outOfMemory": {
      const hoard: unknown[] = [];
      for (;;) hoard.push(Array.from({ length: 100_000 }, (_, index) => ({ index })));
    }
    case "hangs":
      for (;;) {
        // Only the watchdog can end it.
      }
  }
}

runShard(createChaosShard);
