import { randomBytes } from "node:crypto";
import { Client } from "pg";
import t from "tap";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { tenantSettingsSchema } from "#actors/tenants";
import { silentLogger } from "#runtime/telemetry";
import { openStore } from "./index.js";
import { startTestStore } from "./store.fixture.js";
import type { AuditRow, Page, PageRequest, Scope, Store } from "./store.js";

const OPERATOR: Scope = { kind: "operator" };
const SYSTEM: Scope = { kind: "system" };
const FIRST = { size: 200, after: null } as const;
const DAY_MS = 86_400_000;
const RESELLER = {
  id: "acme",
  name: "Acme",
  branding: { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" },
  limits: { concurrentCalls: 10, tenants: 10 },
  suspended: false,
};
const config = (callDays = 365) =>
  tenantSettingsSchema.parse({
    name: "Dentist",
    industry: "test",
    timeZone: "UTC",
    agentName: "Ava",
    retention: { callDays },
  });

async function makeTenants(store: Store): Promise<void> {
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    await tx.resellers.create(RESELLER);
    await tx.tenants.create({ id: "dentist", resellerId: "acme", suspended: false, config: config() });
    await tx.tenants.create({ id: "brief", resellerId: "acme", suspended: false, config: config(30) });
  });
}

const asOwner = async (url: string, sql: string): Promise<readonly Record<string, unknown>[]> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
};

function call(id: string, tenantId: string, atUnixMs: number, said: readonly string[]): JournalEvent[] {
  const facts: JournalFact[] = [
    {
      kind: "callStarted",
      tenantId,
      carrier: "twilio",
      carrierCallId: id,
      nodeId: "n",
      pii: { from: "+1", to: "+2" },
    },
    ...said.map(
      (words, index): JournalFact => ({
        kind: "callerTurn",
        turn: index + 1,
        throughAtMs: null,
        pii: { said: words },
      }),
    ),
    { kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 60_000 },
  ];
  return facts.map((fact, sequence) => ({
    ...fact,
    callId: id,
    epoch: 1,
    sequence,
    atMs: sequence,
    atUnixMs: atUnixMs + sequence * 60_000,
  }));
}

const append = (store: Store, events: readonly JournalEvent[], epoch = 1) =>
  store.transaction(SYSTEM, "node:n", (tx) => tx.calls.append(events[0]!.callId, epoch, "n", events));

