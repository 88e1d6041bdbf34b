/** A media node's process as node/main.ts starts it, with shards that one call can block. */
import { keepYoungHeapsSmall } from "#runtime/heap";

keepYoungHeapsSmall();
const { runNode } = await import("#node");

process.exit(await runNode(process.env, new URL("./blocking-shard.js", import.meta.url)));
