import { Client, Metadata, type ServiceDefinition, credentials } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import t from "tap";
import { type WatchTenantsResponse, allRpcOptions, services as definitions } from "#proto";
import { type LumentraError, errorTable } from "#runtime/errors";
import { fromServiceError } from "#runtime/rpc";
import { SCOPES } from "../auth/index.js";
import type { Caller } from "./caller.js";
import { allServices, failureOf, startTestServer, streamFailure } from "./server.fixture.js";

void t.test("every scope and every error that the protos name exists", async (t) => {
  const rpcs = allRpcOptions();
  t.ok(rpcs.size > 40);
  for (const [path, { scope, open, errors }] of rpcs) {
    t.ok(open ? scope === "" : (SCOPES as readonly string[]).includes(scope), `${path}: ${scope}`);
    for (const code of errors) t.ok(code in errorTable, `${path}: ${code}`);
  }
});

void t.test("a node's credential opens what its scopes say, and nothing else", async (t) => {
  const callers: Caller[] = [];
  const services = allServices({
    PlacementService: {
      ReleaseCall: async (_request, caller) => {
        callers.push(caller);
        return { released: true };
      },
    },
  });
  const { connect, nodeCredential } = await startTestServer(t, { services });
  const node = connect(await nodeCredential("node-a"));
  t.strictSame(await node.call("PlacementService", "ReleaseCall", {}), { released: true });
  const [caller] = callers;
  t.equal(caller?.nodeId, "node-a");
  t.equal(caller?.incarnation, "i1");
  t.strictSame(caller?.scope, { kind: "system" });
  t.equal(caller?.actor, "node:node-a");
  t.equal((await failureOf(node.call("NodeService", "ListNodes", {}))).code, "PERMISSION_DENIED");
  t.equal((await failureOf(node.call("TenantService", "CreateTenant", {}))).code, "PERMISSION_DENIED");
  t.equal(
    (await failureOf(node.call("TenantService", "GetTenant", {}))).code,
    "STILL_IN_USE",
    "the handler ran",
  );
});

void t.test("without a credential, or with a wrong one, nothing runs but what is open", async (t) => {
  const { connect, nodeCredential } = await startTestServer(t, { services: allServices({}) });
  const good = await nodeCredential("node-a");
  const forged = `${good.slice(0, -4)}AAAA`;
  for (const bearer of [null, "", "nonsense", "lk_short", forged, "x".repeat(3_000)]) {
    const client = connect(bearer);
    const error = await failureOf(client.call("PlacementService", "PlaceCall", {}));
    t.equal(error.code, "UNAUTHENTICATED", String(bearer).slice(0, 20));
    t.equal((await failureOf(client.call("NodeService", "RegisterNode", {}))).code, "STILL_IN_USE");
  }
});

void t.test(
  "wrong credentials from one address are limited, and the answer says when to come back",
  async (t) => {
    const { connect } = await startTestServer(t, { services: allServices({}) });
    const client = connect("nonsense");
    const errors = await Promise.all(
      Array.from({ length: 60 }, () => failureOf(client.call("PlacementService", "PlaceCall", {}))),
    );
    const limited = errors.filter(({ code }) => code === "RATE_LIMITED");
    t.ok(limited.length > 0, `${limited.length} of 60`);
    t.ok(Number(limited[0]?.detail["retryAfterMs"]) >= 1);
  },
);

void t.test(
  "a request that runs past the RPC's deadline is ended, and what it answers later is dropped",
  async (t) => {
    let release = (): void => {};
    let aborted: unknown;
    const services = allServices({
      PlacementService: {
        PlaceCall: (_request, { signal }) =>
          new Promise((resolve) => {
            release = () => resolve({ callId: "late" });
            signal.addEventListener("abort", () => (aborted = signal.reason));
          }),
      },
    });
    const { connect, nodeCredential, logged } = await startTestServer(t, { services });
    const client = connect(await nodeCredential("node-a"));
    // The client would wait longer than the 2 s of the annotation.
    const error = await failureOf(client.call("PlacementService", "PlaceCall", {}));
    t.equal(error.code, "DEADLINE_EXCEEDED");
    t.match(error.detail["requestId"], /^[\w-]{36}$/, "it was the server's answer");
    t.equal((aborted as LumentraError).code, "DEADLINE_EXCEEDED");
    release();
    t.equal((await failureOf(client.call("PlacementService", "ConfirmCall", {}))).code, "STILL_IN_USE");
    t.match(logged(), /"code":"DEADLINE_EXCEEDED"/);
  },
);

