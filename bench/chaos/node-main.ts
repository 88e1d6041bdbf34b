/** A media node's process in chaos: node/main.ts with shards that can be taken down and a clock that can jump. */
import { runNode } from "#node";
import { watchLevers } from "./levers.js";

watchLevers(null, {});
process.exit(await runNode(process.env, new URL("./chaos-shard.js", import.meta.url)));
