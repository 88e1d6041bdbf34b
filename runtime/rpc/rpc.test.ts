import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, type ServerCredentials, status } from "@grpc/grpc-js";
import { generate } from "selfsigned";
import t, { type Test } from "tap";
import { type TenantServiceHandlers, services } from "#proto";
import { type ErrorCode, LumentraError, errorTable } from "#runtime/errors";
import { serverCredentials } from "./credentials.js";
import { RpcClient, fromServiceError, toStatus, violated } from "./index.js";

type GetTenant = TenantServiceHandlers["GetTenant"];

/** A real server with one handler; its port. */
async function serve(t: Test, getTenant: GetTenant, credentials: ServerCredentials): Promise<number> {
  const server = new Server();
  server.addService(services.TenantService.service, { GetTenant: getTenant });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
  t.teardown(() => server.forceShutdown());
  return port;
}

const CLEAR = serverCredentials({ host: "127.0.0.1", insecure: false });

function connect(
  t: Test,
  port: number | string,
  options: Partial<ConstructorParameters<typeof RpcClient>[0]> = {},
): RpcClient {
  const client = new RpcClient({
    target: typeof port === "number" ? `127.0.0.1:${port}` : port,
    security: { insecure: false },
    ...options,
  });
  t.teardown(() => client.close());
  return client;
}

function caught(promise: Promise<unknown>): Promise<LumentraError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: LumentraError) => error,
  );
}

void t.test("every code of the table crosses the wire as itself, with its gRPC status", async (t) => {
  let code: ErrorCode = "INTERNAL";
  const port = await serve(
    t,
    (_call, answer) => answer(toStatus(new LumentraError(code, "said"), "r1"), null),
    CLEAR,
  );
  const client = connect(t, port);
  for (code of Object.keys(errorTable) as ErrorCode[]) {
    const error = await caught(client.call("TenantService", "GetTenant", { tenantId: "x" }));
    t.equal(error.code, code);
    t.equal(error.detail["requestId"], "r1");
    t.equal((error.cause as { code: number }).code, status[errorTable[code].grpcStatus]);
  }
});

void t.test("details cross: violations, when to come back, facts; nothing else does", async (t) => {
  const port = await serve(
    t,
    (_call, answer) => {
      const error = new LumentraError("RATE_LIMITED", "slow down", {
        cause: new Error("planted-cause"),
        detail: {
          violations: [{ field: "tenant.id", description: "must be short" }],
          retryAfterMs: 1_500,
          info: { limit: "50" },
          pii: { from: "planted-number" },
          statement: "planted-statement",
        },
      });
      answer(toStatus(error, "r2"), null);
    },
    CLEAR,
  );
  const error = await caught(connect(t, port).call("TenantService", "GetTenant", { tenantId: "x" }));
  t.equal(error.message, "slow down");
  t.strictSame(error.detail, {
    info: { limit: "50" },
    violations: [{ field: "tenant.id", description: "must be short" }],
    retryAfterMs: 1_500,
    requestId: "r2",
  });
  t.notMatch(JSON.stringify(error.cause), /planted/);
});

void t.test("what stands behind a server is not described to its clients", async (t) => {
  const port = await serve(
    t,
    ({ request }, answer) => {
      const errors: Record<string, unknown> = {
        store: new LumentraError("STORE_UNAVAILABLE", "planted: password of db.internal"),
        bug: new TypeError("planted is not a function"),
        thrown: "planted",
      };
      answer(toStatus(errors[request.tenantId], ""), null);
    },
    CLEAR,
  );
  const client = connect(t, port);
  for (const tenantId of ["store", "bug", "thrown"]) {
    const error = await caught(client.call("TenantService", "GetTenant", { tenantId }));
    t.equal(error.code, tenantId === "store" ? "STORE_UNAVAILABLE" : "INTERNAL");
    t.notMatch(`${error.message} ${JSON.stringify(error.cause)}`, /planted/);
  }
});

void t.test("several wrong fields are one error that names the first", async (t) => {
  const error = violated([
    { field: "a", description: "must be b" },
    { field: "c", description: "must be d" },
  ]);
  t.equal(error.code, "REQUEST_INVALID");
  t.equal(error.message, "a must be b (and 1 more)");
});

void t.test("nobody there, too long, cancelled: each has a code of its own", async (t) => {
  const unreachable = connect(t, 1);
  t.equal(
    (await caught(unreachable.call("TenantService", "GetTenant", {}))).code,
    "CONTROL_PLANE_UNREACHABLE",
  );
  t.equal((await caught(unreachable.waitForReady(300))).code, "CONTROL_PLANE_UNREACHABLE");

  let arrived = (): void => {};
  const port = await serve(t, () => arrived(), CLEAR); // never answers
  const client = connect(t, port);
  t.equal(
    (await caught(client.call("TenantService", "GetTenant", {}, { deadlineMs: 50 }))).code,
    "DEADLINE_EXCEEDED",
  );
  const abort = new AbortController();
  const reason = new Error("enough");
  arrived = () => abort.abort(reason);
  t.equal(await caught(client.call("TenantService", "GetTenant", {}, { signal: abort.signal })), reason);
  t.equal(
    await caught(client.call("TenantService", "GetTenant", {}, { signal: AbortSignal.abort(reason) })),
    reason,
  );
  const large = await caught(client.call("TenantService", "GetTenant", { tenantId: "x".repeat(5_000_000) }));
  t.equal(large.code, "MESSAGE_TOO_LARGE");
  t.equal(fromServiceError("word").message, "word");
});

