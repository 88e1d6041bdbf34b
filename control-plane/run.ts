/**
 * A control plane as a process. Serves until SIGTERM or SIGINT, then drains: health says no, streams are told, requests
 * finish within the grace. A second signal ends it now.
 */
import { Client } from "pg";
import { SystemClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Environment, ResolveOptions } from "#runtime/settings";
import { createLogger } from "#runtime/telemetry";
import { type RunningControlPlane, startControlPlane } from "./control-plane.js";
import { openDirectory } from "./directory/index.js";
import { type Settings, resolveSettings } from "./settings.js";
import { openStore, pendingMigrations } from "./store/index.js";

/** Unary requests are over by then: their own deadlines are shorter, but for a few. */
const DRAIN_GRACE_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Resolves with the exit code when it has ended: 0 drained or ended, 1 could not start, 2 a setting is wrong. */
export async function runControlPlane(
  environment: Environment,
  options: Pick<ResolveOptions, "alsoKnown"> = {},
): Promise<number> {
  let running: RunningControlPlane;
  let settings: Settings;
  try {
    settings = resolveSettings(environment, options);
    running = await open(settings);
  } catch (error) {
    process.stderr.write(`lumentra: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof LumentraError && error.code.endsWith("_INVALID") ? 2 : 1;
  }
  const { grpcPort, adminPort, log } = running;
  if (settings.LUMENTRA_READY_JSON) {
    process.stdout.write(`${JSON.stringify({ event: "listening", grpcPort, adminPort })}\n`);
  }
  const isSecure = settings.LUMENTRA_GRPC_CERT_FILE !== undefined;
  process.stderr.write(
    `Lumentra's control plane: ${settings.LUMENTRA_GRPC_HOST}:${grpcPort} (gRPC, ${isSecure ? "TLS" : "clear text"}), ` +
      `http://${settings.LUMENTRA_CONTROL_PLANE_ADMIN_HOST}:${adminPort}/healthz/ready, /metrics\n`,
  );
  return new Promise((resolve) => {
    const finish = (): void => {
      running.close().then(
        () => resolve(0),
        () => resolve(1),
      );
    };
    let signalCount = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      signalCount += 1;
      log.info({ signal }, signalCount === 1 ? "draining; a second signal ends now" : "ending now");
      if (signalCount === 1) void running.drain(DRAIN_GRACE_MS).then(finish);
      else finish();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

async function open(settings: Settings): Promise<RunningControlPlane> {
  const url = settings.DATABASE_URL;
  if (url === undefined) {
    throw new LumentraError(
      "SETTING_INVALID",
      "DATABASE_URL is required (set it, or run `npm start`, which brings a Postgres of its own)",
    );
  }
  const log = createLogger({
    level: settings.LUMENTRA_LOG_LEVEL,
    name: "control-plane",
    logPii: settings.LUMENTRA_LOG_PII,
  });
  await requireMigrated(url);
  const store = openStore({
    url,
    secretKeys: settings.LUMENTRA_SECRET_KEYS,
    connections: settings.LUMENTRA_DATABASE_CONNECTIONS,
    log,
  });
  const directory = openDirectory({
    url: settings.REDIS_URL,
    prefix: settings.LUMENTRA_REDIS_PREFIX,
    clock: new SystemClock(),
    log,
  });
  return startControlPlane({ settings, store, directory, log, processMetrics: true });
}

/** @throws LumentraError MIGRATION_FAILED, STORE_UNAVAILABLE */
async function requireMigrated(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  let pending: readonly string[];
  try {
    await client.connect();
    pending = await pendingMigrations(client);
  } catch (cause) {
    if (cause instanceof LumentraError) throw cause;
    throw new LumentraError(
      "STORE_UNAVAILABLE",
      `Postgres cannot be asked for its migrations: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    await client.end().catch(() => {});
  }
  if (pending.length === 0) return;
  throw new LumentraError(
    "MIGRATION_FAILED",
    `the database lacks ${pending.length} migrations (${pending[0]} is the first): run \`lumentra migrate\``,
  );
}
