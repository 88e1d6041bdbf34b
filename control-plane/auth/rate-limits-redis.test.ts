import { Redis } from "ioredis";
import t from "tap";
import { startRedis } from "../directory/redis-server.fixture.js";
import { RateLimits } from "./index.js";

void t.test("over Redis a key has one limit at all control planes, and without it one at each", async (t) => {
  const redis = await startRedis(t);
  if (redis === null) return;
  const prefix = `rate-test-${Math.random().toString(36).slice(2)}`;
  const open = (): RateLimits => {
    const client = new Redis(redis.url, { maxRetriesPerRequest: 0, commandTimeout: 500 });
    client.on("error", () => {});
    t.teardown(() => client.disconnect());
    return new RateLimits({ perSecond: 50, redis: { client, prefix } });
  };
  const planes = [open(), open()];
  const spend = async (keyId: string): Promise<number> => {
    const principal = { kind: "operator", keyId, scopes: new Set<never>() } as const;
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => planes[index % 2]!.count(principal, "10.0.0.1")),
    );
    return results.filter(({ status }) => status === "fulfilled").length;
  };
  // A burst may lie across the end of a second: then it spends two seconds' worth, and less than two limits would.
  const counts = [await spend("a"), await spend("b"), await spend("c")];
  t.ok(counts.includes(50), `spent ${counts.join()}`);
  t.ok(counts.every((count) => count >= 50));
  if (!redis.ours) return;
  await redis.stop();
  t.ok((await spend("d")) >= 100, "each counts by itself while Redis is away");
});
