/**
 * Postgres for one machine: the server that comes as a package, as a process of ours over a folder of ours. It
 * survives our restarts and our being killed: what a kill leaves behind is cleared at the next start.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve as resolvePath } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";
import { LumentraError } from "#runtime/errors";

/** A first start runs initdb; a start after a kill replays its log. */
const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 25;
/** A server that lost its parent writes a checkpoint; one that is used by others stays. */
const LOCK_WAIT_MS = 5_000;
/** A fast shutdown ends sessions and writes a checkpoint. */
const STOP_TIMEOUT_MS = 10_000;
const LAST_LINES_MAX = 10;
/** `nobody` of every Debian: Postgres refuses to run as root, and the user must exist. */
const UNPRIVILEGED_ID = 65_534;
const OWNER = "lumentra_owner";
const APP = "lumentra_app";
const DATABASE = "lumentra";

export interface EmbeddedPostgresOptions {
  /** Made when missing; kept. */
  readonly directory: string;
  /** 0 takes a free one. @default 0 */
  readonly port?: number;
  /** False: no fsync, for tests alone. @default true */
  readonly durable?: boolean;
  /** Each line of its log. @default nothing */
  readonly onLine?: (line: string) => void;
}

export interface EmbeddedPostgres {
  /** The role that owns the tables: for `migrate`. */
  readonly ownerUrl: string;
  /** The login role that row-level security binds. */
  readonly appUrl: string;
  readonly pid: number;
  /** Down and up again on the same port, as an operator would do it; sessions are cut. */
  restart(): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** @throws LumentraError EMBEDDED_POSTGRES_FAILED with its last words */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { directory, durable = true, onLine = () => {} } = options;
  const binaries = await findBinaries();
  const data = join(directory, "data");
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o711); // the server's user goes through it to its data
  await requireReachable(directory);
  const passwords = await loadPasswords(directory);
  await initialise(binaries, directory, data, passwords.owner);
  const port = options.port || (await freePort());
  const url = (user: string, password: string): string =>
    `postgres://${user}:${password}@127.0.0.1:${port}/${DATABASE}`;
  const ownerUrl = url(OWNER, passwords.owner);
  let child = await start(binaries.postgres, data, port, durable, ownerUrl, onLine);
  await makeDatabase(ownerUrl);
  return {
    ownerUrl,
    appUrl: url(APP, passwords.app),
    get pid() {
      return child.pid!;
    },
    async restart() {
      await stop(child);
      child = await start(binaries.postgres, data, port, durable, ownerUrl, onLine);
    },
    stop: () => stop(child),
  };
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The platform's package, with the links that its install script makes and some package managers do not run. */
async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  let root: string;
  try {
    root = join(dirname(createRequire(import.meta.url).resolve(name)), "..");
  } catch (cause) {
    throw new LumentraError(
      "EMBEDDED_POSTGRES_FAILED",
      `${name} is not installed: there may be none for this platform; set DATABASE_URL to a Postgres server`,
      { cause },
    );
  }
  await makeLinks(root);
  const native = join(root, "native");
  const reachable = (await unreachableParent(native)) === null ? native : await copyOf(native);
  return { initdb: join(reachable, "bin/initdb"), postgres: join(reachable, "bin/postgres") };
}

/** Of binaries that the server's user cannot get at (a checkout under root's home): once for each version of them. */
async function copyOf(native: string): Promise<string> {
  const { mtimeMs } = await stat(join(native, "bin/postgres"));
  const target = join(
    tmpdir(),
    `lumentra-postgres-${createHash("sha256").update(`${native} ${mtimeMs}`).digest("hex").slice(0, 16)}`,
  );
  if (await stat(target).catch(() => null)) return target;
  // Whole or not at all: another process may do the same.
  const making = await mkdtemp(`${target}-`);
  await cp(native, making, { recursive: true, verbatimSymlinks: true });
  await chmod(making, 0o755);
  await rename(making, target).catch(() => rm(making, { recursive: true, force: true }));
  return target;
}

async function makeLinks(root: string): Promise<void> {
  const text = await readFile(join(root, "native/pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const link = join(root, target);
    const isThere = await lstat(link).then(
      () => true,
      () => false,
    );
    // Another process may make it at the same moment.
    if (!isThere) await symlink(basename(source), link).catch(() => {});
  }
}

async function loadPasswords(directory: string): Promise<{ owner: string; app: string }> {
  const path = join(directory, "passwords.json");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text !== null) return JSON.parse(text) as { owner: string; app: string };
  const made = { owner: randomBytes(24).toString("base64url"), app: randomBytes(24).toString("base64url") };
  await writeFile(path, JSON.stringify(made), { mode: 0o600 });
  return made;
}

/** As root the server runs as nobody, and its folder must be nobody's. */
function identity(): { uid: number; gid: number } | Record<string, never> {
  return process.getuid?.() === 0 ? { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID } : {};
}

/** As root the server's user must be able to walk to its folder, which nobody can through a home of mode 700. */
async function requireReachable(directory: string): Promise<void> {
  const parent = await unreachableParent(directory);
  if (parent === null) return;
  throw failed(
    `run as root, Postgres runs as nobody, who may not enter ${parent}: run as another user, or set LUMENTRA_DATA_DIR to a folder that everybody may enter`,
  );
}

