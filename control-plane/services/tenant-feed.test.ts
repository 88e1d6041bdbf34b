import type { ClientReadableStream } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import type { WatchTenantsResponse__Output } from "#proto";
import type { LumentraError } from "#runtime/errors";
import { type RpcClient, fromServiceError } from "#runtime/rpc";
import { SystemClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { createControlPlaneMetrics } from "../server/index.js";
import { allServices, failureOf, startTestServer, streamFailure } from "../server/server.fixture.js";
import { TenantFeed } from "./tenant-feed.js";
import { BAKERY, startTestPlane } from "./services.fixture.js";

const plane = await startTestPlane(t);
const acme = await plane.reseller("acme");
const rival = await plane.reseller("rival");

/** A watcher whose messages a test takes one by one. */
class Watch {
  readonly stream: ClientReadableStream<WatchTenantsResponse__Output>;
  readonly #waiting: WatchTenantsResponse__Output[] = [];
  #take: (() => void) | null = null;
  #error: Error | null = null;
  token = "";

  constructor(t: Test, client: RpcClient, resumeToken = "") {
    this.stream = client.watch("TenantService", "WatchTenants", { resumeToken });
    t.teardown(() => this.stream.cancel());
    this.stream.on("data", (message: WatchTenantsResponse__Output) => {
      this.#waiting.push(message);
      this.#take?.();
    });
    this.stream.on("error", (error) => {
      this.#error = fromServiceError(error);
      this.#take?.();
    });
  }

  /** "changed bakery", "deleted bakery" or "synced". */
  async next(): Promise<string> {
    while (this.#waiting.length === 0) {
      if (this.#error !== null) throw this.#error;
      await new Promise<void>((resolve) => (this.#take = resolve));
    }
    const message = this.#waiting.shift()!;
    this.token = message.resumeToken;
    if (message.event === "synced") return "synced";
    if (message.event === "deleted") return `deleted ${message.deleted}`;
    const { id, suspended, resellerSuspended } = message.changed!;
    return `changed ${id}${suspended || resellerSuspended ? " suspended" : ""}`;
  }

  async until(wanted: string): Promise<string[]> {
    const seen: string[] = [];
    do seen.push(await this.next());
    while (seen.at(-1) !== wanted);
    return seen;
  }
}

function make(client: RpcClient, id: string) {
  return client.call("TenantService", "CreateTenant", { tenant: { id, config: BAKERY } });
}

function suspend(client: RpcClient, id: string, suspended = true) {
  return client.call("TenantService", "UpdateTenant", {
    tenant: { id, suspended },
    updateMask: { paths: ["suspended"] },
  });
}

void t.test("a node is told the state, then each change, whoever makes it", async (t) => {
  await make(acme.client, "a-1");
  await make(rival.client, "r-1");
  const node = plane.server.connect(await plane.server.nodeCredential("node-a"));
  const watch = new Watch(t, node);
  t.strictSame((await watch.until("synced")).sort(), ["changed a-1", "changed r-1", "synced"]);
  await make(acme.client, "a-2");
  t.equal(await watch.next(), "changed a-2");
  await suspend(rival.client, "r-1");
  t.equal(await watch.next(), "changed r-1 suspended");
  await acme.client.call("PhoneNumberService", "CreatePhoneNumber", {
    phoneNumber: { number: "+12025550111", tenantId: "a-1" },
  });
  t.equal(await watch.next(), "changed a-1", "a number is part of its tenant");
  await acme.client.call("TenantService", "DeleteTenant", { tenantId: "a-1" });
  t.equal(await watch.next(), "deleted a-1");
  await plane.operator.call("ResellerService", "UpdateReseller", {
    reseller: { id: "acme", suspended: true },
    updateMask: { paths: ["suspended"] },
  });
  t.equal(await watch.next(), "changed a-2 suspended", "so is its reseller's suspension");
  await plane.operator.call("ResellerService", "UpdateReseller", {
    reseller: { id: "acme" },
    updateMask: { paths: ["suspended"] },
  });
  t.equal(await watch.next(), "changed a-2");
});

void t.test("a watcher that comes back with its token is told what it missed, and no more", async (t) => {
  const node = plane.server.connect(await plane.server.nodeCredential("node-a"));
  await make(acme.client, "b-1");
  await make(acme.client, "b-2");
  const watch = new Watch(t, node);
  await watch.until("synced");
  const { token } = watch;
  watch.stream.cancel();
  await suspend(acme.client, "b-1");
  await acme.client.call("TenantService", "DeleteTenant", { tenantId: "b-2" });
  const back = new Watch(t, node, token);
  t.strictSame(await back.until("synced"), ["changed b-1 suspended", "deleted b-2", "synced"]);
  await suspend(acme.client, "b-1", false);
  t.equal(await back.next(), "changed b-1");
  const last = back.token;
  back.stream.cancel();
  t.strictSame(await new Watch(t, node, last).until("synced"), ["synced"], "nothing happened since");
  for (const wrong of ["x", "1.1.AAAAAAAAAAAAAAAAAAAAAA", `9${last}`]) {
    const error = await failureOf(new Watch(t, node, wrong).next());
    t.equal(error.code, "PAGE_TOKEN_INVALID");
  }
});

void t.test("a reseller is told of its own tenants alone, also when another's are deleted", async (t) => {
  await make(acme.client, "c-1");
  await make(rival.client, "s-1");
  const watch = new Watch(t, rival.client);
  const state = await watch.until("synced");
  t.ok(state.includes("changed s-1"));
  t.notOk(
    state.some((text) => / [abc]-/.test(text)),
    state.join(),
  );
  const { token } = watch;
  await suspend(acme.client, "c-1");
  await acme.client.call("TenantService", "DeleteTenant", { tenantId: "c-1" });
  await suspend(rival.client, "s-1");
  t.equal(await watch.next(), "changed s-1 suspended");
  await rival.client.call("TenantService", "DeleteTenant", { tenantId: "s-1" });
  t.equal(await watch.next(), "deleted s-1");
  const back = new Watch(t, rival.client, token);
  t.strictSame(await back.until("synced"), ["deleted s-1", "synced"]);
});

void t.test("one reader serves all watchers, and all of them hear every change", async (t) => {
  const node = plane.server.connect(await plane.server.nodeCredential("node-a"));
  const watches = Array.from({ length: 20 }, () => new Watch(t, node));
  await Promise.all(watches.map((watch) => watch.until("synced")));
  const ids = Array.from({ length: 10 }, (_, index) => `d-${index}`);
  for (const id of ids) await make(acme.client, id);
  for (const watch of watches) {
    t.strictSame(
      await watch.until("changed d-9"),
      ids.map((id) => `changed ${id}`),
    );
  }
});

void t.test("a watcher that does not read is ended; the others hear everything", async (t) => {
  const metrics = createControlPlaneMetrics();
  const { store } = plane.store;
  const clock = new SystemClock();
  const feed = new TenantFeed({
    store,
    clock,
    log: silentLogger,
    metrics,
    key: Buffer.alloc(32),
    queueMax: 20,
  });
  t.teardown(() => feed.close());
  const services = allServices({
    TenantService: { WatchTenants: (call, caller) => feed.watch(call, caller) },
  });
  const server = await startTestServer(t, { services, store });
  const bearer = await server.nodeCredential("node-a");
  const reader = new Watch(t, server.connect(bearer));
  await reader.until("synced");
  const idle = server.connect(bearer).watch("TenantService", "WatchTenants", { resumeToken: reader.token });
  t.teardown(() => idle.cancel());
  const failed = streamFailure(idle);
  await new Promise((resolve) => idle.once("data", resolve));
  idle.pause();
  const dropped = async () => (await metrics.tenantWatchersDropped.get()).values[0]?.value ?? 0;
  await make(acme.client, "big");
  // Large changes, one read by the others before the next is made, until sockets and windows are full.
  let rounds = 0;
  for (; (await dropped()) === 0 && rounds < 400; rounds += 1) {
    await acme.client.call("TenantService", "UpdateTenant", {
      tenant: { id: "big", config: { instructions: `${rounds} ${"x".repeat(7_900)}` } },
      updateMask: { paths: ["config.instructions"] },
    });
    await reader.until("changed big");
  }
  t.equal(await dropped(), 1, `after ${rounds} changes`);
  idle.resume();
  t.equal((fromServiceError(await failed) as LumentraError).code, "WATCHER_TOO_SLOW");
  await make(acme.client, "last");
  t.strictSame((await reader.until("changed last")).at(-1), "changed last");
});
