/**
 * A real Redis for tests: the one of REDIS_URL, else a server of our own from redis-server on PATH, else from Debian's
 * packages, unpacked (not installed) under .cache/redis. Where none can be had the caller is told null, loudly; with
 * CI=true that is a failure.
 *
 * ```ts
 * const redis = await startRedis(t); // ended with the test
 * if (redis === null) return;
 * const directory = openDirectory({ url: redis.url, … });
 * await redis.restart({ keepData: false });
 * ```
 *
 * Invariants
 * F1 A server ends with its test, and with its test's process: it looks after its parent (see GUARD).
 * F2 Test files that start at once unpack into folders of their own; the first to finish renames its to the final
 *    name, which is atomic, and the others use that.
 * F3 With REDIS_URL the server is not ours: a test has one of its databases to itself, and flushes that alone; it is
 *    never stopped, and `restart` is a flush or nothing.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";

const run = promisify(execFile);

/** What tap's test offers, and all that is used of it. */
export interface TestScope {
  teardown(callback: () => void | Promise<void>): void;
  comment(message: string): void;
  fail(message: string): unknown;
}

export interface RedisServer {
  readonly url: string;
  /** Null when the server is not ours (F3). */
  readonly pid: number | null;
  /** False for REDIS_URL: it cannot be stopped. */
  readonly ours: boolean;
  /** SIGKILL and gone. */
  stop(): Promise<void>;
  /** SIGKILL, then the same port again. keepData: what was written before is there (it is saved first). */
  restart(options: { keepData: boolean }): Promise<void>;
  /** Forgets everything, as a restart without data does, in one step. */
  flush(): Promise<void>;
  /** Empties its cache of scripts, as a failover does. */
  forgetScripts(): Promise<void>;
}

export interface RedisCluster {
  /** Comma separated. */
  readonly url: string;
  readonly masters: readonly RedisServer[];
  flush(): Promise<void>;
}

/** Beside the compiled code's folder; not committed. */
const CACHE = resolve(import.meta.dirname, "../../../.cache/redis");
const PACKAGES = ["redis-server", "redis-tools", "liblzf1", "libjemalloc2", "libatomic1", "libsystemd0"];
/** Of a Redis with default settings, less the first, which may hold somebody's data. */
const DATABASES = 15;
/** Longer than a test file may take. */
const DATABASE_LOCK_MS = 300_000;
const START_TIMEOUT_MS = 15_000;
/** The shell ends Redis when its standard input closes, which the test's end does whatever ended it (F1). */
const GUARD = '"$@" & pid=$!; echo $pid; read -r _; kill -9 $pid; wait $pid';

interface Binary {
  readonly path: string;
  readonly libraryPath: string;
}

let found: Promise<Binary | null> | undefined;
let whyNot = "";

/** Null: there is no Redis to be had here, which was said. */
export async function startRedis(t: TestScope): Promise<RedisServer | null> {
  const given = process.env["REDIS_URL"];
  if (given !== undefined && given !== "") return external(t, given);
  const binary = await binaryOr(t);
  return binary === null ? null : startOwn(t, binary, []);
}

/** Three masters of our own on loopback, without replicas, every slot served. Null as above. */
export async function startRedisCluster(t: TestScope): Promise<RedisCluster | null> {
  const binary = await binaryOr(t);
  if (binary === null) return null;
  const options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
  const masters = [
    await startOwn(t, binary, options),
    await startOwn(t, binary, options),
    await startOwn(t, binary, options),
  ];
  const clients = masters.map(({ url }) => connect(url));
  try {
    const edges = [0, 5_461, 10_923, 16_384];
    for (const [index, client] of clients.entries()) {
      await client.call("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
      await client.call("CLUSTER", "ADDSLOTSRANGE", String(edges[index]), String(edges[index + 1]! - 1));
    }
    for (const { url } of masters.slice(1))
      await clients[0]!.call("CLUSTER", "MEET", "127.0.0.1", new URL(url).port);
    await until("the cluster to be ready", async () => {
      const infos = await Promise.all(
        clients.map(async (client) => String(await client.call("CLUSTER", "INFO"))),
      );
      return infos.every(
        (info) => info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3"),
      );
    });
  } finally {
    for (const client of clients) client.disconnect();
  }
  return {
    url: masters.map(({ url }) => url).join(","),
    masters,
    flush: async () => {
      for (const master of masters) await master.flush();
    },
  };
}

// ---- a server of our own

async function startOwn(t: TestScope, binary: Binary, options: readonly string[]): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "lumentra-redis-"));
  let port = await freePort();
  let child: { guard: ChildProcess; pid: number } | null = null;
  const start = async (): Promise<void> => {
    child = await launch(binary, port, folder, options);
  };
  const stop = async (): Promise<void> => {
    if (child === null) return;
    const { guard, pid } = child;
    child = null;
    const ended = guard.exitCode === null ? new Promise((done) => guard.once("close", done)) : null;
    kill(pid);
    guard.stdin?.end();
    await ended;
  };
  // Another process may take the port between our asking and Redis's binding: a first start may choose again.
  for (let attempt = 1; ; attempt++) {
    try {
      await start();
      break;
    } catch (error) {
      if (attempt === 5) throw error;
      port = await freePort();
    }
  }
  t.teardown(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `redis://127.0.0.1:${port}`;
  return {
    url,
    ours: true,
    get pid() {
      return child?.pid ?? null;
    },
    stop,
    restart: async ({ keepData }) => {
      if (keepData && child !== null) await withClient(url, (client) => client.call("SAVE"));
      await stop();
      if (!keepData) rmSync(join(folder, "dump.rdb"), { force: true });
      await start();
    },
    flush: () => flushAll(url),
    forgetScripts: () => forgetScripts(url),
  };
}

