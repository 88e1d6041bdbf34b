/** Entry of a shard's thread. Never imports the edge: a thread with its sockets could not be terminated. */
import { runShard } from "#runtime/cluster";
import { createCallShard } from "#actors/call";

runShard(createCallShard);
