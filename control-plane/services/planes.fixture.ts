/** Control planes over one store and one directory (or one view of it each), as processes would be: nothing is shared but those. */
import { randomUUID } from "node:crypto";
import type { ClientReadableStream } from "@grpc/grpc-js";
import { Client } from "pg";
import type { Test } from "tap";
import { tenantSchema } from "#actors/tenants";
import { SystemClock, seededRandom } from "#runtime/actor";
import { type RpcClient, codeOf, fromServiceError } from "#runtime/rpc";
import { createLogger, silentLogger } from "#runtime/telemetry";
import {
  ApiKeys,
  Authenticator,
  ClusterKeys,
  NodeCredentials,
  RateLimits,
  createOperatorKey,
  generateApiKey,
} from "../auth/index.js";
import { type Directory, MemoryDirectory, RedisDirectory } from "../directory/index.js";
import { startRedis } from "../directory/redis-server.fixture.js";
import { ControlServer, createControlPlaneMetrics } from "../server/index.js";
import { PatientClient } from "../server/patient-client.fixture.js";
import { allServices } from "../server/server.fixture.js";
import { type TestStore, startTestStore } from "../store/store.fixture.js";
import type { Store, StoredTenantConfig } from "../store/store.js";
import { type CallPlane, type CallPlaneOptions, createCallPlane } from "./call-plane.js";
import { TestNode, type TestNodeOptions } from "./node.fixture.js";
import { PageTokens } from "./requests.js";

export const BOOTSTRAP_TOKEN = "a bootstrap token";
/** Short, so that what dies is missed soon; long enough for a machine that is busy with other tests. */
const LEASE_TIME_MS = 1_500;
const RESUME_GRACE_MS = 500;

export interface ControlPlane {
  readonly port: number;
  readonly plane: CallPlane;
  readonly client: (bearer: string | null) => RpcClient;
  /** As a process that is told to stop. */
  readonly stop: () => Promise<void>;
  readonly isStopped: () => boolean;
}

export interface Planes {
  readonly planes: readonly ControlPlane[];
  /** An operator's key in clear. */
  readonly operatorKey: string;
  readonly node: (
    nodeId: string,
    options?: Partial<TestNodeOptions> & { readonly at?: number },
  ) => Promise<TestNode>;
  readonly logged: () => string;
}

/** `directories` makes one control plane per directory. */
export async function startPlanes(
  t: Test,
  options: {
    readonly store: Store;
    readonly directories: readonly Directory[];
    readonly overrides?: Partial<CallPlaneOptions>;
  },
): Promise<Planes> {
  const { store, directories, overrides = {} } = options;
  const clock = new SystemClock();
  const lines: string[] = [];
  const log = createLogger({
    level: "debug",
    name: "test",
    destination: { write: (line) => void lines.push(line) },
  });
  const clusterKeys = new ClusterKeys("a cluster key of many characters");
  const credentials = new NodeCredentials(clusterKeys, clock);
  const operatorKey = await createOperatorKey(store);
  const planes = await Promise.all(
    directories.map(async (directory, index): Promise<ControlPlane> => {
      const metrics = createControlPlaneMetrics();
      const plane = createCallPlane({
        store,
        directory,
        clock,
        random: seededRandom(index),
        log,
        controlPlaneId: `control-plane-${index}`,
        credentials,
        clusterKeys,
        pages: new PageTokens(clusterKeys.derive("page tokens")),
        bootstrapToken: BOOTSTRAP_TOKEN,
        leaseTimeMs: LEASE_TIME_MS,
        reservationMs: 5_000,
        resumeGraceMs: RESUME_GRACE_MS,
        reportIntervalMs: 100,
        sweepMs: 100,
        registry: metrics.registry,
        ...overrides,
      });
      const apiKeys = new ApiKeys({ store, clock, log });
      const limits = new RateLimits({ perSecond: 10_000 });
      await plane.start();
      const server = await ControlServer.start({
        security: { host: "127.0.0.1", insecure: false },
        port: 0,
        services: allServices(plane.services),
        check: () => Promise.resolve(),
        authenticator: new Authenticator(apiKeys, credentials, limits),
        limits,
        clock,
        log,
        metrics,
      });
      const clients: RpcClient[] = [];
      let isStopped = false;
      const stop = async (): Promise<void> => {
        if (isStopped) return;
        isStopped = true;
        await plane.close();
        server.close();
        await apiKeys.close().catch(() => {});
      };
      t.teardown(async () => {
        for (const client of clients) client.close();
        await stop();
      });
      return {
        port: server.port,
        plane,
        stop,
        isStopped: () => isStopped,
        client: (bearer) => {
          const client = new PatientClient({
            target: `127.0.0.1:${server.port}`,
            security: { insecure: false },
            bearer: () => bearer,
          });
          clients.push(client);
          return client;
        },
      };
    }),
  );
  return {
    planes,
    operatorKey,
    logged: () => lines.join(""),
    node: async (nodeId, { at = 0, ...nodeOptions } = {}) => {
      const node = await TestNode.start({
        port: planes[at]!.port,
        nodeId,
        bootstrapToken: BOOTSTRAP_TOKEN,
        ...nodeOptions,
      });
      t.teardown(() => node.kill());
      // Two looks later every placer has seen it.
      const looks = planes.map(({ plane }) => plane.placer.stats.refreshes + 2);
      await until("the placers to see the node", () =>
        planes.every(
          ({ plane, isStopped }, index) => isStopped() || plane.placer.stats.refreshes >= looks[index]!,
        ),
      );
      return node;
    },
  };
}