async function launch(
  binary: Binary,
  port: number,
  folder: string,
  options: readonly string[],
): Promise<{ guard: ChildProcess; pid: number }> {
  const redis = [binary.path, "--port", String(port), "--bind", "127.0.0.1", "--dir", folder];
  const guard = spawn(
    "/bin/sh",
    ["-c", GUARD, "sh", ...redis, "--save", "", "--appendonly", "no", "--logfile", "redis.log", ...options],
    { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, LD_LIBRARY_PATH: binary.libraryPath } },
  );
  const pid = await new Promise<number>((done, failed) => {
    guard.once("error", failed);
    guard.stdout.once("data", (chunk: Buffer) => done(Number(chunk.toString())));
  });
  try {
    await until("Redis to answer", async () => {
      if (!isRunning(pid)) return true;
      // Whoever answers on this port must be the one that was started.
      const info = await withClient(`redis://127.0.0.1:${port}`, (client) => client.info("server"));
      if (!info.includes(`process_id:${pid}\r`)) throw new Error(`port ${port} is another server's`);
      return true;
    });
    if (!isRunning(pid)) throw new Error(`Redis ended at its start; see ${folder}/redis.log`);
  } catch (error) {
    kill(pid);
    guard.stdin.end();
    throw error;
  }
  return { guard, pid };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// ---- the server of REDIS_URL

/** A database of that server's for this test alone: test files run at once, and each flushes. */
async function external(t: TestScope, given: string): Promise<RedisServer> {
  const lockOf = (db: number): string => `lumentra-test-database-${db}`;
  const url = new URL(given);
  const db = await withClient(given, async (client) => {
    for (let candidate = 1; candidate <= DATABASES; candidate++)
      if (await client.set(lockOf(candidate), process.pid, "PX", DATABASE_LOCK_MS, "NX")) return candidate;
    throw new Error("every database of REDIS_URL is in use by a test");
  });
  t.teardown(async () => {
    await withClient(given, (client) => client.del(lockOf(db)));
  });
  url.pathname = `/${db}`;
  const flush = async (): Promise<void> => {
    await withClient(url.href, (client) => client.flushdb());
  };
  await flush();
  return {
    url: url.href,
    ours: false,
    pid: null,
    stop: async () => {},
    restart: async ({ keepData }) => {
      if (!keepData) await flush();
    },
    flush,
    forgetScripts: () => forgetScripts(given),
  };
}

// ---- finding the binary

async function binaryOr(t: TestScope): Promise<Binary | null> {
  const binary = await (found ??= findBinary());
  if (binary !== null) return binary;
  const text = `NO REDIS: the Redis half of this test DID NOT RUN (${whyNot})`;
  process.stderr.write(`\n${"!".repeat(80)}\n${text}\n${"!".repeat(80)}\n`);
  if (process.env["CI"] === "true") t.fail(text);
  else t.comment(text);
  return null;
}

async function findBinary(): Promise<Binary | null> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "redis-server");
    if (folder !== "" && existsSync(path)) return { path, libraryPath: process.env["LD_LIBRARY_PATH"] ?? "" };
  }
  const final = join(CACHE, `debian-${process.arch}`);
  if (!existsSync(final)) {
    try {
      await unpack(final);
    } catch (error) {
      whyNot = `redis-server is not on PATH, REDIS_URL is not set, and Debian's package cannot be had: ${String(error)}`;
      return null;
    }
  }
  const libraries = [join(final, "usr/lib"), join(final, "lib")]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith("-linux-gnu"));
  return { path: join(final, "usr/bin/redis-server"), libraryPath: libraries.join(delimiter) };
}

/** F2. */
async function unpack(final: string): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const own = mkdtempSync(join(CACHE, "unpacking-"));
  try {
    try {
      await run("apt-get", ["download", ...PACKAGES], { cwd: own });
    } catch {
      // A fresh image has no package lists.
      await run("apt-get", ["update"], { cwd: own });
      await run("apt-get", ["download", ...PACKAGES], { cwd: own });
    }
    const root = join(own, "root");
    mkdirSync(root);
    for (const name of readdirSync(own).filter((file) => file.endsWith(".deb")))
      await run("dpkg-deb", ["-x", join(own, name), root]);
    try {
      renameSync(root, final);
    } catch (error) {
      // The other one was first: its folder is as good.
      if (!existsSync(final)) throw error;
    }
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

// ---- small things

function connect(url: string): Redis {
  const client = new Redis(url, { retryStrategy: null, maxRetriesPerRequest: 0, protocol: 2 });
  client.on("error", () => {});
  return client;
}

async function withClient<Result>(url: string, use: (client: Redis) => Promise<Result>): Promise<Result> {
  const client = connect(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

async function flushAll(url: string): Promise<void> {
  await withClient(url, (client) => client.flushall());
}

async function forgetScripts(url: string): Promise<void> {
  await withClient(url, (client) => client.script("FLUSH"));
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineAt = performance.now() + START_TIMEOUT_MS;
  let last: unknown;
  while (performance.now() < deadlineAt) {
    try {
      if (await isSo()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`waited ${START_TIMEOUT_MS} ms for ${what}`, { cause: last });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  // A cluster's bus listens 10,000 above.
  if (address === null || typeof address === "string" || address.port > 55_000) return freePort();
  return address.port;
}
