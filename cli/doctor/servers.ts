/** Checks of the servers we stand on: Postgres, Redis, a control plane that is up. */
import { Redis } from "ioredis";
import { Client } from "pg";
import { RpcClient } from "#runtime/rpc";
import { type Check, fail, ok, warn } from "./check.js";
import { clockFinding } from "./reach.js";

const POSTGRES_MAJOR_MIN = 15;
const REDIS_MAJOR_MIN = 6;
const CONNECT_TIMEOUT_MS = 3_000;

export function databaseChecks(url: string | undefined): readonly Check[] {
  if (url === undefined) {
    const embedded = ok("DATABASE_URL is not set: `lumentra up` brings its own Postgres");
    return [{ name: "Postgres", run: () => Promise.resolve(embedded) }];
  }
  return [
    {
      name: "Postgres",
      run: () =>
        withPostgres(url, async (client) => {
          const { rows } = await client.query<{ version: string; superuser: boolean; bypass: boolean }>(
            `SELECT current_setting('server_version') AS version, rolsuper AS superuser, rolbypassrls AS bypass
               FROM pg_roles WHERE rolname = current_user`,
          );
          const { version, superuser, bypass } = rows[0]!;
          if (Number.parseInt(version, 10) < POSTGRES_MAJOR_MIN) {
            return fail(`version ${version}`, `Use Postgres ${POSTGRES_MAJOR_MIN} or later.`);
          }
          return superuser || bypass
            ? fail(
                `version ${version}, but its role can see past row-level security`,
                "Let DATABASE_URL log in as lumentra_app, which `lumentra migrate` makes.",
              )
            : ok(`version ${version}, its role is bound by row-level security`);
        }),
    },
    {
      name: "Postgres' clock",
      run: () =>
        withPostgres(url, (client) =>
          clockFinding("Postgres", async () => {
            const { rows } = await client.query<{ ms: string }>(
              "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms",
            );
            return Number(rows[0]!.ms);
          }),
        ),
    },
  ];
}

async function withPostgres<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks after it was made says so here, and would end the process otherwise.
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export function redisChecks(url: string | undefined): readonly Check[] {
  if (url === undefined) {
    const memory = ok("REDIS_URL is not set: one control plane keeps the directory in memory");
    return [{ name: "Redis", run: () => Promise.resolve(memory) }];
  }
  return [
    {
      name: "Redis",
      run: () =>
        withRedis(url, async (redis) => {
          const info = await redis.info();
          const version = /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown";
          const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? "noeviction";
          if (Number.parseInt(version, 10) < REDIS_MAJOR_MIN) {
            return fail(`version ${version}`, `Use Redis ${REDIS_MAJOR_MIN} or later.`);
          }
          return policy === "noeviction"
            ? ok(`version ${version}`)
            : warn(
                `version ${version} with ${policy}`,
                "Set maxmemory-policy noeviction: leases must not be evicted.",
              );
        }),
    },
    {
      name: "Redis' clock",
      run: () =>
        withRedis(url, (redis) =>
          clockFinding("Redis", async () => {
            const [seconds, micros] = await redis.time();
            return Number(seconds) * 1_000 + Number(micros) / 1_000;
          }),
        ),
    },
  ];
}

async function withRedis<Result>(url: string, work: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
  });
  redis.on("error", () => {});
  try {
    await redis.connect();
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** Whether a control plane answers; not being up is no fault before the first start. */
export function controlPlaneCheck(address: string, caFile: string | undefined, insecure: boolean): Check {
  return {
    name: "control plane",
    run: async () => {
      const rpc = new RpcClient({ target: address, security: { caFile, insecure } });
      try {
        await rpc.waitForReady(CONNECT_TIMEOUT_MS);
        return ok(`${address} answers`);
      } catch {
        return warn(
          `nobody answers at ${address}`,
          "Start it with `lumentra up` or `lumentra control-plane`.",
        );
      } finally {
        rpc.close();
      }
    },
  };
}

export async function servesHttp(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) })).ok;
  } catch {
    return false;
  }
}