async function everyPage<Row>(
  size: number,
  list: (page: PageRequest) => Promise<Page<Row>>,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Row[]> {
  const all: Row[] = [];
  let after: readonly string[] | null = null;
  do {
    const page: Page<Row> = await list({ size, after });
    all.push(...page.rows);
    after = page.next;
    await between();
  } while (after !== null);
  return all;
}

void t.test("calls over months: partitions, retention, search, pages", async (t) => {
  const { store, ownerUrl } = await startTestStore(t);
  await makeTenants(store);
  const now = Date.now();

  await t.test("calls of many months lie in partitions of their own, and are found by id", async (t) => {
    for (const days of [0, 40, 80, 400]) {
      const events = call(`old-${days}`, "dentist", now - days * DAY_MS, ["hello"]);
      t.match(await append(store, events), { kind: "stored" });
      const read = await store.transaction(OPERATOR, "o", (tx) => tx.calls.journal(`old-${days}`, 0, 9));
      t.same(read, events);
    }
    const parts = await asOwner(
      ownerUrl,
      "SELECT DISTINCT tableoid::regclass::text AS part FROM lumentra.calls ORDER BY 1",
    );
    t.equal(parts.length, 4);
  });

  await t.test(
    "upkeep removes what is past its tenant's retention, and partitions that this empties",
    async (t) => {
      await append(store, call("brief-old", "brief", now - 40 * DAY_MS, ["bye"]));
      await append(store, call("brief-new", "brief", now, ["hi"]));
      await store.maintain();
      const { rows } = await store.transaction(OPERATOR, "o", (tx) => tx.calls.list({}, FIRST));
      t.same(rows.map(({ id }) => id).sort(), ["brief-new", "old-0", "old-40", "old-80"]);
      const events = await asOwner(
        ownerUrl,
        "SELECT DISTINCT call_id FROM lumentra.journal_events ORDER BY 1",
      );
      t.same(
        events.map(({ call_id }) => call_id),
        ["brief-new", "old-0", "old-40", "old-80"],
      );
      const month = new Date(now - 400 * DAY_MS).toISOString().slice(0, 7).replace("-", "_");
      const left = await asOwner(
        ownerUrl,
        `SELECT to_regclass('lumentra.calls_${month}') AS calls, to_regclass('lumentra.journal_events_${month}') AS events`,
      );
      t.same(left, [{ calls: null, events: null }]);
      const usage = await store.transaction(OPERATOR, "o", (tx) =>
        tx.usage.query({ tenantId: "brief", fromDay: "2000-01-01", toDay: "2999-01-01" }, "tenant", FIRST),
      );
      t.match(usage.rows, [{ calls: 2 }], "what was used stays counted");
    },
  );

  await t.test("upkeep removes more than one batch at once", async (t) => {
    // Made in the database: 2,500 calls at the wire would take their time.
    await asOwner(
      ownerUrl,
      `INSERT INTO lumentra.call_ids (id, started_at, tenant_id, reseller_id)
         SELECT 'bulk-' || n, now() - interval '50 days', 'brief', 'acme' FROM generate_series(1, 2500) n;
       SELECT lumentra.ensure_call_partitions(now() - interval '50 days');
       INSERT INTO lumentra.calls (id, started_at, tenant_id, reseller_id, state, carrier, carrier_call_id, pii_from,
         pii_to, node_id, epoch, next_sequence, providers)
         SELECT id, started_at, tenant_id, reseller_id, 'ended', '', '', '', '', '', 1, 0, '{}' FROM lumentra.call_ids
         WHERE id LIKE 'bulk-%'`,
    );
    await store.maintain();
    const left = await asOwner(
      ownerUrl,
      "SELECT count(*)::int AS count FROM lumentra.calls WHERE id LIKE 'bulk-%'",
    );
    t.same(left, [{ count: 0 }]);
  });

  await t.test("a search takes the signs of LIKE literally", async (t) => {
    await append(store, call("percent", "dentist", now, ["I want 100% of it", "a_b"]));
    await append(store, call("plain", "dentist", now, ["I want 1000 of it", "axb", "back\\slash"]));
    const found = async (query: string): Promise<readonly string[]> => {
      const { rows } = await store.transaction(OPERATOR, "o", (tx) => tx.calls.list({ query }, FIRST));
      return rows.map(({ id }) => id).sort();
    };
    t.same(await found("100%"), ["percent"]);
    t.same(await found("A_B"), ["percent"]);
    t.same(await found("K\\s"), ["plain"]);
    t.same(await found("want\u0000 1"), ["percent", "plain"]);
    t.same(await found("%b"), []);
  });

  await t.test("pages show each call once while others are added", async (t) => {
    const ids = Array.from({ length: 23 }, (_, index) => `page-${String(index).padStart(2, "0")}`);
    // All at one instant: the id must order them.
    for (const id of ids) await append(store, call(id, "brief", now - DAY_MS, []));
    let added = 0;
    const filter = { tenantId: "brief", startedBefore: new Date(now - 1) };
    const seen = await everyPage(
      5,
      (page) => store.transaction(OPERATOR, "o", (tx) => tx.calls.list(filter, page)),
      () => append(store, call(`added-${(added += 1)}`, "brief", now - 1_000 + added, [])),
    );
    t.same(
      seen.map(({ id }) => id),
      ids.toReversed(),
    );
  });

  await t.test("what a lost call's own node still has completes it, unless another took over", async (t) => {
    const events = call("lost", "dentist", now, ["one", "two"]);
    await append(store, events.slice(0, 2));
    const lose = (epoch: number, final: boolean) =>
      store.transaction(SYSTEM, "system", (tx) => tx.calls.lose("lost", epoch, final, "nodeLost"));
    t.equal(await lose(0, false), null, "of an older lease nothing is lost");
    t.match(await lose(1, false), { state: "suspended" });
    t.match(await lose(1, true), { state: "ended", outcome: "nodeLost" });
    t.match(await append(store, events.slice(2, 3)), { kind: "stored", call: { state: "ended" } });
    t.match(await append(store, events.slice(3)), {
      kind: "stored",
      call: { state: "ended", outcome: "callerHungUp" },
    });
    t.equal(await lose(1, true), null);
    const taken = call("taken", "dentist", now, ["one", "two"]);
    await append(store, taken.slice(0, 2));
    t.match(await append(store, taken.slice(2, 3), 2), { kind: "stored", call: { epoch: 2 } });
    t.same(await append(store, taken.slice(2), 1), { kind: "leaseLost", epoch: 2 });
    t.same(await append(store, taken.slice(0, 1), 1), { kind: "leaseLost", epoch: 2 });
  });
});

void t.test("secrets: sealed at rest, moved from key to key, and at home in one row", async (t) => {
  const { store, ownerUrl, appUrl, secretKeys } = await startTestStore(t);
  await makeTenants(store);
  const PLANTED = "planted-Zq83hf";
  await store.transaction(OPERATOR, "operator:test", async (tx) => {
    await tx.secrets.set("dentist", "token", PLANTED);
    await tx.requests.remember("key:1", "r", "f", { key: PLANTED });
  });
  const opened = (by: Store, id = "dentist") => by.transaction(SYSTEM, "system", (tx) => tx.secrets.all(id));
  t.same(await opened(store), { token: PLANTED });

  const tables = await asOwner(
    ownerUrl,
    "SELECT relname FROM pg_class WHERE relnamespace = 'lumentra'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
  );
  for (const { relname } of tables) {
    const rows = await asOwner(ownerUrl, `SELECT x::text AS text FROM lumentra.${String(relname)} x`);
    const text = rows.map((row) => String(row["text"])).join("\n");
    t.notMatch(text, PLANTED, `${String(relname)} holds nothing in clear`);
    t.notMatch(text, Buffer.from(PLANTED).toString("hex"), `nor in hexadecimal`);
  }

  const withKeys = (keys: string): Store => {
    const other = openStore({ url: appUrl, secretKeys: keys, log: silentLogger });
    t.teardown(() => other.close());
    return other;
  };
  const next = `k2:${randomBytes(32).toString("base64")}`;
  const both = withKeys(`${next},${secretKeys}`);
  const onlyNext = withKeys(next);
  const keyless = withKeys("");
  const missing = { code: "SECRET_KEY_MISSING" };
  await t.rejects(opened(onlyNext), missing);
  await t.rejects(
    keyless.transaction(OPERATOR, "o", (tx) => tx.secrets.set("dentist", "x", "y")),
    missing,
  );
  t.equal(await onlyNext.transaction(SYSTEM, "system", (tx) => tx.secrets.rotate(10)), 0);
  await onlyNext.maintain(); // what it cannot open does not stop the rest
  t.same(await opened(both), { token: PLANTED }, "both keys open");
  await both.maintain();
  t.same(await opened(onlyNext), { token: PLANTED }, "the old key is needed no more");
  await t.rejects(opened(store), missing);

  await asOwner(
    ownerUrl,
    `SELECT set_config('lumentra.actor', 'x', false);
     INSERT INTO lumentra.tenant_secrets (tenant_id, reseller_id, name, key_id, ciphertext)
     SELECT 'brief', reseller_id, name, key_id, ciphertext FROM lumentra.tenant_secrets WHERE tenant_id = 'dentist'`,
  );
  await t.rejects(opened(both, "brief"), /authenticate/, "a row copied to another tenant does not open");
});

void t.test("the audit log: every change, who made it, and no secret", async (t) => {
  const { store, ownerUrl } = await startTestStore(t);
  const HASH = Buffer.from("5ec2e75ec2e75ec2e75ec2e75ec2e7ff".repeat(2), "hex");
  const act = (work: Parameters<typeof store.transaction<unknown>>[2]) =>
    store.transaction(OPERATOR, "key:who", work);
  await act((tx) => tx.resellers.create(RESELLER));
  await act((tx) => tx.resellers.update("acme", "", { suspended: true }));
  await act((tx) => tx.resellers.update("acme", "", { suspended: false }));
  await act((tx) =>
    tx.tenants.create({ id: "dentist", resellerId: "acme", suspended: false, config: config() }),
  );
  await act((tx) => tx.tenants.update("dentist", "", { config: config(7) }));
  await act((tx) => tx.phoneNumbers.create({ number: "+12025550101", tenantId: "dentist", label: "" }));
  await act((tx) => tx.phoneNumbers.update("+12025550101", "", { tenantId: "dentist", label: "front" }));
  const key = { id: "k", resellerId: "acme", name: "x", prefix: "abc", scopes: [], expiresAt: null };
  await act((tx) => tx.apiKeys.create(key, HASH));
  await act((tx) => tx.apiKeys.noteUse(new Map([["k", new Date()]])));
  await act((tx) => tx.apiKeys.revoke("k"));
  await act((tx) => tx.secrets.set("dentist", "token", "first-planted"));
  await act((tx) => tx.secrets.set("dentist", "token", "second-planted"));
  await act((tx) => tx.secrets.delete("dentist", "token"));
  await act((tx) =>
    tx.audit.note({ action: "update", resourceKind: "node", resourceId: "n", changes: { drain: true } }),
  );
  await act((tx) => tx.tenants.delete("dentist", ""));
  const { rows } = await store.transaction(OPERATOR, "o", (tx) => tx.audit.list({}, FIRST));
  const told = ({ action, resourceKind, resourceId }: AuditRow): string =>
    `${action} ${resourceKind} ${resourceId}`;
  t.same(rows.map(told).toReversed().slice(0, 13), [
    "create reseller acme",
    "update reseller acme",
    "update reseller acme",
    "create tenant dentist",
    "update tenant dentist",
    "create phone_number +12025550101",
    "update phone_number +12025550101",
    "create api_key k",
    "update api_key k",
    "create tenant_secret dentist/token",
    "update tenant_secret dentist/token",
    "delete tenant_secret dentist/token",
    "update node n",
  ]);
  t.same(rows.map(told).toReversed().slice(13).sort(), [
    "delete phone_number +12025550101",
    "delete tenant dentist",
  ]);
  t.ok(rows.every(({ actor }) => actor === "key:who"));
  t.match(
    rows.find((row) => told(row) === "update tenant dentist"),
    { changes: { "config.retention": { from: { callDays: 365 }, to: { callDays: 7 } } } },
  );
  t.notMatch(JSON.stringify(rows), /5ec2e7|planted|ciphertext|hash/);
  const paged = await everyPage(4, (page) =>
    store.transaction({ kind: "reseller", resellerId: "acme" }, "key:a", (tx) => tx.audit.list({}, page)),
  );
  t.equal(paged.length, 14, "its reseller reads all but the operators' own");

  await t.rejects(
    store.transaction(OPERATOR, "", (tx) => tx.resellers.update("acme", "", { suspended: true })),
    { code: "42501" },
    "nobody changes anything unsigned",
  );
  const forged = {
    action: "delete",
    resourceKind: "tenant",
    resourceId: "x",
    resellerId: "acme",
    changes: {},
  } as const;
  await t.rejects(
    store.transaction(OPERATOR, "o", (tx) => tx.audit.note(forged)),
    { code: "42501" },
  );
  const foreign = { ...forged, resourceKind: "call", resellerId: "rival" };
  await t.rejects(
    store.transaction({ kind: "reseller", resellerId: "acme" }, "key:a", (tx) => tx.audit.note(foreign)),
    { code: "42501" },
  );

  // A day later, a request's answer is forgotten.
  const recall = () => act((tx) => tx.requests.recall("key:1", "r", "f"));
  await act((tx) => tx.requests.remember("key:1", "r", "f", { number: 1 }));
  t.same(await recall(), { answer: { number: 1 } });
  t.equal(await act((tx) => tx.requests.recall("key:2", "r", "f")), null, "it is its principal's alone");
  await asOwner(ownerUrl, "UPDATE lumentra.requests SET at = at - interval '25 hours'");
  t.equal(await recall(), null);
  await store.maintain();
  t.same(await asOwner(ownerUrl, "SELECT FROM lumentra.requests"), []);
});
