/** What REDIS_URL may be. */
import t from "tap";
import { parseRedisUrl, requireRedisUrl } from "./redis-url.js";

void t.test("one server, with what its URL says", async (t) => {
  t.same(parseRedisUrl("redis://127.0.0.1"), {
    cluster: false,
    servers: [{ host: "127.0.0.1", port: 6_379 }],
    options: {},
  });
  t.same(parseRedisUrl("rediss://app:p%40ss@redis.example:6380/2"), {
    cluster: false,
    servers: [{ host: "redis.example", port: 6_380 }],
    options: { username: "app", password: "p@ss", db: 2, tls: {} },
  });
  t.match(parseRedisUrl("redis://[::1]:7000"), { servers: [{ host: "::1", port: 7_000 }] });
});

void t.test("a cluster by a list or by its scheme", async (t) => {
  const servers = [
    { host: "a", port: 1 },
    { host: "b", port: 2 },
  ];
  t.same(parseRedisUrl("redis://a:1,redis://b:2"), { cluster: true, servers, options: {} });
  t.same(parseRedisUrl("redis+cluster://a:1, b:2"), { cluster: true, servers, options: {} });
  t.match(parseRedisUrl("rediss+cluster://:secret@a"), {
    cluster: true,
    servers: [{ host: "a", port: 6_379 }],
    options: { password: "secret", tls: {} },
  });
});

void t.test("anything else is refused, without repeating it", async (t) => {
  for (const text of [
    "",
    "localhost:6379",
    "http://a",
    "redis://",
    "redis://a/b",
    "redis+cluster://a/1",
    "a,b",
  ])
    t.equal(parseRedisUrl(text), null, text);
  t.throws(() => requireRedisUrl("http://:hunter2@a"), {
    code: "SETTING_INVALID",
    message: /^(?!.*hunter2)/,
  });
});
