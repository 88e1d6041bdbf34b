/** What every directory does, on a real Redis. */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { complies } from "./directory-compliance.fixture.js";
import { addNode, granted, request } from "./directory.fixture.js";
import { RedisDirectory } from "./redis-directory.js";
import { startRedis } from "./redis-server.fixture.js";

const server = await startRedis(t);
if (server !== null) {
  const { url } = server;
  let count = 0;
  complies("redis", async ({ rebuildMs }) => {
    await server.flush();
    const clock = new VirtualClock();
    // Its own prefix each time: nothing of an earlier test, not even a late message, is heard by a later one.
    const prefix = `compliance-${process.pid}-${count++}`;
    const open = (): RedisDirectory =>
      new RedisDirectory({ url, prefix, log: silentLogger, rebuildMs, unixMs: () => clock.unixMs() });
    const [directory, other] = [open(), open()];
    t.teardown(() => Promise.all([directory.close(), other.close()]).then(() => {}));
    await directory.ping();
    await other.ping();
    return { directory, other, clock, loseMemory: () => server.flush() };
  });

  void t.test("scripts that the server has forgotten are sent again", async (t) => {
    await server.flush();
    const directory = new RedisDirectory({ url, prefix: "scripts", log: silentLogger, rebuildMs: 0 });
    t.teardown(() => directory.close());
    await addNode(directory, "a");
    granted(await directory.reserve(request("c1")));
    await server.forgetScripts();
    granted(await directory.reserve(request("c2")));
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 2, resellerCalls: 2 });
  });
}
