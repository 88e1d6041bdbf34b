/** A process that starts a shard's thread, keeps its own heap busy and prints the MiB of it where objects begin. */
import { getHeapSpaceStatistics } from "node:v8";
import { startWorker } from "./shard-thread.js";

const worker = startWorker(
  new URL("data:text/javascript,setInterval(() => {}, 1000)"),
  { env: undefined, resourceLimits: undefined },
  { shardId: 0 } as Parameters<typeof startWorker>[2],
);
worker.once("online", () => {
  // Half of it is alive whenever V8 looks: what makes it double its size.
  let kept: unknown[] = [];
  for (let i = 0; i < 2e6; i++) {
    if (kept.length > 60_000) kept = [];
    kept.push([i]);
  }
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")!;
  process.stdout.write(`${young.space_size / 2 ** 20}\n`);
  void worker.terminate();
});
