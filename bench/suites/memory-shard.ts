/** Entry of a shard's thread that counts its memory when asked; else the shard as it is. */
import { threadId } from "node:worker_threads";
import { runShard } from "#runtime/cluster";
import { createCallShard } from "#actors/call";
import { answerCounts } from "./memory-threads.js";

answerCounts(`shard ${threadId}`);
runShard(createCallShard);
