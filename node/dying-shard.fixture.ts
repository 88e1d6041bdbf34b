/**
 * A shard that dies as told: certain keys on a call's keypad take down its actor or the shard, in the midst of what
 * the call was doing, before the call has seen the key.
 */
import { type ShardContext, type ShardHandler, runShard } from "#runtime/cluster";
import { type InRingConsumer, RecordKind } from "#runtime/media";
import { createCallShard } from "#actors/call";
import { DEATHS, type Death } from "./deaths.fixture.js";

function createDyingShard(context: ShardContext): ShardHandler {
  const shard = createCallShard(context);
  return {
    start: () => shard.start(),
    configure: (config) => shard.configure(config),
    openCall: (slot, leg, start) => shard.openCall(slot, { ...leg, in: deadly(leg.in) }, start),
    endCall: (slot, outcome) => shard.endCall(slot, outcome),
    ringsReady: (slot) => shard.ringsReady(slot),
    afterTick: (nowMs) => shard.afterTick?.(nowMs),
    beginDrain: (deadlineAtMs) => shard.beginDrain(deadlineAtMs),
    ask: (topic, payload) => shard.ask(topic, payload),
    budgetUsage: () => shard.budgetUsage?.() ?? 0,
    stop: () => shard.stop(),
  };
}

/** The ring, but for those keys. */
function deadly(ring: InRingConsumer): InRingConsumer {
  const read = (): boolean => {
    if (!ring.read()) return false;
    if (ring.kind !== RecordKind.dtmf) return true;
    const key = String.fromCharCode(ring.payload[0]!);
    const death = Object.entries(DEATHS).find(([, deadlyKey]) => deadlyKey === key);
    if (death === undefined) return true;
    die(death[0] as Death);
    return read();
  };
  return new Proxy(ring, {
    get: (target, name) => {
      if (name === "read") return read;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

function die(death: Death): void {
  switch (death) {
    case "exits":
      process.exit(7);
      return;
    case "throws":
      // Past every guard of the call's.
      setImmediate(() => {
        throw new Error("this shard dies");
      });
      return;
    case "exhausts": {
      const hoard: number[][] = [];
      for (;;) hoard.push(Array.from({ length: 100_000 }, (_, index) => index * 1.5));
    }
    case "crashes":
      throw new Error("this call crashes");
    case "hangs":
      for (;;) {
        // Only the watchdog can end it.
      }
  }
}

runShard(createDyingShard);
