/** The Redis that tests use is a real one that forgets and remembers as it is told. */
import { Redis } from "ioredis";
import t from "tap";
import { startRedis, startRedisCluster } from "./redis-server.fixture.js";

function connect(url: string): Redis {
  const client = new Redis(url, { protocol: 2, maxRetriesPerRequest: 0 });
  client.on("error", () => {});
  return client;
}

void t.test("a server keeps its data over a restart when told to, and only then", async (t) => {
  const server = await startRedis(t);
  if (server === null || !server.ours) return;
  const client = connect(server.url);
  t.teardown(() => client.disconnect());
  const restart = async (keepData: boolean): Promise<string | null> => {
    const firstPid = server.pid;
    const ready = new Promise<void>((done) => client.once("close", () => client.once("ready", () => done())));
    await server.restart({ keepData });
    await ready;
    t.not(server.pid, firstPid);
    return client.get("key");
  };
  await client.set("key", "value");
  t.equal(await restart(true), "value");
  t.equal(await restart(false), null);
  await client.set("key", "value");
  await server.flush();
  t.equal(await client.get("key"), null);
  const pid = server.pid!;
  await server.stop();
  t.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

void t.test("a cluster serves every slot from three masters", async (t) => {
  const cluster = await startRedisCluster(t);
  if (cluster === null) return;
  const client = connect(cluster.masters[0]!.url);
  t.teardown(() => client.disconnect());
  const info = String(await client.call("CLUSTER", "INFO"));
  t.match(info, /cluster_state:ok/);
  t.match(info, /cluster_slots_ok:16384/);
  t.match(info, /cluster_size:3/);
});
