/** Tenants, their secrets, and the stream that follows them (lumentra.control.v1.TenantService). */
import { type TenantServiceHandlers, type Tenant__Output, packageDefinition } from "#proto";
import { type TenantSettings, tenantSettingsFromProto } from "#actors/tenants";
import { LumentraError } from "#runtime/errors";
import { toTimestamp, violated } from "#runtime/rpc";
import type { ServiceOf } from "../server/handlers.js";
import type { Store, TenantRow } from "../store/store.js";
import { tenantToMessage, tenantVersionToProto } from "./convert.js";
import { withMask } from "./masks.js";
import { Checks, type PageTokens, notFound, once, openPage, updated, withoutRaces } from "./requests.js";
import type { TenantFeed } from "./tenant-feed.js";

/** JSON of a configuration: what 500 of them make still fits an answer. */
const CONFIG_MAX_BYTES = 65_536;
const SECRETS_PER_TENANT_MAX = 50;
const MESSAGE = "lumentra.control.v1.Tenant";

export interface TenantServiceDeps {
  readonly store: Store;
  readonly pages: PageTokens;
  readonly feed: TenantFeed;
}

export function createTenantService({
  store,
  pages,
  feed,
}: TenantServiceDeps): ServiceOf<TenantServiceHandlers> {
  return {
    GetTenant: async ({ tenantId }, { scope, actor }) => {
      const row = await store.transaction(scope, actor, (tx) => tx.tenants.get(tenantId));
      if (row === null) throw notFound("tenant");
      return { tenant: tenantToMessage(row) };
    },

    ListTenants: async (request, caller) => {
      const { resellerId, query } = request;
      const checks = new Checks();
      checks.text(query, "query", 0, 100);
      checks.done();
      const filter = {
        ...(resellerId === "" ? {} : { resellerId }),
        ...(query === "" ? {} : { query }),
      };
      const page = openPage(pages, caller, "ListTenants", request, filter);
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.tenants.list(filter, page),
      );
      return { tenants: rows.map(tenantToMessage), nextPageToken: page.seal(next) };
    },

    CreateTenant: async (request, caller) => {
      const { tenant } = request;
      if (tenant === null) throw violated([{ field: "tenant", description: "is required" }]);
      const { principal } = caller;
      const own = principal.kind === "reseller" ? principal.resellerId : "";
      if (own !== "" && tenant.resellerId !== "" && tenant.resellerId !== own) throw notFound("reseller");
      const resellerId = own || tenant.resellerId;
      const checks = new Checks();
      checks.id(tenant.id, "tenant.id");
      checks.require(resellerId !== "", "tenant.reseller_id", "is required of operators");
      checks.done();
      const config = checkedConfig(tenant);
      return store.transaction(caller.scope, caller.actor, (tx) =>
        once(tx, caller, "CreateTenant", request, async () => {
          const { id, suspended } = tenant;
          const row = await tx.tenants.create({ id, resellerId, suspended, config });
          if (row === null) throw notFound("reseller");
          if (row === "taken") throw new LumentraError("ALREADY_EXISTS", "the tenant's id is taken");
          if (row === "limit") {
            throw new LumentraError("LIMIT_REACHED", "the reseller has as many tenants as it may");
          }
          return { tenant: tenantToMessage(row) };
        }),
      );
    },

    UpdateTenant: async ({ tenant, updateMask }, { scope, actor }) => {
      if (tenant === null) throw violated([{ field: "tenant", description: "is required" }]);
      const row = await withoutRaces(tenant.etag, () =>
        store.transaction(scope, actor, async (tx) => {
          const current = await tx.tenants.get(tenant.id);
          if (current === null) throw notFound("tenant");
          const allowed = ["suspended", "config"];
          const before = asOutput(current);
          const paths = updateMask?.paths ?? [];
          const masked = withMask(MESSAGE, before, tenant, paths, allowed);
          forgetOthersModels(masked, before, paths);
          const changes = { suspended: masked.suspended, config: checkedConfig(masked) };
          return updated(await tx.tenants.update(tenant.id, tenant.etag || current.etag, changes), "tenant");
        }),
      );
      return { tenant: tenantToMessage(row) };
    },

    DeleteTenant: async ({ tenantId, etag }, { scope, actor }) => {
      const result = await store.transaction(scope, actor, (tx) => tx.tenants.delete(tenantId, etag));
      updated(result, "tenant");
      return {};
    },

    ListTenantVersions: async (request, caller) => {
      const { tenantId } = request;
      const bounds = { fallback: 20, max: 100 };
      const page = openPage(pages, caller, "ListTenantVersions", request, { tenantId }, bounds);
      return store.transaction(caller.scope, caller.actor, async (tx) => {
        if ((await tx.tenants.get(tenantId)) === null) throw notFound("tenant");
        const { rows, next } = await tx.tenants.versions(tenantId, page);
        return { versions: rows.map(tenantVersionToProto), nextPageToken: page.seal(next) };
      });
    },

    WatchTenants: (call, caller) => feed.watch(call, caller),

    SetTenantSecret: async ({ tenantId, name, value }, { scope, actor }) => {
      const checks = new Checks();
      checkSecretName(checks, name);
      checks.text(value, "value", 1, 4_096);
      checks.done();
      await store.transaction(scope, actor, async (tx) => {
        const names = await tx.secrets.names(tenantId);
        if (names === null) throw notFound("tenant");
        if (names.length >= SECRETS_PER_TENANT_MAX && !names.some((secret) => secret.name === name)) {
          throw new LumentraError("LIMIT_REACHED", `a tenant has at most ${SECRETS_PER_TENANT_MAX} secrets`);
        }
        if (!(await tx.secrets.set(tenantId, name, value))) throw notFound("tenant");
      });
      return {};
    },

    ListTenantSecrets: async ({ tenantId }, { scope, actor }) => {
      const names = await store.transaction(scope, actor, (tx) => tx.secrets.names(tenantId));
      if (names === null) throw notFound("tenant");
      return {
        secrets: names.map(({ name, updatedAt }) => ({ name, updateTime: toTimestamp(updatedAt) })),
      };
    },

    DeleteTenantSecret: async ({ tenantId, name }, { scope, actor }) => {
      const isDone = await store.transaction(scope, actor, (tx) => tx.secrets.delete(tenantId, name));
      if (!isDone) throw notFound("secret");
      return {};
    },
  };
}

