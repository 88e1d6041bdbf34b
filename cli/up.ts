/**
 * `lumentra up`: everything on one machine, each its own process: Postgres (embedded, unless DATABASE_URL is set),
 * control plane, emulators for providers without a key, node. On the first start it makes a reseller, its demo
 * tenants and keys, and prints the keys, once.
 *
 * What must survive a restart and nobody else may read (keys of the cluster, the node's bootstrap token) is made
 * once, in `up.json` of the data folder.
 */
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import {
  type ProviderAccount,
  accountsNotSetUp,
  resolveSettings as resolveNodeSettings,
  variablesOf,
} from "#node";
import { resolveSettings as resolveControlPlaneSettings } from "#control-plane";
import { RESELLER_SCOPES, createOperatorKey } from "#control-plane/auth";
import { migrate, openStore, startEmbeddedPostgres } from "#control-plane/store";
import type { Environment } from "#runtime/settings";
import { createLogger } from "#runtime/telemetry";
import { connectApi } from "./api.js";
import { Children } from "./children.js";
import { seedDemo } from "./seed.js";
import { ALL_NAMES, controlPlaneSchema, environmentFor, nodeSchema } from "./all-settings.js";
import { loadUpSecrets } from "./up-secrets.js";

const CONTROL_PLANE_ENTRY = fileURLToPath(new URL("../control-plane/main.js", import.meta.url));
const NODE_ENTRY = fileURLToPath(new URL("../node/main.js", import.meta.url));
/** By path, not by import: the emulators belong to bench, and a node without them must start. */
const EMULATORS_ENTRY = fileURLToPath(new URL("../bench/emulators/main.js", import.meta.url));

/** On top of the drain's grace: the last goodbyes, and what carriers ask after them. */
const NODE_STOP_SLACK_MS = 10_000;

