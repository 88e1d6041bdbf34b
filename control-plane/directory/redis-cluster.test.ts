/** What every directory does, on a real Redis Cluster of three masters. */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { complies } from "./directory-compliance.fixture.js";
import { RedisDirectory } from "./redis-directory.js";
import { startRedisCluster } from "./redis-server.fixture.js";

const cluster = await startRedisCluster(t);
if (cluster !== null) {
  let count = 0;
  complies("cluster", async ({ rebuildMs }) => {
    await cluster.flush();
    const clock = new VirtualClock();
    // Another prefix is another slot: over the tests every master serves a directory.
    const prefix = `compliance-${count++}`;
    const open = (): RedisDirectory =>
      new RedisDirectory({
        url: cluster.url,
        prefix,
        log: silentLogger,
        rebuildMs,
        unixMs: () => clock.unixMs(),
      });
    const [directory, other] = [open(), open()];
    t.teardown(() => Promise.all([directory.close(), other.close()]).then(() => {}));
    await directory.ping();
    await other.ping();
    return { directory, other, clock, loseMemory: () => cluster.flush() };
  });
}
