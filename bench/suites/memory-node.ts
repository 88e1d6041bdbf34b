/** A node's process as node/main.ts starts it, whose threads count their memory when asked. */
import { fileURLToPath } from "node:url";
import { keepYoungHeapsSmall } from "#runtime/heap";

/** Its entry file, for whoever starts it. */
export const MEMORY_NODE_ENTRY = new URL(import.meta.url);

if (process.argv[1] === fileURLToPath(MEMORY_NODE_ENTRY)) {
  keepYoungHeapsSmall();
  const { countOnSignal } = await import("./memory-threads.js");
  countOnSignal();
  const { runNode } = await import("#node");
  process.exit(await runNode(process.env, new URL("./memory-shard.js", import.meta.url)));
}