/** Resolves with the exit code when all is down again. */
export async function runUp(environment: Environment): Promise<number> {
  // What can be wrong with the settings is found out before anything is started.
  const nodeSettings = resolveNodeSettings(environment, { alsoKnown: ALL_NAMES });
  const settings = resolveControlPlaneSettings(environment, { alsoKnown: ALL_NAMES });
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const children = new Children(say);
  const stops: (() => Promise<void>)[] = [() => children.stop()];
  let exitCode = 0;
  let isStopping = false;

  const ended = new Promise<void>((resolve) => {
    const onSignal = (): void => {
      if (isStopping) return children.kill();
      isStopping = true;
      // At once: what is on its way up may take a minute yet.
      void children.stop();
      resolve();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    children.onExit((name, code) => {
      say(pc.red(`${name} ended with ${code}; so does the rest.`));
      exitCode = 1;
      resolve();
    });
  });

  try {
    const secrets = await loadUpSecrets(settings.LUMENTRA_DATA_DIR);
    const database = await openDatabase(settings, children);
    stops.push(database.stop);
    await migrate({
      ownerUrl: database.ownerUrl,
      appUrl: database.appUrl,
      log: createLogger({ level: "warn", name: "migrate" }),
    });

    const controlPlane = await children.start({
      name: "control plane",
      script: CONTROL_PLANE_ENTRY,
      environment: {
        LUMENTRA_BOOTSTRAP_TOKEN: secrets.bootstrapToken,
        LUMENTRA_CLUSTER_KEY: secrets.clusterKey,
        LUMENTRA_SECRET_KEYS: secrets.secretKeys,
        ...environmentFor(controlPlaneSchema, environment),
        DATABASE_URL: database.appUrl,
        LUMENTRA_READY_JSON: "true",
      },
      isReady: (line) => line["event"] === "listening",
    });
    const address = `127.0.0.1:${String(controlPlane["grpcPort"])}`;
    const keys = await firstStart(
      database.appUrl,
      address,
      nodeSettings.LUMENTRA_TENANTS_FILE,
      settings.LUMENTRA_SECRET_KEYS ?? secrets.secretKeys,
    );

    const missing = accountsNotSetUp(nodeSettings);
    const emulated = missing.length === 0 ? {} : await startEmulators(children, missing, environment);
    const node = await children.start({
      name: "node",
      script: NODE_ENTRY,
      environment: {
        LUMENTRA_BOOTSTRAP_TOKEN: secrets.bootstrapToken,
        LUMENTRA_CONTROL_PLANE: address,
        ...environmentFor(nodeSchema, environment),
        ...emulated,
        LUMENTRA_READY_JSON: "true",
      },
      isReady: (line) => line["event"] === "listening",
      stopGraceMs: nodeSettings.LUMENTRA_DRAIN_GRACE_S * 1_000 + NODE_STOP_SLACK_MS,
    });
    const emulatedNames = emulated["LUMENTRA_EMULATED"]?.replaceAll(",", ", ") ?? "";
    if (emulatedNames !== "") {
      say(pc.yellow(`Not set up: ${emulatedNames}: emulated. Nothing leaves this machine for them.`));
    }
    say(banner(address, keys));
    if (settings.LUMENTRA_READY_JSON) {
      const { edgePort, adminPort } = node;
      const { grpcPort } = controlPlane;
      process.stdout.write(`${JSON.stringify({ event: "listening", edgePort, adminPort, grpcPort })}\n`);
    }
    await ended;
  } catch (error) {
    if (!isStopping) throw error; // what was stopped on its way up ends with an error
  } finally {
    for (const stop of stops) await stop();
  }
  return exitCode;
}

interface Database {
  readonly ownerUrl: string;
  readonly appUrl: string;
  readonly stop: () => Promise<void>;
}

async function openDatabase(
  settings: ReturnType<typeof resolveControlPlaneSettings>,
  children: Children,
): Promise<Database> {
  const { DATABASE_URL: url, LUMENTRA_DATABASE_OWNER_URL: ownerUrl, LUMENTRA_DATA_DIR: folder } = settings;
  if (url !== undefined) return { ownerUrl: ownerUrl ?? url, appUrl: url, stop: () => Promise.resolve() };
  const postgres = await startEmbeddedPostgres({
    directory: `${folder}/postgres`,
    durable: true,
    onLine: children.prefixed("postgres"),
  });
  return { ownerUrl: postgres.ownerUrl, appUrl: postgres.appUrl, stop: () => postgres.stop() };
}

interface FirstKeys {
  readonly operator: string;
  readonly reseller: string;
}

/** Null when there are resellers already. */
async function firstStart(
  databaseUrl: string,
  address: string,
  tenantsFile: string,
  secretKeys: string,
): Promise<FirstKeys | null> {
  const store = openStore({
    url: databaseUrl,
    secretKeys,
    log: createLogger({ level: "warn", name: "up" }),
  });
  try {
    const { rows } = await store.transaction({ kind: "operator" }, "operator:up", (tx) =>
      tx.resellers.list({ size: 1, after: null }),
    );
    if (rows.length > 0) return null;
    const operator = await createOperatorKey(store, "first operator key");
    const api = await connectApi({ address, key: operator, insecure: false }, {});
    try {
      return { operator, reseller: await seedDemo(api, tenantsFile, RESELLER_SCOPES) };
    } finally {
      api.close();
    }
  } finally {
    await store.close();
  }
}

/** Waits for the emulators' one line and takes from it what belongs to the providers that are emulated. */
async function startEmulators(
  children: Children,
  accounts: readonly ProviderAccount[],
  environment: Environment,
): Promise<Record<string, string>> {
  const { env } = await children.start({
    name: "emulators",
    script: EMULATORS_ENTRY,
    environment,
    isReady: (line) => line["kind"] === "ready",
  });
  const all = env as Record<string, string>;
  // Not every account has an emulator.
  const emulated = accounts.filter((account) => Object.keys(variablesOf([account], all)).length > 0);
  return { ...variablesOf(emulated, all), LUMENTRA_EMULATED: emulated.join(",") };
}

function banner(address: string, keys: FirstKeys | null): string {
  const lines = [pc.bold("Lumentra is up."), `  API   ${address} (gRPC, clear text, this machine only)`];
  if (keys !== null) {
    lines.push(
      "",
      "The first start made the reseller “demo” with its tenants. These keys are shown once; paste the first into your shell:",
      "",
      `export LUMENTRA_API_KEY=${keys.reseller}`,
      "",
      `And the operator's, for nodes and resellers: ${keys.operator}`,
    );
  }
  lines.push(
    "",
    "Try: npm run call, npm run lumentra -- call list, npm run lumentra -- call watch",
    "Ctrl-C drains and ends; twice ends now.",
  );
  return lines.join("\n");
}