/** Null: every user may walk there, or the server runs as we do. */
async function unreachableParent(directory: string): Promise<string | null> {
  if (identity().uid === undefined) return null;
  for (let parent = dirname(resolvePath(directory)); parent !== dirname(parent); parent = dirname(parent)) {
    if (((await stat(parent)).mode & 0o001) === 0) return parent;
  }
  return null;
}

async function initialise(
  binaries: Binaries,
  directory: string,
  data: string,
  password: string,
): Promise<void> {
  const done = await readdir(data).then(
    (names) => names.includes("PG_VERSION"),
    () => false,
  );
  if (done) return;
  // Beside it, and renamed when whole: an initdb that is killed leaves nothing that looks like a database.
  const making = `${data}.making`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true, mode: 0o700 });
  const { uid, gid } = identity();
  if (uid !== undefined) await chown(making, uid, gid);
  const passwordFile = join(directory, "initdb-password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (uid !== undefined) await chown(passwordFile, uid, gid);
  const { status, stderr } = spawnSync(
    binaries.initdb,
    [
      `--pgdata=${making}`,
      `--username=${OWNER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
    ],
    { ...identity(), encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" } },
  );
  await rm(passwordFile, { force: true });
  if (status !== 0) throw failed(`initdb ended with ${status}: ${stderr.slice(-500)}`);
  await rename(making, data);
}

/** Sessions of a server that was killed end a moment after it, and until then no other may start: they are waited for. */
async function start(...parameters: Parameters<typeof startOnce>): Promise<ChildProcess> {
  const deadlineMs = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await startOnce(...parameters);
    } catch (error) {
      const isOrphaned = error instanceof LumentraError && error.message.includes("shared memory block");
      if (!isOrphaned || performance.now() > deadlineMs) throw error;
    }
  }
}

async function startOnce(
  binary: string,
  data: string,
  port: number,
  durable: boolean,
  ownerUrl: string,
  onLine: (line: string) => void,
): Promise<ChildProcess> {
  // Postgres itself refuses to start beside a live server and clears what a dead one left, unless the number in the
  // file has since been given to another program of the same user: then the file is in the way.
  await awaitLock(data);
  const sync = durable ? "on" : "off";
  const settings = [
    `port=${port}`,
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    `fsync=${sync}`,
    `synchronous_commit=${sync}`,
    `full_page_writes=${sync}`,
    "log_min_messages=warning",
  ];
  const server = ["-D", data, ...settings.flatMap((setting) => ["-c", setting])];
  // Killed with us where util-linux can say so; elsewhere the next start finds it and says so.
  const hasSetpriv = spawnSync("setpriv", ["--version"], { stdio: "ignore" }).status === 0;
  const { uid, gid } = identity();
  const child = hasSetpriv
    ? spawn(
        "setpriv",
        [
          "--pdeathsig=INT",
          ...(uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"]),
          binary,
          ...server,
        ],
        { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env["PATH"] ?? "" }, detached: true },
      )
    : spawn(binary, server, {
        ...identity(),
        stdio: ["ignore", "ignore", "pipe"],
        env: { PATH: process.env["PATH"] ?? "" },
        detached: true,
      });
  const lastLines: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    lastLines.push(line);
    if (lastLines.length > LAST_LINES_MAX) lastLines.shift();
    onLine(line);
  });
  const probe = ownerUrl.replace(/[^/]*$/, "postgres");
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  // That something answers is not enough: it may be the server of another start, which has the port and the folder.
  while (!((await lockHolder(data)) === child.pid && (await answers(probe)))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw failed(`postgres ended with ${child.exitCode ?? child.signalCode}: ${lastLines.join(" / ")}`);
    }
    if (performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      throw failed(`postgres did not answer in ${READY_TIMEOUT_MS / 1_000} s: ${lastLines.join(" / ")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  return child;
}

const LOCK_FILE = "postmaster.pid";

/** Process id in the server's lock file. */
async function lockHolder(data: string): Promise<number | null> {
  const text = await readFile(join(data, LOCK_FILE), "utf8").catch(() => null);
  return text === null ? null : Number(text.split("\n")[0]);
}

/**
 * Waits for a server that is on its way down, as after our being killed. A dead one's file stays: by it Postgres finds
 * sessions that outlived their server.
 * @throws LumentraError EMBEDDED_POSTGRES_FAILED when it stays
 */
async function awaitLock(data: string): Promise<void> {
  const deadlineMs = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    const pid = await lockHolder(data);
    const command = pid === null ? null : await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => null);
    if (command === null) return;
    if (!command.includes("postgres")) return rm(join(data, LOCK_FILE), { force: true });
    if (performance.now() > deadlineMs) {
      throw failed(`process ${pid} serves ${data} already: end what started it, or use another folder`);
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function makeDatabase(ownerUrl: string): Promise<void> {
  const client = new Client({ connectionString: ownerUrl.replace(/[^/]*$/, "postgres") });
  await client.connect();
  try {
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGINT"); // fast: sessions end, a checkpoint is written
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function failed(message: string): LumentraError {
  return new LumentraError("EMBEDDED_POSTGRES_FAILED", message);
}
