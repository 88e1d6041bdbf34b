import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Client } from "pg";
import { generate } from "selfsigned";
import t from "tap";
import { silentLogger } from "#runtime/telemetry";
import { type EmbeddedPostgres, migrate, openStore, startEmbeddedPostgres } from "./index.js";

async function query<Row>(url: string, sql: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end().catch(() => {});
  }
}

/** A folder that goes, and servers that end, with the test. */
function workplace(t: { teardown(callback: () => Promise<void>): void }) {
  const directory = mkdtempSync(join(tmpdir(), "lumentra-embedded-"));
  chmodSync(directory, 0o711); // as root, the server runs as another user and goes through it
  const servers: EmbeddedPostgres[] = [];
  t.teardown(async () => {
    for (const server of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    directory,
    /** With fsync, as it is used. */
    start: async (name = "postgres", port = 0): Promise<EmbeddedPostgres> => {
      const server = await startEmbeddedPostgres({ directory: join(directory, name), port });
      servers.push(server);
      return server;
    },
  };
}

/** The server's user, when it is another. */
function owner(path: string): { uid: number; gid: number } {
  return statSync(path);
}

function own(path: string, uid: number, gid: number): void {
  chownSync(path, uid, gid);
  if (!statSync(path).isDirectory()) return;
  for (const name of readdirSync(path)) own(join(path, name), uid, gid);
}

const MAKE_SOME = `CREATE TABLE kept (number int); INSERT INTO kept SELECT generate_series(1, 100)`;
const COUNT_THEM = "SELECT count(*)::int AS count FROM kept";

void t.test("what was committed is there after a kill -9 of the server", async (t) => {
  const { start } = workplace(t);
  const first = await start();
  await query(first.ownerUrl, MAKE_SOME);
  process.kill(first.pid, "SIGKILL");
  await first.restart();
  t.same(await query(first.ownerUrl, COUNT_THEM), [{ count: 100 }]);
  await first.stop();
  const second = await start();
  t.same(await query(second.ownerUrl, COUNT_THEM), [{ count: 100 }], "and after a restart");
});

void t.test("a server whose parent was killed ends, and the next start goes on with its data", async (t) => {
  const { directory, start } = workplace(t);
  const index = pathToFileURL("dist/control-plane/store/index.js").href;
  const parent = spawn(process.execPath, [
    "--input-type=module",
    "--eval",
    `const { startEmbeddedPostgres } = await import(${JSON.stringify(index)});
     const { ownerUrl } = await startEmbeddedPostgres({ directory: ${JSON.stringify(join(directory, "postgres"))} });
     console.log(ownerUrl);
     setInterval(() => {}, 1000);`,
  ]);
  parent.stderr.resume();
  const [ownerUrl] = (await once(createInterface({ input: parent.stdout }), "line")) as [string];
  await query(ownerUrl, MAKE_SOME);
  const exited = once(parent, "exit");
  parent.kill("SIGKILL");
  await exited;
  const next = await start();
  t.same(await query(next.ownerUrl, COUNT_THEM), [{ count: 100 }]);
});

void t.test(
  "a second start on the same folder is refused, on the first's port too; a stale lock is not in the way",
  async (t) => {
    const { directory, start } = workplace(t);
    const first = await start();
    const port = Number(new URL(first.ownerUrl).port);
    await t.rejects(start("postgres", port), {
      code: "EMBEDDED_POSTGRES_FAILED",
      message: /serves .*postgres\/data already/,
    });
    t.same(await query(first.ownerUrl, "SELECT 1 AS one"), [{ one: 1 }], "the first is unharmed");
    // A number that is now another program's is in nobody's way.
    const lock = join(directory, "postgres/data/postmaster.pid");
    const text = readFileSync(lock, "utf8");
    await first.stop();
    writeFileSync(lock, text.replace(/^\d+/, String(process.pid)));
    const second = await start();
    t.same(await query(second.ownerUrl, "SELECT 1 AS one"), [{ one: 1 }]);
  },
);

void t.test(
  "a copy of a stopped server's folder is a backup: rows, roles and boundaries are in it",
  async (t) => {
    const { directory, start } = workplace(t);
    const first = await start();
    const { ownerUrl, appUrl } = first;
    await migrate({ ownerUrl, appUrl, log: silentLogger });
    const make = `SELECT set_config('lumentra.actor', 'test', false);
    INSERT INTO lumentra.resellers (id, name, branding, limits, suspended) VALUES ('acme', 'Acme', '{}', '{}', false), ('rival', 'Rival', '{}', '{}', false);
    INSERT INTO lumentra.tenants (id, reseller_id, suspended, config) VALUES ('dentist', 'acme', false, '{}'), ('florist', 'rival', false, '{}')`;
    await query(ownerUrl, make);
    await first.stop();
    cpSync(join(directory, "postgres"), join(directory, "copy"), { recursive: true });
    const { uid, gid } = owner(join(directory, "postgres/data"));
    own(join(directory, "copy/data"), uid, gid);
    const second = await start("copy");
    t.same(await migrate({ ownerUrl: second.ownerUrl, appUrl: second.appUrl, log: silentLogger }), []);
    const store = openStore({ url: second.appUrl, log: silentLogger });
    t.teardown(() => store.close());
    const page = { size: 10, after: null };
    const seen = (resellerId: string): Promise<readonly string[]> =>
      store.transaction({ kind: "reseller", resellerId }, "key:x", async (tx) =>
        (await tx.tenants.list({}, page)).rows.map(({ id }) => id),
      );
    t.same(await seen("acme"), ["dentist"]);
    t.same(await seen("rival"), ["florist"]);
    t.same(await seen("nobody"), []);
  },
);

void t.test("sslmode=verify-full takes the certificate it was told of, and no other", async (t) => {
  const { directory, start } = workplace(t);
  const first = await start();
  await migrate({ ownerUrl: first.ownerUrl, appUrl: first.appUrl, log: silentLogger });
  await first.stop();
  const data = join(directory, "postgres/data");
  const { uid, gid } = owner(data);
  const make = () =>
    generate([{ name: "commonName", value: "localhost" }], {
      extensions: [
        { name: "basicConstraints", cA: true },
        { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
      ],
    });
  const [ours, another] = [await make(), await make()];
  writeFileSync(join(data, "server.crt"), ours.cert);
  writeFileSync(join(data, "server.key"), ours.private, { mode: 0o600 });
  own(join(data, "server.key"), uid, gid);
  writeFileSync(join(data, "postgresql.auto.conf"), "ssl = on\n");
  writeFileSync(join(directory, "ours.pem"), ours.cert);
  writeFileSync(join(directory, "another.pem"), another.cert);
  const second = await start();
  const open = (root: string) => {
    const url = new URL(second.appUrl);
    url.hostname = "localhost";
    url.searchParams.set("sslmode", "verify-full");
    url.searchParams.set("sslrootcert", join(directory, root));
    return openStore({ url: url.href, log: silentLogger });
  };
  const trusting = open("ours.pem");
  const wary = open("another.pem");
  t.teardown(() => Promise.all([trusting.close(), wary.close()]).then(() => {}));
  await trusting.ping();
  t.same(
    await query(
      second.ownerUrl,
      "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'lumentra'",
    ),
    [{ ssl: true }],
  );
  await t.rejects(wary.ping(), /certificate|self.signed/i);
});
