/** Services over a real Postgres behind a real gRPC server, for tests at the wire. */
import type { Test } from "tap";
import { SystemClock } from "#runtime/actor";
import type { RpcClient } from "#runtime/rpc";
import { silentLogger } from "#runtime/telemetry";
import { ApiKeys, RESELLER_SCOPES, type ScopeName, createOperatorKey } from "../auth/index.js";
import { createControlPlaneMetrics } from "../server/index.js";
import { type Given, allServices, startTestServer } from "../server/server.fixture.js";
import { type TestStore, startTestStore } from "../store/store.fixture.js";
import { createAuditService } from "./audit-service.js";
import { createPhoneNumberService } from "./phone-number-service.js";
import { PageTokens } from "./requests.js";
import { createResellerService } from "./reseller-service.js";
import { TenantFeed } from "./tenant-feed.js";
import { createTenantService } from "./tenant-service.js";
import { createUsageService } from "./usage-service.js";

export interface TestPlane {
  readonly store: TestStore;
  readonly server: Awaited<ReturnType<typeof startTestServer>>;
  readonly operatorKey: string;
  /** With every scope of an operator. */
  readonly operator: RpcClient;
  /** A new reseller with a key that holds these scopes. */
  reseller(id: string, scopes?: readonly ScopeName[]): Promise<{ key: string; client: RpcClient }>;
}

export const BAKERY = { name: "Bakery", industry: "bakery", timeZone: "Europe/Paris", agentName: "Zoe" };

export async function startTestPlane(t: Test, given: Given = {}): Promise<TestPlane> {
  const test = await startTestStore(t);
  const { store } = test;
  const clock = new SystemClock();
  const apiKeys = new ApiKeys({ store, clock, log: silentLogger });
  const pages = new PageTokens(Buffer.alloc(32, 7));
  const feed = new TenantFeed({
    store,
    clock,
    log: silentLogger,
    metrics: createControlPlaneMetrics(),
    key: Buffer.alloc(32, 8),
  });
  // Registered after the store's, so that it runs before it.
  t.teardown(() => feed.close());
  const services = allServices({
    ResellerService: createResellerService({ store, apiKeys, pages, clock }),
    TenantService: createTenantService({ store, pages, feed }),
    PhoneNumberService: createPhoneNumberService({ store, pages }),
    UsageService: createUsageService({ store, pages, clock }),
    AuditService: createAuditService({ store, pages }),
    ...given,
  });
  const server = await startTestServer(t, { services, apiKeys });
  const operatorKey = await createOperatorKey(store);
  const operator = server.connect(operatorKey);
  return {
    store: test,
    server,
    operatorKey,
    operator,
    async reseller(id, scopes = RESELLER_SCOPES) {
      await operator.call("ResellerService", "CreateReseller", { reseller: { id, name: id } });
      const { secret: key } = await operator.call("ResellerService", "CreateApiKey", {
        resellerId: id,
        name: "test",
        scopes: [...scopes],
      });
      return { key, client: server.connect(key) };
    },
  };
}
