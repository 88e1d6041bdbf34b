/** A control server over whatever services a test gives; those it does not give fail. */
import type { Test } from "tap";
import { services as definitions } from "#proto";
import { SystemClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { RpcClient } from "#runtime/rpc";
import { type LogLevel, createLogger } from "#runtime/telemetry";
import { ApiKeys, Authenticator, ClusterKeys, NodeCredentials, RateLimits } from "../auth/index.js";
import type { Store } from "../store/store.js";
import type { Services } from "./handlers.js";
import { createControlPlaneMetrics } from "./metrics.js";
import { PatientClient } from "./patient-client.fixture.js";
import { ControlServer, type ControlServerOptions } from "./server.js";

export type Given = { readonly [Name in keyof Services]?: Partial<Services[Name]> };

/** Every RPC answers or fails: those that are not given with STILL_IN_USE, so that a test knows them again. */
export function allServices(given: Given): Services {
  const names = Object.keys(definitions).filter((name) => name.endsWith("Service")) as (keyof Services)[];
  return Object.fromEntries(
    names.map((name) => {
      const methods = Object.keys((definitions[name] as unknown as { service: object }).service);
      const refuse = (): Promise<never> =>
        Promise.reject(new LumentraError("STILL_IN_USE", "the handler ran"));
      return [
        name,
        Object.fromEntries(
          methods.map((method) => [method, (given[name] as Record<string, unknown>)?.[method] ?? refuse]),
        ),
      ];
    }),
  ) as unknown as Services;
}

export interface TestServerOptions {
  readonly services: Services;
  readonly store?: Store;
  readonly apiKeys?: ApiKeys;
  readonly perSecond?: number;
  readonly check?: () => Promise<unknown>;
  readonly security?: ControlServerOptions["security"];
  readonly logLevel?: LogLevel;
}

const noStore = new Proxy(
  {},
  { get: () => () => Promise.reject(new LumentraError("STORE_UNAVAILABLE", "none")) },
);

export async function startTestServer(t: Test, options: TestServerOptions) {
  const clock = new SystemClock();
  const lines: string[] = [];
  const log = createLogger({
    level: options.logLevel ?? "debug",
    name: "control-plane",
    destination: { write: (line) => void lines.push(line) },
  });
  const metrics = createControlPlaneMetrics();
  const nodes = new NodeCredentials(new ClusterKeys("k".repeat(32)), clock);
  const limits = new RateLimits({ perSecond: options.perSecond ?? 10_000 });
  const apiKeys = options.apiKeys ?? new ApiKeys({ store: options.store ?? (noStore as Store), clock, log });
  const server = await ControlServer.start({
    security: options.security ?? { host: "127.0.0.1", insecure: false },
    port: 0,
    services: options.services,
    check: options.check ?? (() => Promise.resolve()),
    authenticator: new Authenticator(apiKeys, nodes, limits),
    limits,
    clock,
    log,
    metrics,
  });
  const clients: RpcClient[] = [];
  t.teardown(async () => {
    for (const client of clients) client.close();
    server.close();
    await apiKeys.close();
  });
  return {
    server,
    nodes,
    metrics,
    /** Every line logged so far. */
    logged: () => lines.join(""),
    nodeCredential: async (nodeId: string) => (await nodes.issue({ nodeId, incarnation: "i1" })).credential,
    connect: (bearer: string | null): RpcClient => {
      const client = new PatientClient({
        target: `127.0.0.1:${server.port}`,
        security: { insecure: false },
        bearer: () => bearer,
      });
      clients.push(client);
      return client;
    },
  };
}

/** The error of a promise that must fail. */
export async function failureOf(promise: Promise<unknown>): Promise<LumentraError> {
  try {
    await promise;
  } catch (error) {
    return error as LumentraError;
  }
  throw new Error("it did not fail");
}

/** The error a stream ends with. */
export function streamFailure(stream: NodeJS.ReadableStream): Promise<Error> {
  return new Promise((resolve, reject) => {
    stream.on("error", resolve);
    stream.on("end", () => reject(new Error("it ended well")));
    stream.resume();
  });
}
