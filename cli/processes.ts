/** The processes that `lumentra` can be, and what is done straight in the database. */
import { createOperatorKey } from "#control-plane/auth";
import { migrate, openStore } from "#control-plane/store";
import { runControlPlane } from "#control-plane";
import { runNode } from "#node";
import { LumentraError } from "#runtime/errors";
import { type Environment, resolveSettings } from "#runtime/settings";
import { createLogger } from "#runtime/telemetry";
import { ALL_NAMES, controlPlaneSchema, environmentFor, known, nodeSchema } from "./all-settings.js";

/** The newest; older ones are likely to be revoked. */
const OPERATOR_KEYS_LOOKED_AT = 500;

/** Resolves with the exit code. @throws LumentraError SETTING_INVALID */
export function node(environment: Environment): Promise<number> {
  return runNode(environmentFor(nodeSchema, known(environment)));
}

/** Resolves with the exit code. @throws LumentraError SETTING_INVALID */
export function controlPlane(environment: Environment): Promise<number> {
  return runControlPlane(environmentFor(controlPlaneSchema, known(environment)));
}

/** Resolves with the names of what was applied. @throws LumentraError SETTING_INVALID, and the database's own */
export async function migrateDatabase(environment: Environment): Promise<readonly string[]> {
  const { DATABASE_URL: appUrl, LUMENTRA_DATABASE_OWNER_URL: ownerUrl } = resolveSettings(
    controlPlaneSchema,
    environment,
    { alsoKnown: ALL_NAMES },
  );
  if (appUrl === undefined || ownerUrl === undefined) {
    throw new LumentraError(
      "SETTING_INVALID",
      "DATABASE_URL and LUMENTRA_DATABASE_OWNER_URL are both needed; `lumentra up` migrates its own database",
    );
  }
  return migrate({ ownerUrl, appUrl, log: createLogger({ level: "info", name: "migrate" }) });
}

/** @throws LumentraError ALREADY_EXISTS when an operator's key works already */
export async function bootstrapKey(environment: Environment): Promise<string> {
  const { DATABASE_URL: url, LUMENTRA_SECRET_KEYS: secretKeys } = resolveSettings(
    controlPlaneSchema,
    environment,
    { alsoKnown: ALL_NAMES },
  );
  if (url === undefined) throw new LumentraError("SETTING_INVALID", "DATABASE_URL is needed");
  const store = openStore({ url, secretKeys, log: createLogger({ level: "warn", name: "key" }) });
  try {
    const { rows } = await store.transaction({ kind: "operator" }, "operator:bootstrap", (tx) =>
      tx.apiKeys.list(null, { size: OPERATOR_KEYS_LOOKED_AT, after: null }),
    );
    const now = Date.now();
    const works = rows.some(
      ({ revokedAt, expiresAt }) => revokedAt === null && (expiresAt?.getTime() ?? Infinity) > now,
    );
    if (works) {
      throw new LumentraError("ALREADY_EXISTS", "an operator's key works already: use it to make others");
    }
    return await createOperatorKey(store, "first operator key");
  } finally {
    await store.close();
  }
}