export type DirectoryKind = "memory" | "redis";

export interface TestDirectories {
  /** One per control plane. */
  readonly directories: readonly Directory[];
  /** All that it knew is forgotten. */
  readonly loseMemory: () => Promise<void>;
}

/** How long nothing is granted after a loss of memory; nodes of the tests report every 100 ms. */
const REBUILD_TEST_MS = 1_000;

/** `count` views of one directory. Null: there is no Redis to be had, which was said. */
export async function openDirectories(
  t: Test,
  kind: DirectoryKind,
  count: number,
): Promise<TestDirectories | null> {
  const clock = new SystemClock();
  if (kind === "memory") {
    const directory = new MemoryDirectory({ clock, rebuildMs: 0 });
    t.teardown(() => directory.close());
    return {
      directories: Array.from({ length: count }, () => directory),
      loseMemory: async () => directory.forget(),
    };
  }
  const redis = await startRedis(t);
  if (redis === null) return null;
  await redis.flush();
  const prefix = `planes-${process.pid}-${Math.floor(clock.unixMs())}`;
  const open = (): RedisDirectory =>
    new RedisDirectory({ url: redis.url, prefix, log: silentLogger, rebuildMs: REBUILD_TEST_MS });
  const directories = Array.from({ length: count }, open);
  t.teardown(() => Promise.all(directories.map((directory) => directory.close())).then(() => {}));
  const isRebuilding = (): Promise<boolean> =>
    directories[0]!.confirm("none", 0, "none", 1).then(
      () => false,
      (error: unknown) => codeOf(error) === "DIRECTORY_REBUILDING",
    );
  await until("a Redis that nobody has told anything", async () => !(await isRebuilding()));
  return { directories, loseMemory: () => redis.flush() };
}

/** A Postgres for a test file; `fresh` empties it, for the next test. */
export async function openStores(t: Test): Promise<TestStore & { fresh(): Promise<Store> }> {
  const opened = await startTestStore(t);
  const fresh = async (): Promise<Store> => {
    const owner = new Client({ connectionString: opened.ownerUrl });
    await owner.connect();
    try {
      // Tenants, keys and the like hang on resellers; what has one row for ever (the change number) stays.
      await owner.query(`TRUNCATE lumentra.resellers, lumentra.call_ids, lumentra.calls, lumentra.journal_events,
        lumentra.usage_days, lumentra.audit_log CASCADE`);
    } finally {
      await owner.end();
    }
    return opened.store;
  };
  return { ...opened, fresh };
}

export const RESELLER = "acme";
const OTHER_RESELLER = "zenith";

/** Two resellers; acme has the tenants dentist (of the given cap) and plumber, zenith has florist. */
export async function seed(store: Store, caps: { tenant?: number; reseller?: number } = {}): Promise<void> {
  await store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
    for (const id of [RESELLER, OTHER_RESELLER])
      await tx.resellers.create({
        id,
        name: id,
        branding: { displayName: id, logoUrl: "", primaryColor: "", supportEmail: "" },
        limits: { concurrentCalls: caps.reseller ?? 1_000, tenants: 10 },
        suspended: false,
      });
    for (const [id, resellerId] of [
      ["dentist", RESELLER],
      ["plumber", RESELLER],
      ["florist", OTHER_RESELLER],
    ] as const)
      await tx.tenants.create({ id, resellerId, suspended: false, config: configOf(caps.tenant ?? 1_000) });
  });
}

export function configOf(concurrentCalls: number): StoredTenantConfig {
  const {
    id: _id,
    numbers: _numbers,
    ...config
  } = tenantSchema.parse({
    id: "any",
    name: "A business",
    industry: "dentistry",
    numbers: ["+12025550101"],
    timeZone: "America/New_York",
    agentName: "Ada",
    limits: { concurrentCalls },
  });
  return config;
}

/** A key of a reseller with these scopes, in clear. */
export async function resellerKey(
  store: Store,
  resellerId: string,
  scopes: readonly string[],
): Promise<string> {
  const { key, prefix, hash } = generateApiKey();
  const row = { id: randomUUID(), resellerId, name: "test", prefix, scopes, expiresAt: null };
  await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.create(row, hash));
  return key;
}

/** What a watcher is told, as it comes; failures by their code. */
export class Watched<Message> {
  readonly heard: Message[] = [];
  how: string | null = null;
  readonly #stream: ClientReadableStream<Message>;

  constructor(stream: ClientReadableStream<Message>) {
    this.#stream = stream;
    stream.on("data", (message: Message) => this.heard.push(message));
    stream.on("end", () => {
      this.how ??= "ended";
    });
    stream.on("error", (error) => {
      this.how = codeOf(fromServiceError(error));
    });
  }

  async ends(): Promise<string> {
    await until("the watch to end", () => this.how !== null);
    return this.how!;
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

const LOOKS_MAX = 3_000;

/** Waits until something is so that nobody says when it is: looks are counted, as a process that stands still takes none. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let look = 0; !(await isSo()); look++) {
    if (look === LOOKS_MAX) throw new Error(`not within ${LOOKS_MAX} looks: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
