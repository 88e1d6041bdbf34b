/**
 * A shard that dies as told: calls from certain numbers take it down a while after they were opened, the way
 * the number says.
 */
import { type ShardContext, type ShardHandler, runShard } from "#runtime/cluster";
import { createCallShard } from "#actors/call";
import { DEATHS } from "./deaths.fixture.js";

/** After the greeting has begun. */
const DIES_AFTER_MS = 2_500;

function createDyingShard(context: ShardContext): ShardHandler {
  const shard = createCallShard(context);
  return {
    start: () => shard.start(),
    configure: (config) => shard.configure(config),
    openCall(slot, leg, start) {
      shard.openCall(slot, leg, start);
      const death = Object.entries(DEATHS).find(([, number]) => number === start.pii.from);
      if (death !== undefined) context.clock.setTimer(DIES_AFTER_MS, () => die(death[0]));
    },
    endCall: (slot, outcome) => shard.endCall(slot, outcome),
    ringsReady: (slot) => shard.ringsReady(slot),
    afterTick: (nowMs) => shard.afterTick?.(nowMs),
    beginDrain: (deadlineAtMs) => shard.beginDrain(deadlineAtMs),
    ask: (topic, payload) => shard.ask(topic, payload),
    stop: () => shard.stop(),
  };
}

function die(death: string): void {
  if (death === "exits") process.exit(7);
  if (death === "throws") throw new Error("this shard dies");
  for (;;) {
    // Hangs: only the watchdog can end it.
  }
}

runShard(createDyingShard);
