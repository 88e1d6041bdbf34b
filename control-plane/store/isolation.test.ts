import { spawnSync } from "node:child_process";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import t from "tap";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { tenantSettingsSchema } from "#actors/tenants";
import { silentLogger } from "#runtime/telemetry";
import { openStore } from "./index.js";
import { ScopedPool } from "./pool.js";
import { startTestStore } from "./store.fixture.js";
import type { Scope, Store, StoreTransaction } from "./store.js";

const OPERATOR: Scope = { kind: "operator" };
const SYSTEM: Scope = { kind: "system" };
const FIRST = { size: 50, after: null } as const;
const RESELLER = {
  name: "x",
  branding: { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" },
  limits: { concurrentCalls: 10, tenants: 10 },
  suspended: false,
};
const CONFIG = tenantSettingsSchema.parse({
  name: "x",
  industry: "test",
  timeZone: "UTC",
  agentName: "Ava",
});

async function makeTenant(store: Store, resellerId: string, id: string, number: string): Promise<void> {
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    await tx.resellers.create({ ...RESELLER, id: resellerId });
    await tx.tenants.create({ id, resellerId, suspended: false, config: CONFIG });
    await tx.phoneNumbers.create({ number, tenantId: id, label: "" });
    await tx.secrets.set(id, "token", "t0ken");
    const key = { id: `key-${id}`, resellerId, name: "x", prefix: id, scopes: [], expiresAt: null };
    await tx.apiKeys.create(key, Buffer.alloc(32));
  });
  const facts: JournalFact[] = [
    {
      kind: "callStarted",
      tenantId: id,
      carrier: "twilio",
      carrierCallId: "CA1",
      nodeId: "n",
      pii: { from: "+1", to: number },
    },
    { kind: "callerTurn", turn: 1, throughAtMs: null, pii: { said: "of nobody else" } },
    { kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 1 },
  ];
  const events = facts.map(
    (fact, sequence): JournalEvent => ({
      ...fact,
      callId: `call-${id}`,
      epoch: 1,
      sequence,
      atMs: sequence,
      atUnixMs: Date.now() + sequence,
    }),
  );
  await store.transaction(SYSTEM, "node:n", (tx) => tx.calls.append(`call-${id}`, 1, "n", events));
}

/** Every text that a caller has a say in, of every method. */
const METHODS: Readonly<Record<string, (tx: StoreTransaction, text: string) => Promise<unknown>>> = {
  "resellers.get": (tx, text) => tx.resellers.get(text),
  "resellers.list after": (tx, text) => tx.resellers.list({ size: 9, after: [text] }),
  "resellers.update": (tx, text) => tx.resellers.update(text, text, { name: text }),
  "resellers.delete": (tx, text) => tx.resellers.delete(text, text),
  "apiKeys.get": (tx, text) => tx.apiKeys.get(text),
  "apiKeys.list": (tx, text) => tx.apiKeys.list(text, FIRST),
  "apiKeys.byPrefix": (tx, text) => tx.apiKeys.byPrefix(text),
  "apiKeys.setExpiry": (tx, text) => tx.apiKeys.setExpiry(text, new Date()),
  "apiKeys.revoke": (tx, text) => tx.apiKeys.revoke(text),
  "apiKeys.noteUse": (tx, text) => tx.apiKeys.noteUse(new Map([[text, new Date()]])),
  "tenants.get": (tx, text) => tx.tenants.get(text),
  "tenants.list reseller": (tx, text) => tx.tenants.list({ resellerId: text }, FIRST),
  "tenants.list query": (tx, text) => tx.tenants.list({ query: text, resellerId: "acme" }, FIRST),
  "tenants.list after": (tx, text) => tx.tenants.list({ resellerId: "acme" }, { size: 9, after: [text] }),
  "tenants.create": (tx, text) =>
    tx.tenants.create({ id: text, resellerId: text, suspended: false, config: CONFIG }),
  "tenants.update": (tx, text) => tx.tenants.update(text, text, { suspended: true }),
  "tenants.delete": (tx, text) => tx.tenants.delete(text, text),
  "tenants.versions": (tx, text) => tx.tenants.versions(text, FIRST),
  "secrets.set": (tx, text) => tx.secrets.set(text, text, text),
  "secrets.names": (tx, text) => tx.secrets.names(text),
  "secrets.all": (tx, text) => tx.secrets.all(text),
  "secrets.delete": (tx, text) => tx.secrets.delete("dentist", text),
  "phoneNumbers.get": (tx, text) => tx.phoneNumbers.get(text),
  "phoneNumbers.list": (tx, text) => tx.phoneNumbers.list({ tenantId: text }, FIRST),
  "phoneNumbers.create": (tx, text) => tx.phoneNumbers.create({ number: text, tenantId: text, label: text }),
  "phoneNumbers.update": (tx, text) => tx.phoneNumbers.update(text, text, { tenantId: text, label: text }),
  "phoneNumbers.delete": (tx, text) => tx.phoneNumbers.delete(text, text),
  "calls.get": (tx, text) => tx.calls.get(text),
  "calls.list filters": (tx, text) =>
    tx.calls.list(
      { tenantId: text, resellerId: text, outcome: text, fromNumber: text, toNumber: text },
      FIRST,
    ),
  "calls.list query": (tx, text) => tx.calls.list({ query: text, tenantId: "dentist" }, FIRST),
  "calls.journal": (tx, text) => tx.calls.journal(text, 0, 9),
  "calls.lose": (tx, text) => tx.calls.lose(text, 9, true, text),
  "usage.query": (tx, text) =>
    tx.usage.query(
      { resellerId: text, tenantId: text, fromDay: "2000-01-01", toDay: "2999-01-01" },
      "tenant",
      FIRST,
    ),
  "audit.list": (tx, text) =>
    tx.audit.list({ resellerId: text, tenantId: text, resourceKind: text, resourceId: text }, FIRST),
};

