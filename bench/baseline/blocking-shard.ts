/**
 * Entry of a shard's thread whose calls from BLOCKING_CALLER block it: the shard as it is, but for that. The block runs
 * as code of its call, as a stage that computes would.
 */
import { type ShardContext, type ShardHandler, runShard } from "#runtime/cluster";
import { createCallShard } from "#actors/call";
import { blockWhileUp, isBlockingCaller } from "./blocking.js";

function createBlockingShard(context: ShardContext): ShardHandler {
  const ends = new Map<number, () => void>();
  const callClosed = context.callClosed.bind(context);
  context.callClosed = (slot, outcome) => {
    ends.get(slot)?.();
    ends.delete(slot);
    callClosed(slot, outcome);
  };
  const shard = createCallShard(context);
  const openCall = shard.openCall.bind(shard);
  shard.openCall = (slot, leg, start) => {
    openCall(slot, leg, start);
    if (!isBlockingCaller(start.pii.from)) return;
    const end = blockWhileUp((block) => {
      context.enter(slot);
      block();
      context.leave();
    });
    ends.set(slot, end);
  };
  return shard;
}

runShard(createBlockingShard);
