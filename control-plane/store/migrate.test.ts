import { chmodSync, cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import t from "tap";
import { silentLogger } from "#runtime/telemetry";
import { type EmbeddedPostgres, migrate, openStore, startEmbeddedPostgres } from "./index.js";

const MIGRATIONS = "control-plane/store/migrations";

let postgres: EmbeddedPostgres;
const directory = mkdtempSync(join(tmpdir(), "lumentra-migrate-"));

t.before(async () => {
  chmodSync(directory, 0o711); // as root, the server runs as another user and goes through it
  postgres = await startEmbeddedPostgres({ directory: join(directory, "postgres"), durable: false });
});

t.teardown(async () => {
  await postgres.stop();
  rmSync(directory, { recursive: true, force: true });
});

function onDatabase(url: string, name: string): string {
  return url.replace(/[^/]*$/, name);
}

async function query<Row>(url: string, sql: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}

/** A database of its own and a folder of migrations that a test may edit. */
async function fresh(name: string) {
  await query(postgres.ownerUrl, `CREATE DATABASE ${name}`);
  const folder = join(directory, name);
  cpSync(MIGRATIONS, folder, { recursive: true });
  const ownerUrl = onDatabase(postgres.ownerUrl, name);
  const run = () => migrate({ ownerUrl, appUrl: postgres.appUrl, log: silentLogger, folder });
  return { ownerUrl, appUrl: onDatabase(postgres.appUrl, name), folder, run };
}

const all = readdirSync(MIGRATIONS).sort();

void t.test("every migration is applied in order, and a second run has nothing to do", async (t) => {
  const { run } = await fresh("twice");
  t.same(await run(), all);
  t.same(await run(), []);
});

void t.test("runners that start together apply each migration once", async (t) => {
  const { run } = await fresh("together");
  const applied = (await Promise.all([run(), run(), run(), run()])).flat();
  t.same([...applied].sort(), all);
});

void t.test("a migration that was edited after it was applied is refused, and nothing is done", async (t) => {
  const { run, folder, ownerUrl } = await fresh("edited");
  await run();
  const path = join(folder, all[1]!);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, `${text}\n-- an afterthought\n`);
  writeFileSync(join(folder, `${next()}_new.sql`), "CREATE TABLE lumentra.afterthought ()");
  await t.rejects(run(), { code: "MIGRATION_HISTORY_EDITED" });
  const [row] = await query<{ made: boolean }>(
    ownerUrl,
    "SELECT to_regclass('lumentra.afterthought') IS NOT NULL AS made",
  );
  t.equal(row!.made, false);
  writeFileSync(path, text);
  t.equal((await run()).length, 1, "put back as it was, it goes on");
});

void t.test("a migration that was removed after it was applied is refused", async (t) => {
  const { run, folder } = await fresh("removed");
  await run();
  rmSync(join(folder, all.at(-1)!));
  await t.rejects(run(), { code: "MIGRATION_HISTORY_EDITED" });
});

void t.test("a number that is missing in the folder is refused", async (t) => {
  const { run, folder } = await fresh("gap");
  rmSync(join(folder, all[1]!));
  await t.rejects(run(), { code: "MIGRATION_HISTORY_EDITED" });
});

void t.test("a migration that fails in the middle leaves nothing of itself", async (t) => {
  const { run, folder, ownerUrl } = await fresh("failing");
  writeFileSync(join(folder, `${next()}_fails.sql`), "CREATE TABLE lumentra.half (); SELECT 1 / 0;");
  await t.rejects(run(), { code: "MIGRATION_FAILED" });
  const names = await query<{ name: string }>(ownerUrl, "SELECT name FROM lumentra.migrations ORDER BY name");
  t.same(
    names.map(({ name }) => name),
    all,
    "those before it stay",
  );
  const [row] = await query<{ made: boolean }>(
    ownerUrl,
    "SELECT to_regclass('lumentra.half') IS NOT NULL AS made",
  );
  t.equal(row!.made, false);
});

void t.test("an owner who is no superuser can migrate, and the log is append-only for it too", async (t) => {
  await query(postgres.ownerUrl, "CREATE ROLE plain_owner LOGIN CREATEROLE PASSWORD 'of-a-test'");
  await query(postgres.ownerUrl, "GRANT lumentra_app TO plain_owner WITH ADMIN OPTION");
  await query(postgres.ownerUrl, "CREATE DATABASE managed OWNER plain_owner");
  const owner = new URL(onDatabase(postgres.ownerUrl, "managed"));
  owner.username = "plain_owner";
  owner.password = "of-a-test";
  const appUrl = onDatabase(postgres.appUrl, "managed");
  t.same(await migrate({ ownerUrl: owner.href, appUrl, log: silentLogger }), all);
  const store = openStore({ url: appUrl, log: silentLogger });
  t.teardown(() => store.close());
  const { rows } = await store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
    await tx.resellers.create({
      id: "acme",
      name: "Acme",
      branding: { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" },
      limits: { concurrentCalls: 1, tenants: 1 },
      suspended: false,
    });
    return tx.audit.list({}, { size: 10, after: null });
  });
  t.match(rows, [{ resourceKind: "reseller", resourceId: "acme", actor: "operator:test" }]);
  await store.maintain();
  await query(owner.href, "UPDATE lumentra.audit_log SET actor = 'nobody'");
  await query(owner.href, "DELETE FROM lumentra.audit_log");
  const log = await query(owner.href, "SELECT actor FROM lumentra.audit_log");
  t.same(log, [{ actor: "operator:test" }], "not even the owner rewrites the log");
});

function next(): string {
  return String(all.length + 1).padStart(3, "0");
}