const INJECTIONS = [
  "' OR '1'='1",
  "' OR 1=1 --",
  "') OR true --",
  "x'; UPDATE lumentra.tenants SET suspended = true; --",
  "'; SELECT set_config('lumentra.scope', 'operator', false); --",
  "$1",
  "\\' OR 1=1 --",
  "%",
  "_",
  "\\",
];

void t.test("text stays text, and settings stay in their transaction", async (t) => {
  const { store, appUrl, secretKeys } = await startTestStore(t);
  await makeTenant(store, "acme", "dentist", "+12025550101");
  await makeTenant(store, "rival", "florist", "+12025550102");
  const dump = (): Promise<string> =>
    store.transaction(OPERATOR, "operator:test", async (tx) =>
      JSON.stringify([
        await tx.tenants.list({}, FIRST),
        await tx.resellers.list(FIRST),
        await tx.phoneNumbers.list({}, FIRST),
        await tx.calls.list({}, FIRST),
        await tx.audit.list({}, FIRST),
        await tx.apiKeys.list("acme", FIRST),
      ]),
    );

  for (const [name, call] of Object.entries(METHODS)) {
    await t.test(`${name} takes no SQL`, async (t) => {
      const before = await dump();
      for (const scope of [
        { kind: "reseller", resellerId: "rival" },
        { kind: "tenant", tenantId: "florist" },
      ] satisfies Scope[]) {
        for (const text of INJECTIONS) {
          // What a scope may not do at all is refused with 42501; nothing else may go wrong.
          const answer = await store
            .transaction(scope, "key:stranger", (tx) => call(tx, text))
            .catch((error: unknown) => {
              t.match(error, { code: "42501" }, text);
            });
          t.notMatch(JSON.stringify(answer ?? null), /dentist|t0ken|acme/, text);
        }
      }
      t.equal(await dump(), before, "nothing was changed");
    });
  }

  await t.test("a scope's name from outside is an identity that nobody has", async (t) => {
    for (const id of INJECTIONS) {
      for (const scope of [
        { kind: "reseller", resellerId: id },
        { kind: "tenant", tenantId: id },
      ] satisfies Scope[]) {
        await store.transaction(scope, `key:${id}`, async (tx) => {
          t.same((await tx.tenants.list({}, FIRST)).rows, []);
          t.same((await tx.calls.list({}, FIRST)).rows, []);
          t.same((await tx.audit.list({}, FIRST)).rows, []);
        });
      }
    }
  });

  await t.test("on one connection, a transaction knows nothing of the one before", async (t) => {
    const pool = new ScopedPool({ url: appUrl, connections: 1, log: silentLogger });
    t.teardown(() => pool.close());
    const count = (scope: Scope): Promise<number> =>
      pool.transaction(
        scope,
        "x",
        async (client) => (await client.query("SELECT FROM lumentra.tenants")).rowCount!,
      );
    t.equal(await count(OPERATOR), 2);
    t.equal(await count({ kind: "reseller", resellerId: "" }), 0);
    await t.rejects(
      pool.transaction(OPERATOR, "x", (client) => client.query("SELECT 1 / 0")),
      { code: "22012" },
    );
    t.equal(await count({ kind: "tenant", tenantId: "" }), 0, "nor after one that failed");
    t.equal(await count({ kind: "reseller", resellerId: "rival" }), 1);
    t.equal(await count({ kind: "tenant", tenantId: "dentist" }), 1);
  });

  await t.test("a reseller changes its branding and nothing else of itself", async (t) => {
    const own: Scope = { kind: "reseller", resellerId: "acme" };
    for (const changes of [
      { limits: { concurrentCalls: 999, tenants: 999 } },
      { suspended: true },
      { name: "Other" },
    ]) {
      await t.rejects(
        store.transaction(own, "key:a", (tx) => tx.resellers.update("acme", "", changes)),
        { code: "42501" },
      );
    }
    await t.rejects(
      store.transaction(own, "key:a", (tx) => tx.resellers.create({ ...RESELLER, id: "new" })),
      { code: "42501" },
    );
    const branding = { ...RESELLER.branding, displayName: "Acme!" };
    t.match(await store.transaction(own, "key:a", (tx) => tx.resellers.update("acme", "", { branding })), {
      branding,
    });
  });

  await t.test("a partition shows and takes nothing when asked directly", async (t) => {
    const pool = new ScopedPool({ url: appUrl, connections: 1, log: silentLogger });
    t.teardown(() => pool.close());
    const parts = await pool.transaction(OPERATOR, "x", (client) =>
      client.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_class c
         WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = 'lumentra'::regnamespace`,
      ),
    );
    t.ok(parts.rows.length >= 2);
    for (const { name } of parts.rows) {
      for (const sql of [`SELECT FROM lumentra.${name}`, `DELETE FROM lumentra.${name}`]) {
        await t.rejects(
          pool.transaction(OPERATOR, "x", (client) => client.query(sql)),
          { code: "42501" },
        );
      }
    }
  });

  await t.test(
    "connections are bounded: who waits too long is told so, and the next is served",
    async (t) => {
      const small = openStore({ url: appUrl, secretKeys, connections: 1, log: silentLogger });
      t.teardown(() => small.close());
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      let taken = (): void => {};
      const isTaken = new Promise<void>((resolve) => {
        taken = resolve;
      });
      const holder = small.transaction(SYSTEM, "system", () => {
        taken();
        return held;
      });
      await isTaken;
      await t.rejects(small.ping(), { code: "STORE_UNAVAILABLE" });
      release();
      await holder;
      await small.ping();
    },
  );

  await t.test("a process that stood still does not take Postgres for busy", async (t) => {
    const pool = new ScopedPool({ url: appUrl, connections: 1, log: silentLogger });
    t.teardown(() => pool.close());
    const ask = () => pool.transaction(SYSTEM, "x", (client) => client.query("SELECT 1"));
    await ask();
    const asked = [ask(), ask()];
    // Longer than a connection is waited for, and this thread does nothing meanwhile.
    spawnSync("sleep", ["2.1"]);
    await Promise.all(asked);
    t.pass("the second had its connection too");
  });

  await t.test(
    "a statement that takes too long, and a server that says nothing more, are STORE_UNAVAILABLE",
    async (t) => {
      const sockets = new Set<Socket>();
      let isFrozen = false;
      const target = new URL(appUrl);
      const upstreamPort = Number(target.port);
      const proxy = createServer((socket) => {
        const upstream = connect(upstreamPort, "127.0.0.1");
        for (const [from, to] of [
          [socket, upstream],
          [upstream, socket],
        ] as const) {
          sockets.add(from);
          from.on("data", (chunk) => {
            if (!isFrozen) to.write(chunk);
          });
          from.on("close", () => to.destroy());
          from.on("error", () => to.destroy());
        }
      });
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      target.port = String((proxy.address() as AddressInfo).port);
      const pool = new ScopedPool({
        url: target.href,
        connections: 1,
        statementTimeoutMs: 100,
        log: silentLogger,
      });
      t.teardown(async () => {
        await pool.close();
        for (const socket of sockets) socket.destroy();
        proxy.close();
      });
      const gone = { code: "STORE_UNAVAILABLE" };
      await t.rejects(
        pool.transaction(SYSTEM, "x", (client) => client.query("SELECT pg_sleep(60)")),
        gone,
      );
      await pool.transaction(SYSTEM, "x", (client) => client.query("SELECT 1"));
      isFrozen = true;
      await t.rejects(
        pool.transaction(SYSTEM, "x", (client) => client.query("SELECT 1")),
        gone,
      );
      isFrozen = false;
      await pool.transaction(SYSTEM, "x", (client) => client.query("SELECT 1"));
    },
  );
});