void t.test("a caller's shorter deadline counts, and its handler hears of it", async (t) => {
  let onAbort: (reason: unknown) => void = () => {};
  const aborted = new Promise((resolve) => (onAbort = resolve));
  const services = allServices({
    PlacementService: {
      PlaceCall: (_request, { signal }) =>
        new Promise(() => signal.addEventListener("abort", () => onAbort(signal.reason))),
    },
  });
  const { connect, nodeCredential } = await startTestServer(t, { services });
  const client = connect(await nodeCredential("node-a"));
  t.equal(
    (await failureOf(client.call("PlacementService", "PlaceCall", {}, { deadlineMs: 100 }))).code,
    "DEADLINE_EXCEEDED",
  );
  await aborted;
});

void t.test("more requests than the limit in a second are refused; the rest are not harmed", async (t) => {
  let count = 0;
  const services = allServices({
    PlacementService: { ReleaseCall: async () => ({ released: ++count > 0 }) },
  });
  const { connect, nodeCredential } = await startTestServer(t, { services, perSecond: 1 });
  const client = connect(await nodeCredential("node-a")); // nodes have a hundred times as many
  const sentAtMs = performance.now();
  const results = await Promise.allSettled(
    Array.from({ length: 500 }, () => client.call("PlacementService", "ReleaseCall", {})),
  );
  const begunSeconds = Math.ceil((performance.now() - sentAtMs) / 1_000);
  const fulfilled = results.filter(({ status }) => status === "fulfilled").length;
  t.equal(fulfilled, count);
  t.ok(
    fulfilled >= 100 && fulfilled <= 100 * (begunSeconds + 1),
    `${fulfilled} within ${begunSeconds} seconds`,
  );
  for (const result of results) {
    if (result.status === "rejected") t.equal((result.reason as LumentraError).code, "RATE_LIMITED");
  }
});

void t.test("a bug in a handler is INTERNAL with a request id; the log has the rest", async (t) => {
  const services = allServices({
    PlacementService: { LookUpCall: async () => Promise.reject(new Error("unused")) },
    PhoneNumberService: { GetPhoneNumber: async () => Promise.reject(new Error("unused")) },
    JournalService: { ReadJournal: () => Promise.reject(new TypeError("planted-bug of ours")) },
  });
  const { connect, nodeCredential, logged, metrics } = await startTestServer(t, { services });
  const client = connect(await nodeCredential("node-a"));
  const error = await failureOf(client.call("JournalService", "ReadJournal", {}));
  t.equal(error.code, "INTERNAL");
  t.notMatch(error.message, /planted/);
  const id = String(error.detail["requestId"]);
  const line = logged()
    .split("\n")
    .find((text) => text.includes("planted-bug"));
  t.match(line, id, "the log names the request");
  t.match(
    await metrics.registry.metrics(),
    /lumentra_rpcs_total\{method="\/lumentra.control.v1.JournalService\/ReadJournal",code="INTERNAL"\} 1/,
  );
});

