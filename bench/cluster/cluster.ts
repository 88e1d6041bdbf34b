/**
 * A deployment on one machine: Postgres, control planes and nodes as processes, a balancer for webhooks before the
 * nodes, and an operator's client. Redis is the caller's to bring; without one there is one control plane.
 */
import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createOperatorKey } from "#control-plane/auth";
import {
  type EmbeddedPostgres,
  type Store,
  migrate,
  openStore,
  startEmbeddedPostgres,
} from "#control-plane/store";
import { LumentraError } from "#runtime/errors";
import { RpcClient } from "#runtime/rpc";
import { createLogger } from "#runtime/telemetry";
import {
  type Balancer,
  type ControlPlaneProcess,
  type NodeProcess,
  UNPRESSED,
  makeScratchFolder,
  startBalancer,
  startControlPlaneProcess,
  startNodeProcess,
} from "#bench/processes";

const READY_LOOK_MS = 100;
/** A minute. */
const READY_LOOKS_MAX = 600;
/** A standstill of two seconds outlasts a connection's patience; nobody is there yet to try again. */
const STORE_ATTEMPTS_MAX = 5;

export interface ClusterOptions {
  /** @default 2 */
  readonly nodes?: number;
  /** More than one need `redisUrl`. @default 2 with Redis, else 1 */
  readonly controlPlanes?: number;
  readonly redisUrl?: string;
  /** The emulators' variables. */
  readonly providers: Readonly<Record<string, string>>;
  readonly nodeEnvironment?: Readonly<Record<string, string>>;
  /** Of one node, on top of that. */
  readonly environmentOf?: (index: number) => Readonly<Record<string, string>>;
  /** See NodeProcessOptions. */
  readonly nodeEntry?: URL;
  readonly controlPlaneEnvironment?: Readonly<Record<string, string>>;
  readonly showLog?: boolean;
  /** Before the nodes start: what it creates they know from their first moment on. */
  readonly prepare?: (operator: RpcClient) => Promise<void>;
}

export interface Cluster {
  readonly nodes: readonly NodeProcess[];
  readonly controlPlanes: readonly ControlPlaneProcess[];
  readonly postgres: EmbeddedPostgres;
  readonly store: Store;
  /** As operator, over all control planes. */
  readonly operator: RpcClient;
  /** Where carriers send webhooks. */
  readonly balancer: Balancer;
  /** What each process logged last, in a few words of its own. */
  logs(): readonly string[];
  /** A client with another key. */
  client(key: string): RpcClient;
  stop(): Promise<void>;
}

/** A tenant's configuration as little as will do, in English, for tests and benches. */
export function plainTenant(name: string, concurrentCalls = 1_000): Record<string, unknown> {
  return {
    name,
    industry: "dental practice",
    timeZone: "America/New_York",
    agentName: "Ava",
    greeting: "Hello, this is {agent} at {business}.",
    facts: { Parking: "There is free parking behind the building." },
    limits: { concurrentCalls },
  };
}

