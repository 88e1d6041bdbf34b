/** A node's process whose shards are sinks: its main thread is the real one, and all that is measured. */
import { fileURLToPath } from "node:url";
import { resolveSettings, startNode } from "#node";

/** Its entry file, for whoever starts it. */
export const EDGE_NODE_ENTRY = fileURLToPath(import.meta.url);

if (process.argv[1] === EDGE_NODE_ENTRY) {
  const node = await startNode(
    resolveSettings(process.env),
    new URL("./edge-sink-shard.js", import.meta.url),
  );
  const { edgePort, adminPort } = node;
  console.log(JSON.stringify({ event: "listening", edgePort, adminPort }));
  process.once("SIGTERM", () => void node.close().then(() => process.exit(0)));
}
