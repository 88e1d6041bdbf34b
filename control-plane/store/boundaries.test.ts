import { Client } from "pg";
import t from "tap";
import { startTestStore } from "./store.fixture.js";

void t.test("the database itself keeps what is whose", async (t) => {
  const { ownerUrl, appUrl } = await startTestStore(t);
  const owner = new Client({ connectionString: ownerUrl });
  const app = new Client({ connectionString: appUrl });
  await Promise.all([owner.connect(), app.connect()]);
  t.teardown(() => Promise.all([owner.end(), app.end()]).then(() => {}));

  await t.test("every table with somebody's rows has row-level security, forced, and a policy", async (t) => {
    const { rows } = await owner.query<{
      name: string;
      enabled: boolean;
      forced: boolean;
      part: boolean;
      policies: number;
    }>(
      `SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
         c.relispartition AS part, (SELECT count(*)::int FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
       FROM pg_class c
       WHERE c.relnamespace = 'lumentra'::regnamespace AND c.relkind IN ('r', 'p')
         AND (c.relname = 'resellers' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
           AND a.attname IN ('tenant_id', 'reseller_id', 'principal')))`,
    );
    t.ok(rows.length >= 14, `${rows.length} tables`);
    for (const { name, enabled, forced, part, policies } of rows) {
      t.ok(enabled && forced, `${name} is under forced row-level security`);
      // A partition has none of its own: asked directly it shows nothing.
      t.equal(policies > 0, !part, `${name} has policies unless it is a partition`);
    }
  });

  await t.test("the login role owns nothing, is bound by everything, and is member of nobody", async (t) => {
    const { rows } = await owner.query<{ rolsuper: boolean; rolbypassrls: boolean; rolcreaterole: boolean }>(
      "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = 'lumentra_app'",
    );
    t.same(rows, [{ rolsuper: false, rolbypassrls: false, rolcreaterole: false }]);
    const owned = await owner.query(
      "SELECT relname FROM pg_class WHERE relowner = 'lumentra_app'::regrole UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'lumentra_app'::regrole",
    );
    t.same(owned.rows, []);
    const member = await owner.query("SELECT FROM pg_auth_members WHERE member = 'lumentra_app'::regrole");
    t.equal(member.rowCount, 0);
  });

  await t.test(
    "functions with the owner's rights have a fixed search path and are not everybody's",
    async (t) => {
      const { rows } = await owner.query<{ name: string; config: string[] | null; open: boolean }>(
        `SELECT p.proname AS name, p.proconfig AS config,
         p.prorettype <> 'trigger'::regtype AND has_function_privilege('public', p.oid, 'EXECUTE') AS open
       FROM pg_proc p WHERE p.pronamespace = 'lumentra'::regnamespace AND p.prosecdef`,
      );
      t.ok(rows.length > 0);
      for (const { name, config, open } of rows) {
        t.ok(
          config?.some((setting) => setting.startsWith("search_path=")),
          `${name} fixes its search path`,
        );
        t.equal(open, false, `${name} is not for everybody`);
      }
    },
  );

  const DENIED = { code: "42501" };
  for (const sql of [
    "SET ROLE lumentra_owner",
    "SET SESSION AUTHORIZATION lumentra_owner",
    "ALTER TABLE lumentra.tenants DISABLE ROW LEVEL SECURITY",
    "ALTER ROLE lumentra_app BYPASSRLS",
    "CREATE POLICY mine ON lumentra.tenants USING (true)",
    "CREATE TABLE lumentra.mine ()",
    "UPDATE lumentra.audit_log SET actor = 'nobody'",
    "DELETE FROM lumentra.audit_log",
    "INSERT INTO lumentra.audit_log (actor, action, resource_kind, resource_id, reseller_id, tenant_id, changes) VALUES ('x', 'create', 'x', 'x', '', '', '{}')",
    "UPDATE lumentra.provider_rates SET micros_per_minute = 0",
    "DELETE FROM lumentra.migrations",
    "SELECT lumentra.write_audit('create', 'x', 'x', '', '', '{}')",
  ]) {
    await t.test(`the login role is refused: ${sql.slice(0, 60)}`, (t) => t.rejects(app.query(sql), DENIED));
  }

  await t.test("without a setting, and under one that is none of ours, every table is empty", async (t) => {
    await owner.query(
      `SELECT set_config('lumentra.actor', 'test', false);
       INSERT INTO lumentra.resellers (id, name, branding, limits, suspended) VALUES ('acme', 'Acme', '{}', '{}', false);
       INSERT INTO lumentra.tenants (id, reseller_id, suspended, config) VALUES ('dentist', 'acme', false, '{}')`,
    );
    const { rows } = await owner.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'lumentra'::regnamespace
         AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relispartition`,
    );
    for (const scope of ["", "OPERATOR", "operator ", "reseller", "tenant", "' OR true --"]) {
      await app.query("SELECT set_config('lumentra.scope', $1, false)", [scope]);
      for (const { name } of rows) {
        const { rowCount } = await app.query(`SELECT FROM lumentra.${name}`);
        t.equal(rowCount, 0, `${name} under "${scope}"`);
      }
    }
    await app.query("SELECT set_config('lumentra.scope', 'operator', false)");
    t.equal((await app.query("SELECT FROM lumentra.tenants")).rowCount, 1, "there was something to be seen");
  });

  await t.test("a change that nobody signs is refused", async (t) => {
    await app.query("SELECT set_config('lumentra.scope', 'operator', false)");
    await t.rejects(app.query("UPDATE lumentra.tenants SET suspended = true"), DENIED);
  });
});