async function createKey(store: Store): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await createOperatorKey(store, "cluster");
    } catch (error) {
      const isAway = error instanceof LumentraError && error.code === "STORE_UNAVAILABLE";
      if (!isAway || attempt === STORE_ATTEMPTS_MAX) throw error;
    }
  }
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { redisUrl, providers } = options;
  const controlPlaneCount = options.controlPlanes ?? (redisUrl === undefined ? 1 : 2);
  const scratch = await makeScratchFolder("cluster");
  const folder = scratch.path;
  await chmod(folder, 0o711); // as root, the embedded Postgres is nobody's
  const stops: (() => Promise<unknown> | void)[] = [() => scratch.remove()];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const log = createLogger({ level: "silent", name: "cluster" });
    const postgres = await startEmbeddedPostgres({ directory: join(folder, "postgres"), durable: false });
    stops.push(() => postgres.stop());
    const { ownerUrl, appUrl } = postgres;
    await migrate({ ownerUrl, appUrl, log });
    const secretKeys = `k1:${randomBytes(32).toString("base64")}`;
    const store = openStore({ url: appUrl, secretKeys, log });
    stops.push(() => store.close());
    const operatorKey = await createKey(store);

    const shared = { LUMENTRA_BOOTSTRAP_TOKEN: randomBytes(24).toString("base64url") };
    const startControlPlane = () =>
      startControlPlaneProcess({
        showLog: options.showLog ?? false,
        environment: {
          ...shared,
          LUMENTRA_CLUSTER_KEY: clusterKey,
          LUMENTRA_SECRET_KEYS: secretKeys,
          DATABASE_URL: appUrl,
          ...(redisUrl !== undefined && { REDIS_URL: redisUrl }),
          LUMENTRA_RATE_LIMIT: "100000",
          LUMENTRA_LOG_LEVEL: "warn",
          ...options.controlPlaneEnvironment,
        },
      });
    const clusterKey = randomBytes(32).toString("base64");
    const controlPlanes = await Promise.all(Array.from({ length: controlPlaneCount }, startControlPlane));
    stops.push(() => Promise.all(controlPlanes.map((one) => one.stop())));
    const target = controlPlanes.map(({ address }) => address).join(",");

    const client = (key: string): RpcClient => {
      const rpc = new RpcClient({ target, security: { insecure: false }, bearer: () => key });
      stops.push(() => rpc.close());
      return rpc;
    };
    const operator = client(operatorKey);
    await options.prepare?.(operator);

    const balancer = await startBalancer();
    stops.push(() => balancer.close());
    const nodes = await Promise.all(
      Array.from({ length: options.nodes ?? 2 }, (_, index) =>
        startNodeProcess({
          showLog: options.showLog ?? false,
          ...(options.nodeEntry !== undefined && { entry: options.nodeEntry }),
          environment: {
            ...providers,
            ...shared,
            LUMENTRA_CONTROL_PLANE: target,
            LUMENTRA_NODE_ID: `node-${index + 1}`,
            LUMENTRA_WEBHOOK_URL: balancer.url,
            LUMENTRA_SHARDS: "1",
            LUMENTRA_SPARE_SHARD: "false",
            LUMENTRA_LOG_LEVEL: "warn",
            // Everything shares one machine here.
            ...UNPRESSED,
            ...options.nodeEnvironment,
            ...options.environmentOf?.(index),
          },
        }),
      ),
    );
    stops.push(() => Promise.all(nodes.map((one) => one.stop())));
    await Promise.all(nodes.map(ready));
    balancer.setBackends(nodes.map(({ edgeUrl }) => new URL(edgeUrl).host));

    return {
      nodes,
      controlPlanes,
      postgres,
      store,
      operator,
      balancer,
      logs: () => [
        ...nodes.map((node, index) => `node ${index}: ${lastLogged(node)}`),
        ...controlPlanes.map((plane, index) => `control plane ${index}: ${lastLogged(plane)}`),
      ],
      client,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Without what it says to people at its start. */
export function lastLogged({ logTail }: { readonly logTail: string }): string {
  const lines = logTail.split("\n").filter((line) => line.startsWith("{"));
  return lines.join("\n") || "nothing";
}

/** A node serves once a control plane has it and its tenants are known, which on a busy machine is later than its port. */
async function ready(node: NodeProcess): Promise<void> {
  for (let attempt = 0; attempt < READY_LOOKS_MAX; attempt += 1) {
    const answer = await fetch(`${node.adminUrl}/healthz/ready`);
    const { processes = [] } = (await answer.json()) as {
      processes?: readonly { readonly ready: boolean }[];
    };
    if (answer.ok && processes.every((one) => one.ready)) return;
    await sleep(READY_LOOK_MS);
  }
  throw new Error(`a node was not ready in time: ${node.logTail}`);
}
