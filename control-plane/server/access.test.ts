/**
 * Who may call what, over every RPC there is: the handlers only say that they ran, so that what is refused is refused
 * before them. Keys are real ones in a real Postgres.
 */
import { randomUUID } from "node:crypto";
import t from "tap";
import { allRpcOptions, services as definitions } from "#proto";
import { SystemClock } from "#runtime/actor";
import { type RpcClient, type ServiceName, fromServiceError } from "#runtime/rpc";
import { silentLogger } from "#runtime/telemetry";
import {
  ApiKeys,
  NODE_SCOPES,
  OPERATOR_SCOPES,
  RESELLER_SCOPES,
  SCOPES,
  generateApiKey,
} from "../auth/index.js";
import { startTestStore } from "../store/store.fixture.js";
import { allServices, failureOf, startTestServer } from "./server.fixture.js";

const { store } = await startTestStore(t);
const clock = new SystemClock();
const apiKeys = new ApiKeys({ store, clock, log: silentLogger });
const server = await startTestServer(t, { services: allServices({}), apiKeys });
await store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
  const branding = { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" };
  const limits = { concurrentCalls: 1, tenants: 1 };
  await tx.resellers.create({ id: "acme", name: "a", branding, limits, suspended: false });
  await tx.resellers.create({ id: "late", name: "l", branding, limits, suspended: true });
});

interface KeyFacts {
  readonly resellerId?: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: Date;
}

/** Straight into the store: also keys that the API would not make. */
async function makeKey({ resellerId, scopes, expiresAt }: KeyFacts): Promise<{ key: string; id: string }> {
  const { key, prefix, hash } = generateApiKey();
  const id = randomUUID();
  const row = {
    id,
    resellerId: resellerId ?? null,
    name: "k",
    prefix,
    scopes,
    expiresAt: expiresAt ?? null,
  };
  await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.create(row, hash));
  return { key, id };
}

/** STILL_IN_USE: the handler ran. */
function ask(client: RpcClient, path: string): Promise<string> {
  const [, service, method] = /^\/lumentra\.control\.v1\.(\w+)\/(\w+)$/.exec(path)!;
  const definition = (definitions[service as ServiceName] as unknown as { service: Record<string, object> })
    .service[method!] as { requestStream: boolean; responseStream: boolean };
  const at = [service as "NodeService", method as "ListNodes"] as const;
  if (!definition.requestStream && !definition.responseStream) {
    return failureOf(client.call(...at, {})).then(({ code }) => code);
  }
  const stream = definition.requestStream ? client.connect(...at) : client.watch(...at, {});
  return new Promise((resolve) => {
    stream.on("error", (error) => resolve((fromServiceError(error) as { code?: string }).code ?? "none"));
    stream.resume();
  });
}

void t.test("each RPC runs for whoever holds its scope, and for nobody else", async (t) => {
  const reseller = { resellerId: "acme" };
  const principals: { name: string; bearer: string | null; holds: readonly string[] }[] = [
    { name: "nobody", bearer: null, holds: [] },
    { name: "operator", bearer: (await makeKey({ scopes: OPERATOR_SCOPES })).key, holds: OPERATOR_SCOPES },
    {
      name: "reseller",
      bearer: (await makeKey({ ...reseller, scopes: RESELLER_SCOPES })).key,
      holds: RESELLER_SCOPES,
    },
    {
      name: "reseller whose key claims everything",
      bearer: (await makeKey({ ...reseller, scopes: SCOPES })).key,
      holds: RESELLER_SCOPES,
    },
    {
      name: "suspended reseller",
      bearer: (await makeKey({ resellerId: "late", scopes: RESELLER_SCOPES })).key,
      holds: RESELLER_SCOPES.filter((scope) => scope.endsWith(".read")),
    },
    { name: "node", bearer: await server.nodeCredential("node-a"), holds: NODE_SCOPES },
    ...(await Promise.all(
      OPERATOR_SCOPES.map(async (scope) => ({
        name: `operator with ${scope} alone`,
        bearer: (await makeKey({ scopes: [scope] })).key,
        holds: [scope],
      })),
    )),
  ];
  for (const { name, bearer, holds } of principals) {
    const client = server.connect(bearer);
    for (const [path, { scope, open }] of allRpcOptions()) {
      const isAllowed = open || holds.includes(scope);
      const refusal = bearer === null ? "UNAUTHENTICATED" : "PERMISSION_DENIED";
      t.equal(await ask(client, path), isAllowed ? "STILL_IN_USE" : refusal, `${name}: ${path}`);
    }
    client.close();
  }
});

void t.test("a key that expired, was revoked, or differs in one character is none", async (t) => {
  const code = (key: string) => ask(server.connect(key), "/lumentra.control.v1.TenantService/GetTenant");
  const scopes = ["tenants.read"];
  const good = await makeKey({ scopes });
  t.equal(await code(good.key), "STILL_IN_USE");
  const last = good.key.at(-2);
  t.equal(
    await code(`${good.key.slice(0, -2)}${last === "A" ? "B" : "A"}${good.key.slice(-1)}`),
    "UNAUTHENTICATED",
  );
  const expired = await makeKey({ scopes, expiresAt: new Date(Date.now() - 1_000) });
  t.equal(await code(expired.key), "UNAUTHENTICATED");
  const revoked = await makeKey({ scopes });
  await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.revoke(revoked.id));
  t.equal(await code(revoked.key), "UNAUTHENTICATED");
});

void t.test("a key revoked at another control plane stops here within seconds", async (t) => {
  const { key, id } = await makeKey({ scopes: ["tenants.read"] });
  const client = server.connect(key);
  const path = "/lumentra.control.v1.TenantService/GetTenant";
  t.equal(await ask(client, path), "STILL_IN_USE");
  await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.revoke(id));
  while ((await ask(client, path)) !== "UNAUTHENTICATED")
    await new Promise((resolve) => setTimeout(resolve, 100));
  t.pass("it ended; a test that waits for ever is ended by the runner");
});

void t.test("a stream ends soon after its key was revoked", async (t) => {
  const watcher = await makeKey({ resellerId: "acme", scopes: ["tenants.read"] });
  const other = await makeKey({ resellerId: "acme", scopes: ["tenants.read"] });
  const ended = (key: string) =>
    new Promise<string>((resolve) => {
      const stream = watching.connect(key).watch("TenantService", "WatchTenants", {});
      stream.on("error", (error) => resolve((fromServiceError(error) as { code?: string }).code ?? "none"));
      stream.resume();
    });
  const opened: (() => void)[] = [];
  const services = allServices({
    TenantService: {
      WatchTenants: (_call, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve());
          opened.shift()?.();
        }),
    },
  });
  const both = Promise.all([1, 2].map(() => new Promise<void>((resolve) => opened.push(resolve))));
  const watching = await startTestServer(t, {
    services,
    apiKeys: new ApiKeys({ store, clock, log: silentLogger }),
  });
  const first = ended(watcher.key);
  const second = ended(other.key);
  await both;
  await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.revoke(watcher.id));
  t.equal(await first, "UNAUTHENTICATED");
  const still = await Promise.race([second, Promise.resolve("open")]);
  t.equal(still, "open", "another key's stream goes on");
});

void t.test("when a key was last used is written", async (t) => {
  const { key, id } = await makeKey({ scopes: ["tenants.read"] });
  await ask(server.connect(key), "/lumentra.control.v1.TenantService/GetTenant");
  await apiKeys.close(); // writes what waits
  const row = await store.transaction({ kind: "operator" }, "operator:test", (tx) => tx.apiKeys.get(id));
  t.ok(row?.lastUsedAt instanceof Date);
});
