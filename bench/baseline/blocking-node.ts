/** A media node's process: node/main.ts with shards that one call can block. */
import { runNode } from "#node";

process.exit(await runNode(process.env, new URL("./blocking-shard.js", import.meta.url)));
