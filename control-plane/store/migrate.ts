/**
 * Brings a database to this version. A runner of our own, since what is wanted is small and the known ones (umzug,
 * node-pg-migrate) do not have it together: plain SQL files, numbered and final; one advisory lock over all runners;
 * each file in a transaction of its own; refused when history was edited.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, type ClientBase } from "pg";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";

/** Beside the sources, not the compiled code. */
const FOLDER = fileURLToPath(new URL("../../../control-plane/store/migrations/", import.meta.url));
/** Any number that nobody else uses in this database. */
const LOCK = 7_116_402_811;
/** Another runner may be at a long migration. */
const LOCK_TIMEOUT_MS = 600_000;

export interface MigrateOptions {
  /** The role that owns the tables. */
  readonly ownerUrl: string;
  /** The login role is given the password in it. */
  readonly appUrl: string;
  readonly log: Logger;
  /** @default the folder beside this file; others in tests */
  readonly folder?: string;
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/**
 * Names of those applied now. Safe to run twice, and by several at once.
 * @throws LumentraError MIGRATION_HISTORY_EDITED, MIGRATION_FAILED, STORE_UNAVAILABLE
 */
export async function migrate(options: MigrateOptions): Promise<readonly string[]> {
  const migrations = readMigrations(options.folder ?? FOLDER);
  const client = new Client({ connectionString: options.ownerUrl, lock_timeout: LOCK_TIMEOUT_MS });
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (cause) {
    throw new LumentraError("STORE_UNAVAILABLE", "Postgres cannot be reached to migrate it", { cause });
  }
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS lumentra`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS lumentra.migrations (
         name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const pending = await pendingOf(client, migrations);
    for (const migration of pending) {
      await apply(client, migration);
      options.log.info({ migration: migration.name }, "migration applied");
    }
    await client.query(LET_APP_LOOK);
    await setPassword(client, options.appUrl);
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** A control plane asks, as the login role, whether migrations wait. The first of them makes that role. */
const LET_APP_LOOK = `DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lumentra_app') THEN
    GRANT SELECT ON lumentra.migrations TO lumentra_app;
  END IF;
END $$`;

/** Names of migrations that wait. @throws LumentraError MIGRATION_HISTORY_EDITED */
export async function pendingMigrations(client: ClientBase, folder = FOLDER): Promise<readonly string[]> {
  const { rows } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('lumentra.migrations') IS NOT NULL AS there",
  );
  const migrations = readMigrations(folder);
  const pending = rows[0]!.there ? await pendingOf(client, migrations) : migrations;
  return pending.map(({ name }) => name);
}

function readMigrations(folder: string): readonly Migration[] {
  const names = readdirSync(folder)
    .filter((name) => /^\d{3}_[a-z0-9_]+\.sql$/.test(name))
    .sort();
  return names.map((name, index) => {
    if (Number(name.slice(0, 3)) !== index + 1) {
      throw new LumentraError(
        "MIGRATION_HISTORY_EDITED",
        `migrations are numbered without gaps; ${name} is not next`,
      );
    }
    const sql = readFileSync(join(folder, name), "utf8");
    return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
  });
}

async function pendingOf(
  client: ClientBase,
  migrations: readonly Migration[],
): Promise<readonly Migration[]> {
  const { rows } = await client.query<{ name: string; checksum: string }>(
    "SELECT name, checksum FROM lumentra.migrations ORDER BY name",
  );
  for (const [index, { name, checksum }] of rows.entries()) {
    const here = migrations[index];
    if (here?.name === name && here.checksum === checksum) continue;
    throw new LumentraError(
      "MIGRATION_HISTORY_EDITED",
      here?.name === name
        ? `${name} was applied in another form: put the file back as it was, and add a new one`
        : `${name} was applied, and is not here: this program is older than the database`,
    );
  }
  return migrations.slice(rows.length);
}

async function apply(client: ClientBase, { name, sql, checksum }: Migration): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query(sql);
    await client.query("INSERT INTO lumentra.migrations (name, checksum) VALUES ($1, $2)", [name, checksum]);
    await client.query("COMMIT");
  } catch (cause) {
    await client.query("ROLLBACK");
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LumentraError("MIGRATION_FAILED", `${name}: ${why}`, { cause });
  }
}

/** Roles are the server's: the password is set each time, as the URL may have a new one. */
async function setPassword(client: Client, appUrl: string): Promise<void> {
  const { username, password } = new URL(appUrl);
  if (username !== "lumentra_app" || password === "") return;
  await client.query(
    `ALTER ROLE lumentra_app PASSWORD ${client.escapeLiteral(decodeURIComponent(password))}`,
  );
}