function checkSecretName(checks: Checks, name: string): void {
  checks.require(
    /^[a-z0-9_]{1,63}$/.test(name),
    "name",
    "must be lower-case letters, digits and underscores, 1 to 63 of them",
  );
}

/** @throws LumentraError TENANT_CONFIG_INVALID */
function checkedConfig({ config }: Tenant__Output): TenantSettings {
  const settings = tenantSettingsFromProto(config, "tenant.config");
  if (Buffer.byteLength(JSON.stringify(settings)) > CONFIG_MAX_BYTES) {
    throw violated(
      [{ field: "tenant.config", description: `must take at most ${CONFIG_MAX_BYTES} bytes as JSON` }],
      "TENANT_CONFIG_INVALID",
    );
  }
  return settings;
}

/** A provider that is changed by its name alone gets its own model and voice: those of the one before are not its. */
function forgetOthersModels(masked: Tenant__Output, before: Tenant__Output, paths: readonly string[]): void {
  for (const kind of ["stt", "llm", "tts"] as const) {
    const choice = masked.config?.[kind] ?? null;
    if (choice === null || !paths.includes(`config.${kind}.provider`)) continue;
    if (choice.provider === before.config?.[kind]?.provider) continue;
    if (!paths.includes(`config.${kind}.model`)) choice.model = "";
    if ("voice" in choice && !paths.includes(`config.${kind}.voice`)) choice.voice = "";
  }
}

/** As a client would have received it: for masks. */
function asOutput(row: TenantRow): Tenant__Output {
  const { serialize, deserialize } = packageDefinition[MESSAGE] as unknown as {
    serialize: (value: object) => Buffer;
    deserialize: (bytes: Buffer) => Tenant__Output;
  };
  return deserialize(serialize(tenantToMessage(row)));
}