void t.test("a request id that the client chose comes back; a malformed one does not", async (t) => {
  const { server } = await startTestServer(t, { services: allServices({}) });
  const client = new definitions.NodeService(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.teardown(() => client.close());
  for (const [given, expected] of [
    ["my-request.1", /^my-request\.1$/],
    ["no spaces allowed", /^[0-9a-f-]{36}$/],
  ] as const) {
    const metadata = new Metadata();
    metadata.set("x-request-id", given);
    const error = await new Promise<Error>((resolve) =>
      client.registerNode({}, metadata, (error) => resolve(fromServiceError(error))),
    );
    t.match((error as LumentraError).detail["requestId"], expected);
  }
});

void t.test(
  "draining: health says no, streams are told, what runs finishes, new requests are refused",
  async (t) => {
    let finish = (): void => {};
    let onRunning = (): void => {};
    const running = new Promise<void>((resolve) => (onRunning = resolve));
    let signalReason: unknown;
    const services = allServices({
      PlacementService: {
        PlaceCall: () =>
          new Promise((resolve) => {
            finish = () => resolve({ callId: "finished" });
            onRunning();
          }),
      },
      TenantService: {
        WatchTenants: (call, { signal }) =>
          new Promise((resolve) => {
            call.write({ synced: {} } satisfies WatchTenantsResponse);
            signal.addEventListener("abort", () => {
              signalReason = signal.reason;
              resolve();
            });
          }),
      },
    });
    const { connect, nodeCredential, server, metrics } = await startTestServer(t, { services });
    const client = connect(await nodeCredential("node-a"));
    const call = client.call("PlacementService", "PlaceCall", {});
    const stream = client.watch("TenantService", "WatchTenants", {});
    await Promise.all([running, new Promise((resolve) => stream.once("data", resolve))]);
    t.match(await metrics.registry.metrics(), /lumentra_rpc_streams\{[^}]*WatchTenants"\} 1/);
    t.equal(server.isServing, true);
    const ended = streamFailure(stream);
    const drained = server.drain(30_000);
    t.equal(server.isServing, false);
    t.equal((fromServiceError(await ended) as LumentraError).code, "CONTROL_PLANE_UNREACHABLE");
    t.equal((signalReason as LumentraError).code, "CONTROL_PLANE_UNREACHABLE");
    t.match(await metrics.registry.metrics(), /lumentra_rpc_streams\{[^}]*WatchTenants"\} 0/);
    t.equal(
      (await failureOf(client.call("PlacementService", "ReleaseCall", {}))).code,
      "CONTROL_PLANE_UNREACHABLE",
    );
    finish();
    t.equal((await call).callId, "finished");
    await drained;
  },
);

void t.test("a drain past its grace ends what still runs", async (t) => {
  let onRunning = (): void => {};
  const running = new Promise<void>((resolve) => (onRunning = resolve));
  const services = allServices({
    PlacementService: { PlaceCall: () => new Promise(() => onRunning()) },
  });
  const { connect, nodeCredential, server } = await startTestServer(t, { services });
  const failure = failureOf(connect(await nodeCredential("a")).call("PlacementService", "PlaceCall", {}));
  await running;
  await server.drain(0);
  t.equal((await failure).code, "CONTROL_PLANE_UNREACHABLE");
});

void t.test("clear text is not listened for beyond loopback", async (t) => {
  await t.rejects(
    startTestServer(t, { services: allServices({}), security: { host: "0.0.0.0", insecure: false } }),
    { code: "TLS_REQUIRED" },
  );
  await t.resolves(
    startTestServer(t, { services: allServices({}), security: { host: "0.0.0.0", insecure: true } }),
  );
});

void t.test("a message longer than the server takes is refused with a code", async (t) => {
  const { server } = await startTestServer(t, { services: allServices({}) });
  const client = new definitions.NodeService(`127.0.0.1:${server.port}`, credentials.createInsecure(), {
    "grpc.max_send_message_length": -1,
  });
  t.teardown(() => client.close());
  const error = await new Promise<Error>((resolve) =>
    client.registerNode({ bootstrapToken: "x".repeat(5_000_000) }, (error) =>
      resolve(fromServiceError(error)),
    ),
  );
  t.equal((error as LumentraError).code, "MESSAGE_TOO_LARGE");
});

void t.test("health follows what the server stands on, and reflection tells what is here", async (t) => {
  let isUp = true;
  const { server } = await startTestServer(t, {
    services: allServices({}),
    check: () => (isUp ? Promise.resolve() : Promise.reject(new Error("Postgres is gone"))),
  });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.teardown(() => client.close());
  const health = loadSync(protoPath, { enums: String });
  const { Check } = health["grpc.health.v1.Health"] as unknown as ServiceDefinition;
  const status = () =>
    new Promise<string>((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = Check!;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service: "" },
        (error, answer) => (error === null ? resolve((answer as { status: string }).status) : reject(error)),
      );
    });
  t.equal(await status(), "SERVING");
  isUp = false;
  while ((await status()) === "SERVING") await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(server.isServing, false);
  isUp = true;
  while ((await status()) !== "SERVING") await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(server.isServing, true);

  const stream = client.makeBidiStreamRequest(
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    (bytes: Buffer) => bytes,
    (bytes) => bytes.toString("latin1"),
  );
  const answered = new Promise<string>((resolve, reject) => {
    stream.on("data", resolve);
    stream.on("error", reject);
  });
  stream.write(Buffer.from([0x3a, 0])); // list_services: ""
  const list = await answered;
  stream.cancel();
  for (const name of Object.keys(allServices({}))) t.match(list, `lumentra.control.v1.${name}`);
});
