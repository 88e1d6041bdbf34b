/** A control plane as its process runs it: settings, Postgres, TLS, what it says, and how it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { generate } from "selfsigned";
import t, { type Test } from "tap";
import { RpcClient } from "#runtime/rpc";
import { createOperatorKey } from "./auth/index.js";
import { failureOf } from "./server/server.fixture.js";
import { startTestStore } from "./store/store.fixture.js";

const { store, appUrl, ownerUrl, secretKeys } = await startTestStore(t);
const directory = mkdtempSync(join(tmpdir(), "lumentra-cp-"));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

interface Process {
  readonly child: ChildProcess;
  readonly printed: () => string;
  readonly exited: Promise<number | null>;
}

function run(t: Test, environment: Readonly<Record<string, string>>): Process {
  const child = spawn(process.execPath, ["dist/control-plane/main.js"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      LUMENTRA_GRPC_PORT: "0",
      LUMENTRA_CONTROL_PLANE_ADMIN_PORT: "0",
      LUMENTRA_READY_JSON: "true",
      LUMENTRA_LOG_LEVEL: "debug",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  t.teardown(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  return { child, printed: () => text, exited };
}

async function start(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const process = run(t, { DATABASE_URL: appUrl, LUMENTRA_SECRET_KEYS: secretKeys, ...environment });
  const ports = await new Promise<{ grpcPort: number; adminPort: number }>((resolve, reject) => {
    createInterface({ input: process.child.stdout! }).on("line", (line) => {
      if (line.startsWith('{"event":"listening"')) {
        resolve(JSON.parse(line) as { grpcPort: number; adminPort: number });
      }
    });
    void process.exited.then((code) => reject(new Error(`it ended with ${code}: ${process.printed()}`)));
  });
  return {
    ...process,
    ...ports,
    admin: (path: string) => fetch(`http://127.0.0.1:${ports.adminPort}${path}`),
  };
}

void t.test("what is wrong stops the start with one sentence and its exit code", async (t) => {
  const database = { DATABASE_URL: appUrl };
  const unmigrated = ownerUrl.replace(/\/lumentra(\?|$)/, "/postgres$1");
  const wrong: [Record<string, string>, number, RegExp][] = [
    [{}, 2, /^lumentra: DATABASE_URL is required/],
    [{ ...database, LUMENTRA_GRPC_PORT: "x" }, 2, /^lumentra: LUMENTRA_GRPC_PORT must be a whole number/],
    [{ ...database, LUMENTRA_GRCP_PORT: "1" }, 2, /^lumentra: LUMENTRA_GRCP_PORT is not a setting/],
    [{ ...database, LUMENTRA_GRPC_HOST: "0.0.0.0" }, 1, /^lumentra: listening on 0.0.0.0 needs TLS/],
    [{ DATABASE_URL: unmigrated }, 1, /^lumentra: the database lacks \d+ migrations .*`lumentra migrate`/],
    [
      { DATABASE_URL: "postgres://planted:planted-password@127.0.0.1:1/x" },
      1,
      /^lumentra: Postgres cannot be asked/,
    ],
  ];
  await Promise.all(
    wrong.map(async ([environment, code, sentence]) => {
      const { exited, printed } = run(t, environment);
      t.equal(await exited, code, JSON.stringify(Object.keys(environment)));
      t.match(printed(), sentence);
      t.notMatch(printed(), /planted-password/);
    }),
  );
});

void t.test("it serves, says so over HTTP and gRPC, and ends well when told to", async (t) => {
  const { child, exited, grpcPort, admin } = await start(t);
  t.equal((await admin("/healthz/live")).status, 200);
  t.equal((await admin("/healthz/ready")).status, 200);
  t.equal((await admin("/nothing")).status, 404);
  const key = await createOperatorKey(store, "process");
  const client = new RpcClient({
    target: `127.0.0.1:${grpcPort}`,
    security: { insecure: false },
    bearer: () => key,
  });
  t.teardown(() => client.close());
  t.strictSame((await client.call("TenantService", "ListTenants", {})).tenants, []);
  t.strictSame((await client.call("NodeService", "ListNodes", {})).nodes, []);
  const metrics = await (await admin("/metrics")).text();
  t.match(
    metrics,
    /lumentra_rpcs_total\{method="\/lumentra.control.v1.TenantService\/ListTenants",code="OK"\} 1/,
  );
  t.match(metrics, /process_cpu_seconds_total/);
  child.kill("SIGTERM");
  t.equal(await exited, 0);
});

void t.test("beyond loopback it serves over TLS alone", async (t) => {
  const pems = await generate([{ name: "commonName", value: "localhost" }], {
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  const certFile = join(directory, "cert.pem");
  const keyFile = join(directory, "key.pem");
  writeFileSync(certFile, pems.cert);
  writeFileSync(keyFile, pems.private);
  const { grpcPort } = await start(t, {
    LUMENTRA_GRPC_HOST: "0.0.0.0",
    LUMENTRA_GRPC_CERT_FILE: certFile,
    LUMENTRA_GRPC_KEY_FILE: keyFile,
  });
  const key = await createOperatorKey(store, "tls");
  const connect = (target: string, caFile?: string): RpcClient => {
    const client = new RpcClient({ target, security: { insecure: false, caFile }, bearer: () => key });
    t.teardown(() => client.close());
    return client;
  };
  await t.resolves(
    connect(`https://localhost:${grpcPort}`, certFile).call("TenantService", "ListTenants", {}),
  );
  const clear = await failureOf(connect(`127.0.0.1:${grpcPort}`).call("TenantService", "ListTenants", {}));
  t.equal(clear.code, "CONTROL_PLANE_UNREACHABLE");
});

void t.test("planted secrets are in no log line, error or metric of a busy control plane", async (t) => {
  const planted = {
    LUMENTRA_BOOTSTRAP_TOKEN: "planted-bootstrap-token",
    LUMENTRA_CLUSTER_KEY: "planted-cluster-key-of-enough-characters",
  };
  const { child, exited, grpcPort, admin, printed } = await start(t, planted);
  const key = await createOperatorKey(store, "busy");
  const errors: string[] = [];
  const connect = (bearer: string | null): RpcClient => {
    const client = new RpcClient({
      target: `127.0.0.1:${grpcPort}`,
      security: { insecure: false },
      bearer: () => bearer,
    });
    t.teardown(() => client.close());
    return client;
  };
  const keep = async (promise: Promise<unknown>): Promise<void> => {
    const error = await failureOf(promise);
    errors.push(JSON.stringify([error.message, error.detail, error.cause]));
  };
  const operator = connect(key);
  const secretValue = "planted-tenant-secret";
  const config = {
    name: "B",
    industry: "b",
    timeZone: "UTC",
    agentName: "Z",
    instructions: "planted-instructions",
  };
  await operator.call("ResellerService", "CreateReseller", { reseller: { id: "busy", name: "Busy" } });
  await operator.call("TenantService", "CreateTenant", {
    tenant: { id: "busy", resellerId: "busy", config },
  });
  await operator.call("TenantService", "SetTenantSecret", {
    tenantId: "busy",
    name: "a",
    value: secretValue,
  });
  const { secret } = await operator.call("ResellerService", "CreateApiKey", {
    resellerId: "busy",
    name: "n",
    scopes: ["tenants.read"],
  });
  const { credential } = await connect(null).call("NodeService", "RegisterNode", {
    nodeId: "node-a",
    bootstrapToken: planted.LUMENTRA_BOOTSTRAP_TOKEN,
  });
  const node = connect(credential);
  const { secrets } = await node.call("NodeService", "FetchTenantSecrets", { tenantId: "busy" });
  t.strictSame(secrets, { a: secretValue });
  await keep(connect("lk_planted0_planted-wrong-key").call("TenantService", "GetTenant", {}));
  await keep(
    connect(null).call("NodeService", "RegisterNode", { nodeId: "x", bootstrapToken: "planted-wrong" }),
  );
  await keep(
    connect(secret).call("TenantService", "SetTenantSecret", {
      tenantId: "busy",
      name: "b",
      value: "planted",
    }),
  );
  await keep(
    operator.call("TenantService", "SetTenantSecret", { tenantId: "busy", name: "!", value: "planted-v" }),
  );
  await keep(
    operator.call("TenantService", "CreateTenant", {
      tenant: { id: "b2", resellerId: "busy", config: { ...config, timeZone: "planted-zone" } },
    }),
  );
  await keep(
    operator.call("PhoneNumberService", "CreatePhoneNumber", {
      phoneNumber: { number: "+1999planted", tenantId: "busy" },
    }),
  );
  // Its first seconds a directory grants nothing; placed or not, the numbers stay where they belong.
  await node
    .call("PlacementService", "PlaceCall", {
      carrier: "twilio",
      carrierCallId: "CA1",
      tenantId: "busy",
      pii: { from: "planted-from", to: "planted-to" },
    })
    .catch((error: unknown) => errors.push(String(error)));
  const metrics = await (await admin("/metrics")).text();
  child.kill("SIGTERM");
  await exited;
  const everything = [printed(), ...errors, metrics].join("\n");
  t.match(printed(), /CreateTenant/, "it did log");
  t.notMatch(everything, /planted/);
  for (const [name, credentialText] of Object.entries({ key, secret, credential, secretKeys })) {
    t.notOk(everything.includes(credentialText.slice(-20)), name);
  }
  t.notOk(everything.includes(new URL(appUrl).password), "the database's password");
});
