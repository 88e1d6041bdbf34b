import { SignJWT } from "jose";
import t from "tap";
import { SystemClock, VirtualClock } from "#runtime/actor";
import {
  type ApiKeys,
  Authenticator,
  ClusterKeys,
  NodeCredentials,
  RateLimits,
  generateApiKey,
  isSameSecret,
  requireScope,
} from "./index.js";
import { OPERATOR_SCOPES, RESELLER_SCOPES, type ScopeName } from "./scopes.js";
import { sha256 } from "./secrets.js";

const NODE = { nodeId: "node-a", incarnation: "i1" };

void t.test(
  "a node's credential is good for an hour, at every control plane of the cluster key",
  async (t) => {
    const clock = new VirtualClock();
    const mine = new NodeCredentials(new ClusterKeys("a".repeat(32)), clock);
    const twin = new NodeCredentials(new ClusterKeys("a".repeat(32)), clock);
    const stranger = new NodeCredentials(new ClusterKeys("b".repeat(32)), clock);
    const { credential, expiresAt } = await mine.issue(NODE);
    t.equal(expiresAt.getTime(), clock.unixMs() + 3_600_000);
    t.strictSame(await twin.verify(credential), NODE);
    t.equal(await stranger.verify(credential), null);
    clock.advance(3_600_000 + 31_000);
    t.equal(await twin.verify(credential), null, "expired");
  },
);

void t.test("a token that is not quite a node's credential is none", async (t) => {
  const clock = new SystemClock();
  const keys = new ClusterKeys("a".repeat(32));
  const credentials = new NodeCredentials(keys, clock);
  const key = keys.derive("node credential");
  const token = () =>
    new SignJWT({ inc: "i" }).setSubject("node-a").setExpirationTime("1h").setIssuer("lumentra");
  const good = token().setAudience("node");
  t.strictSame(await credentials.verify(await good.setProtectedHeader({ alg: "HS256" }).sign(key)), {
    nodeId: "node-a",
    incarnation: "i",
  });
  const wrong = [
    await token().setAudience("media").setProtectedHeader({ alg: "HS256" }).sign(key),
    await token().setProtectedHeader({ alg: "HS256" }).sign(key),
    await token()
      .setAudience("node")
      .setProtectedHeader({ alg: "HS512" })
      .sign(keys.derive("node credential")),
    await token().setAudience("node").setProtectedHeader({ alg: "HS256" }).sign(keys.derive("media token 1")),
    `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from('{"sub":"node-a","aud":"node","inc":"i","iss":"lumentra","exp":99999999999}').toString("base64url")}.`,
    "",
  ];
  for (const text of wrong) t.equal(await credentials.verify(text), null);
});

void t.test("media token keys overlap by a day on both sides, and differ by cluster", async (t) => {
  const keys = new ClusterKeys("a".repeat(32));
  const hex = (unixMs: number, of = keys) => of.mediaTokenKeys(unixMs).map((key) => key.toString("hex"));
  const day = 86_400_000;
  const noon = 20_000 * day + day / 2;
  const [today, tomorrow, yesterday] = hex(noon);
  t.equal(new Set([today, tomorrow, yesterday]).size, 3);
  t.equal(hex(noon + day)[0], tomorrow, "tomorrow's signs tomorrow");
  t.ok(hex(noon + day).includes(today!), "and today's is still accepted");
  t.strictSame(hex(noon), hex(noon + 1_000));
  t.not(hex(noon, new ClusterKeys("b".repeat(32)))[0], today);
  t.not(
    hex(noon, new ClusterKeys(undefined))[0],
    hex(noon, new ClusterKeys(undefined))[0],
    "random when unset",
  );
  for (const key of keys.mediaTokenKeys(noon)) t.equal(key.length, 32);
});

void t.test("keys are 256 random bits behind a prefix", async (t) => {
  const made = Array.from({ length: 1_000 }, generateApiKey);
  for (const { key, prefix, hash } of made) {
    if (!/^lk_[a-z0-9]{8}_[\w-]{43}$/.test(key)) t.fail(key.length.toString());
    if (key.slice(3, 11) !== prefix || !hash.equals(sha256(key))) t.fail("prefix or hash");
  }
  t.equal(new Set(made.map(({ key }) => key)).size, 1_000);
});

void t.test("secrets of any lengths are compared", async (t) => {
  t.ok(isSameSecret("abc", "abc"));
  for (const other of ["", "ab", "abcd", "abC"]) t.notOk(isSameSecret(other, "abc"));
});

void t.test("a suspended reseller's key reads, and that is all", async (t) => {
  const principal = (isSuspended: boolean) =>
    ({
      kind: "reseller",
      keyId: "k",
      resellerId: "acme",
      isSuspended,
      scopes: new Set<ScopeName>(RESELLER_SCOPES),
    }) as const;
  for (const scope of RESELLER_SCOPES) {
    t.doesNotThrow(() => requireScope(principal(false), scope));
    if (scope.endsWith(".read")) t.doesNotThrow(() => requireScope(principal(true), scope), scope);
    else t.throws(() => requireScope(principal(true), scope), { code: "PERMISSION_DENIED" }, scope);
  }
  for (const scope of OPERATOR_SCOPES.filter((scope) => !RESELLER_SCOPES.includes(scope)))
    t.throws(() => requireScope(principal(false), scope), { code: "PERMISSION_DENIED" }, scope);
});

void t.test(
  "looking again at streams' keys that were revoked is no guessing, however many they are",
  async (t) => {
    const keys = new ClusterKeys("a".repeat(32));
    const revoked = { verify: () => Promise.resolve(null) } as unknown as ApiKeys;
    const clock = new VirtualClock();
    const authenticator = new Authenticator(
      revoked,
      new NodeCredentials(keys, clock),
      new RateLimits({ perSecond: 5 }),
    );
    const codes = async (look: () => Promise<unknown>): Promise<Set<string>> => {
      const results = await Promise.allSettled(Array.from({ length: 200 }, look));
      return new Set(results.map((result) => (result as { reason: { code: string } }).reason.code));
    };
    const bearer = `Bearer ${generateApiKey().key}`;
    t.strictSame([...(await codes(() => authenticator.authenticateAgain(bearer)))], ["UNAUTHENTICATED"]);
    const guessed = await codes(() => authenticator.authenticate(bearer, "10.0.0.1"));
    t.ok(guessed.has("RATE_LIMITED"), "whoever comes with a wrong key is held up");
  },
);

void t.test("each credential has a limit of its own", async (t) => {
  const limits = new RateLimits({ perSecond: 5 });
  const key = (keyId: string) => ({ kind: "operator", keyId, scopes: new Set<ScopeName>() }) as const;
  const spend = async (keyId: string) => {
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => limits.count(key(keyId), "10.0.0.1")),
    );
    return results.filter(({ status }) => status === "fulfilled").length;
  };
  t.equal(await spend("a"), 5);
  t.equal(await spend("b"), 5, "one that spends all takes nothing from another");
});
