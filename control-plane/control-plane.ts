/**
 * A control plane, put together: services over a store and a directory, the gRPC server, the admin port.
 *
 * Life: start -> serving -> drain -> close. It owns what it is given: store and directory are closed with it.
 */
import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { type Clock, type Random, type TimerHandle, SystemClock, systemRandom } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import { ApiKeys, Authenticator, ClusterKeys, NodeCredentials, RateLimits } from "./auth/index.js";
import { parseRedisUrl } from "./directory/index.js";
import type { Directory } from "./directory/index.js";
import { AdminServer, ControlServer, createControlPlaneMetrics } from "./server/index.js";
import { createAuditService } from "./services/audit-service.js";
import { createCallPlane } from "./services/call-plane.js";
import { createPhoneNumberService } from "./services/phone-number-service.js";
import { PageTokens } from "./services/requests.js";
import { createResellerService } from "./services/reseller-service.js";
import { TenantFeed } from "./services/tenant-feed.js";
import { createTenantService } from "./services/tenant-service.js";
import { createUsageService } from "./services/usage-service.js";
import type { Settings } from "./settings.js";
import type { Store } from "./store/store.js";

/** Partitions of the month, what is past its retention: the store does it when it is time. */
const MAINTAIN_MS = 3_600_000;
/** The rate limit does not wait for Redis: without it requests are counted here. */
const RATE_REDIS_TIMEOUT_MS = 200;

export interface ControlPlaneParts {
  readonly settings: Settings;
  readonly store: Store;
  readonly directory: Directory;
  readonly log: Logger;
  /** @default the system's */
  readonly clock?: Clock;
  /** @default the system's */
  readonly random?: Random;
  /** CPU and memory of the process in the metrics. @default false */
  readonly processMetrics?: boolean;
}

export interface RunningControlPlane {
  readonly grpcPort: number;
  readonly adminPort: number;
  readonly log: Logger;
  /** No new requests; streams are told, what runs may finish within the grace. */
  drain(graceMs: number): Promise<void>;
  /** Everything, store and directory too. Idempotent. */
  close(): Promise<void>;
}

/** @throws LumentraError TLS_REQUIRED, SETTING_INVALID, CONTROL_PLANE_LISTEN_FAILED, DIRECTORY_UNAVAILABLE */
export async function startControlPlane(parts: ControlPlaneParts): Promise<RunningControlPlane> {
  const { settings, store, directory, log } = parts;
  const clock = parts.clock ?? new SystemClock();
  const metrics = createControlPlaneMetrics({ processMetrics: parts.processMetrics ?? false });
  const clusterKeys = new ClusterKeys(settings.LUMENTRA_CLUSTER_KEY);
  const credentials = new NodeCredentials(clusterKeys, clock);
  const apiKeys = new ApiKeys({ store, clock, log });
  const rateRedis = openRateRedis(settings);
  const limits = new RateLimits({
    perSecond: settings.LUMENTRA_RATE_LIMIT,
    redis: rateRedis === null ? null : { client: rateRedis, prefix: settings.LUMENTRA_REDIS_PREFIX },
  });
  const pages = new PageTokens(clusterKeys.derive("page token"));
  const feed = new TenantFeed({ store, clock, log, metrics, key: clusterKeys.derive("resume token") });
  const callPlane = createCallPlane({
    store,
    directory,
    clock,
    random: parts.random ?? systemRandom,
    log,
    controlPlaneId: randomUUID(),
    credentials,
    clusterKeys,
    pages,
    bootstrapToken: settings.LUMENTRA_BOOTSTRAP_TOKEN,
    leaseTimeMs: settings.LUMENTRA_LEASE_TIME_MS,
    reservationMs: settings.LUMENTRA_RESERVATION_TIME_MS,
    resumeGraceMs: settings.LUMENTRA_RESUME_GRACE_S * 1_000,
    registry: metrics.registry,
  });
  const upkeep = new Upkeep(store, clock, log);

  let server: ControlServer | null = null;
  let admin: AdminServer | null = null;
  let closed: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    upkeep.close();
    server?.close();
    await admin?.close();
    feed.close();
    await callPlane.close();
    await apiKeys.close();
    rateRedis?.disconnect();
    await directory.close();
    await store.close();
  };
  try {
    await callPlane.start();
    server = await ControlServer.start({
      security: {
        host: settings.LUMENTRA_GRPC_HOST,
        certFile: settings.LUMENTRA_GRPC_CERT_FILE,
        keyFile: settings.LUMENTRA_GRPC_KEY_FILE,
        clientCaFile: settings.LUMENTRA_GRPC_CLIENT_CA_FILE,
        insecure: settings.LUMENTRA_INSECURE,
      },
      port: settings.LUMENTRA_GRPC_PORT,
      services: {
        ...callPlane.services,
        ResellerService: createResellerService({ store, apiKeys, pages, clock }),
        TenantService: createTenantService({ store, pages, feed }),
        PhoneNumberService: createPhoneNumberService({ store, pages }),
        UsageService: createUsageService({ store, pages, clock }),
        AuditService: createAuditService({ store, pages }),
      },
      check: () => Promise.all([store.ping(), directory.ping()]),
      authenticator: new Authenticator(apiKeys, credentials, limits),
      limits,
      clock,
      log,
      metrics,
    });
    const serving = server;
    admin = await AdminServer.start({
      host: settings.LUMENTRA_CONTROL_PLANE_ADMIN_HOST,
      port: settings.LUMENTRA_CONTROL_PLANE_ADMIN_PORT,
      registry: metrics.registry,
      isServing: () => serving.isServing,
    });
    upkeep.start();
    return {
      grpcPort: serving.port,
      adminPort: admin.port,
      log,
      drain: (graceMs) => serving.drain(graceMs),
      close: () => (closed ??= close()),
    };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

class Upkeep {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: TimerHandle | null = null;
  #isClosed = false;

  constructor(store: Store, clock: Clock, log: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    void this.#store
      .maintain()
      .catch((error: unknown) => this.#log.warn({ error }, "the store's upkeep failed; it is tried again"))
      .then(() => {
        if (!this.#isClosed) this.#timer = this.#clock.setTimer(MAINTAIN_MS, () => this.start());
      });
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}

/** Null: no Redis, or a cluster, where each control plane counts by itself. */
function openRateRedis(settings: Settings): Redis | null {
  const address = settings.REDIS_URL === undefined ? null : parseRedisUrl(settings.REDIS_URL);
  const [server] = address?.servers ?? [];
  if (address === null || address.cluster || server === undefined) return null;
  const client = new Redis({
    ...server,
    ...address.options,
    commandTimeout: RATE_REDIS_TIMEOUT_MS,
    connectTimeout: 3_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
  });
  // Its absence is the directory's to report; here requests are counted in memory meanwhile.
  client.on("error", () => {});
  return client;
}