void t.test("the bearer is asked before each call", async (t) => {
  const seen: unknown[] = [];
  const port = await serve(
    t,
    (call, answer) => {
      seen.push(call.metadata.get("authorization")[0]);
      answer(null, {});
    },
    CLEAR,
  );
  const bearers = ["one", null, "two"];
  const client = connect(t, port, { bearer: () => bearers.shift() ?? null });
  for (let count = 0; count < 3; count += 1) await client.call("TenantService", "GetTenant", {});
  t.strictSame(seen, ["Bearer one", undefined, "Bearer two"]);
});

void t.test("clear text is for loopback, or for those who insist", async (t) => {
  for (const host of ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"]) {
    t.doesNotThrow(() => serverCredentials({ host, insecure: false }), host);
  }
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "control.example", "127.0.0.1.example"]) {
    t.throws(() => serverCredentials({ host, insecure: false }), { code: "TLS_REQUIRED" }, host);
    t.doesNotThrow(() => serverCredentials({ host, insecure: true }), host);
    const target = host.includes(":") ? `[${host}]:50051` : `${host}:50051`;
    t.throws(
      () => new RpcClient({ target: `http://${target}`, security: { insecure: false } }),
      { code: "TLS_REQUIRED" },
      target,
    );
  }
});

void t.test("a target says where, and whether in clear text", async (t) => {
  const { parseTarget } = await import("./credentials.js");
  const read = (text: string, insecure = false) => {
    const { address, isSecure } = parseTarget(text, { insecure });
    return `${address} ${isSecure ? "tls" : "clear"}`;
  };
  t.equal(read("127.0.0.1:50051"), "ipv4:127.0.0.1:50051 clear");
  t.equal(read("localhost"), "dns:///localhost:50051 clear");
  t.equal(read("https://localhost:1"), "dns:///localhost:1 tls");
  t.equal(read("control.example:1"), "dns:///control.example:1 tls");
  t.equal(read("control.example:1", true), "dns:///control.example:1 clear");
  t.equal(read("https://control.example", true), "dns:///control.example:443 tls");
  t.equal(read("127.0.0.1:1, 127.0.0.1:2"), "ipv4:127.0.0.1:1,127.0.0.1:2 clear");
  t.equal(read("[::1]:1,[::1]:2"), "ipv6:[::1]:1,[::1]:2 clear");
  for (const wrong of [
    "",
    "a b",
    "http://x/y",
    "a.example:1,b.example:2",
    "http://127.0.0.1:1,https://127.0.0.1:2",
  ])
    t.throws(() => read(wrong), { code: "SETTING_INVALID" }, wrong);
});

void t.test("over TLS: the server's name is checked, and a client may have to show who it is", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "lumentra-tls-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const pems = await generate([{ name: "commonName", value: "localhost" }], {
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  const other = await generate([{ name: "commonName", value: "node-a" }], {});
  const [certFile, keyFile] = [file("cert.pem", pems.cert), file("key.pem", pems.private)];
  const [otherCert, otherKey] = [file("other.pem", other.cert), file("other-key.pem", other.private)];
  const ok: GetTenant = (call, answer) =>
    answer(null, { tenant: { id: call.getAuthContext().sslPeerCertificate?.subject.CN as string } });

  const port = await serve(t, ok, serverCredentials({ host: "0.0.0.0", certFile, keyFile, insecure: false }));
  const get = (client: RpcClient) => client.call("TenantService", "GetTenant", {});
  await t.resolves(
    get(connect(t, `https://localhost:${port}`, { security: { insecure: false, caFile: certFile } })),
  );
  t.equal(
    (
      await caught(
        get(connect(t, `https://localhost:${port}`, { security: { insecure: false, caFile: otherCert } })),
      )
    ).code,
    "CONTROL_PLANE_UNREACHABLE",
  );
  t.equal(
    (await caught(get(connect(t, `localhost:${port}`)))).code,
    "CONTROL_PLANE_UNREACHABLE",
    "clear text",
  );

  const strict = await serve(
    t,
    ok,
    serverCredentials({ host: "0.0.0.0", certFile, keyFile, clientCaFile: otherCert, insecure: false }),
  );
  const tls = { insecure: false, caFile: certFile };
  t.equal(
    (await caught(get(connect(t, `https://localhost:${strict}`, { security: tls })))).code,
    "CONTROL_PLANE_UNREACHABLE",
  );
  const named = connect(t, `https://localhost:${strict}`, {
    security: { ...tls, certFile: otherCert, keyFile: otherKey },
  });
  t.equal((await get(named)).tenant?.id, "node-a");

  const renewing = serverCredentials({ host: "0.0.0.0", certFile, keyFile, insecure: false });
  const renewed = await serve(t, ok, renewing);
  file("cert.pem", other.cert);
  (renewing as unknown as { refresh(): void }).refresh(); // half of the pair: refused, the old one stays
  const byOld = { security: { insecure: false, caFile: file("old.pem", pems.cert) } };
  await t.resolves(get(connect(t, `https://localhost:${renewed}`, byOld)), "the old pair still serves");
  file("key.pem", other.private);
  (renewing as unknown as { refresh(): void }).refresh();
  t.equal(
    (await caught(get(connect(t, `https://localhost:${renewed}`, byOld)))).code,
    "CONTROL_PLANE_UNREACHABLE",
    "new connections see the new certificate",
  );

  t.throws(() => serverCredentials({ host: "::", certFile, insecure: false }), { code: "SETTING_INVALID" });
  t.throws(() => serverCredentials({ host: "::", certFile, keyFile: "/nowhere", insecure: false }), {
    code: "SETTING_INVALID",
    message: /\/nowhere cannot be read/,
  });
});
