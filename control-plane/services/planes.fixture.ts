/** Control planes over one store and one directory (or one view of it each), as processes would be: nothing is shared but those. */
import type { Test } from "tap";
import { SystemClock, seededRandom } from "#runtime/actor";
import { RpcClient } from "#runtime/rpc";
import { createLogger } from "#runtime/telemetry";
import {
  ApiKeys,
  Authenticator,
  ClusterKeys,
  NodeCredentials,
  RateLimits,
  createOperatorKey,
} from "../auth/index.js";
import type { Directory } from "../directory/index.js";
import { ControlServer, createControlPlaneMetrics } from "../server/index.js";
import { allServices } from "../server/server.fixture.js";
import type { Store } from "../store/store.js";
import { type CallPlane, type CallPlaneOptions, createCallPlane } from "./call-plane.js";
import { TestNode, type TestNodeOptions } from "./node.fixture.js";
import { PageTokens } from "./requests.js";

export const BOOTSTRAP_TOKEN = "a bootstrap token";
/** Short, so that what dies is missed soon; long enough for a machine that is busy with other tests. */
export const LEASE_TIME_MS = 1_500;
export const RESUME_GRACE_MS = 500;

export interface ControlPlane {
  readonly port: number;
  readonly plane: CallPlane;
  readonly client: (bearer: string | null) => RpcClient;
  /** As a process that is told to stop. */
  readonly stop: () => Promise<void>;
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
        client: (bearer) => {
          const client = new RpcClient({
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
      return node;
    },
  };
}

/** Waits until something is so that nobody says when it is. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
