/**
 * Resellers and API keys (lumentra.control.v1.ResellerService).
 *
 * Invariants
 * A1 A reseller changes its own branding and nothing else of itself.
 * A2 Nobody makes or rotates a key with a scope that he does not hold himself, or that its owner cannot hold.
 * A3 A key in clear is in the one answer that makes it, and nowhere else: not in what a repeated request gets.
 */
import { randomUUID } from "node:crypto";
import type { Reseller__Output, ResellerServiceHandlers } from "#proto";
import { packageDefinition } from "#proto";
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { fromTimestamp, violated } from "#runtime/rpc";
import {
  type ApiKeys,
  OPERATOR_SCOPES,
  RESELLER_SCOPES,
  type ScopeName,
  generateApiKey,
  isScope,
  requireScope,
} from "../auth/index.js";
import type { Caller } from "../server/caller.js";
import type { ServiceOf } from "../server/handlers.js";
import type { ResellerRow, Store } from "../store/store.js";
import { apiKeyToProto, resellerToProto } from "./convert.js";
import { withMask } from "./masks.js";
import { Checks, type PageTokens, notFound, once, openPage, updated, withoutRaces } from "./requests.js";

const DEFAULT_CONCURRENT_CALLS = 1_000;
const DEFAULT_TENANTS = 1_000;
const OVERLAP_MAX_S = 604_800;
const MESSAGE = "lumentra.control.v1.Reseller";

export interface ResellerServiceDeps {
  readonly store: Store;
  readonly apiKeys: ApiKeys;
  readonly pages: PageTokens;
  readonly clock: Clock;
}

export function createResellerService(deps: ResellerServiceDeps): ServiceOf<ResellerServiceHandlers> {
  const { store, apiKeys, pages, clock } = deps;
  return {
    GetReseller: async ({ resellerId }, { scope, actor }) => {
      const row = await store.transaction(scope, actor, (tx) => tx.resellers.get(resellerId));
      if (row === null) throw notFound("reseller");
      return { reseller: resellerToProto(row) };
    },

    ListResellers: async (request, caller) => {
      const page = openPage(pages, caller, "ListResellers", request);
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.resellers.list(page),
      );
      return { resellers: rows.map(resellerToProto), nextPageToken: page.seal(next) };
    },

    CreateReseller: async (request, caller) => {
      const fields = checkedReseller(request.reseller);
      return store.transaction(caller.scope, caller.actor, (tx) =>
        once(tx, caller, "CreateReseller", request, async () => {
          const row = await tx.resellers.create(fields);
          if (row === null) throw new LumentraError("ALREADY_EXISTS", "the reseller's id is taken");
          return { reseller: resellerToProto(row) };
        }),
      );
    },

    UpdateReseller: async ({ reseller, updateMask }, caller) => {
      if (reseller === null) throw violated([{ field: "reseller", description: "is required" }]);
      const paths = updateMask?.paths ?? [];
      const isBranding =
        paths.length > 0 && paths.every((path) => path === "branding" || path.startsWith("branding."));
      if (!isBranding) requireScope(caller.principal, "resellers.write"); // A1
      const row = await withoutRaces(reseller.etag, () =>
        store.transaction(caller.scope, caller.actor, async (tx) => {
          const current = await tx.resellers.get(reseller.id);
          if (current === null) throw notFound("reseller");
          const masked = withMask(MESSAGE, asOutput(current), reseller, paths, [
            "name",
            "branding",
            "limits",
            "suspended",
          ]);
          const { id: _, ...fields } = checkedReseller(masked);
          const changes = isBranding ? { branding: fields.branding } : fields;
          const etag = reseller.etag || current.etag;
          return updated(await tx.resellers.update(reseller.id, etag, changes), "reseller");
        }),
      );
      apiKeys.forget(); // it may be suspended now
      return { reseller: resellerToProto(row) };
    },

    DeleteReseller: async ({ resellerId, etag }, { scope, actor }) => {
      const result = await store.transaction(scope, actor, (tx) => tx.resellers.delete(resellerId, etag));
      if (result === "inUse") {
        throw new LumentraError("STILL_IN_USE", "the reseller has tenants; delete them first");
      }
      updated(result, "reseller");
      apiKeys.forget();
      return {};
    },

    CreateApiKey: async (request, caller) => {
      const resellerId = ownerOf(request.resellerId, caller);
      const scopes = grantable(request.scopes, resellerId, caller);
      const expiresAt = fromTimestamp(request.expireTime);
      const checks = new Checks();
      checks.text(request.name, "name", 1, 100);
      checks.require(
        expiresAt === null || expiresAt.getTime() > clock.unixMs(),
        "expire_time",
        "must be in the future",
      );
      checks.done();
      return store.transaction(caller.scope, caller.actor, (tx) =>
        once(
          tx,
          caller,
          "CreateApiKey",
          request,
          async () => {
            if (resellerId !== null && (await tx.resellers.get(resellerId)) === null)
              throw notFound("reseller");
            const { key, prefix, hash } = generateApiKey();
            const row = { id: randomUUID(), resellerId, name: request.name, prefix, scopes, expiresAt };
            return { apiKey: apiKeyToProto(await tx.apiKeys.create(row, hash)), secret: key };
          },
          (answer) => ({ ...answer, secret: "" }), // A3
        ),
      );
    },

    ListApiKeys: async (request, caller) => {
      const resellerId = ownerOf(request.resellerId, caller);
      const page = openPage(pages, caller, "ListApiKeys", request, { resellerId });
      return store.transaction(caller.scope, caller.actor, async (tx) => {
        if (resellerId !== null && (await tx.resellers.get(resellerId)) === null) throw notFound("reseller");
        const { rows, next } = await tx.apiKeys.list(resellerId, page);
        return { apiKeys: rows.map(apiKeyToProto), nextPageToken: page.seal(next) };
      });
    },

    RotateApiKey: async ({ apiKeyId, overlapSeconds }, caller) => {
      const checks = new Checks();
      checks.require(overlapSeconds <= OVERLAP_MAX_S, "overlap_seconds", `must be 0 to ${OVERLAP_MAX_S}`);
      checks.done();
      const now = clock.unixMs();
      const answer = await store.transaction(caller.scope, caller.actor, async (tx) => {
        const old = await tx.apiKeys.get(apiKeyId);
        const isOver = old?.expiresAt != null && old.expiresAt.getTime() <= now;
        if (old === null || old.revokedAt !== null || isOver) throw notFound("working API key");
        const scopes = grantable(old.scopes, old.resellerId, caller); // A2
        const { key, prefix, hash } = generateApiKey();
        const { name, resellerId, expiresAt } = old;
        const row = await tx.apiKeys.create(
          { id: randomUUID(), resellerId, name, prefix, scopes, expiresAt },
          hash,
        );
        const end = new Date(now + overlapSeconds * 1_000);
        if (expiresAt === null || end < expiresAt) await tx.apiKeys.setExpiry(apiKeyId, end);
        return { apiKey: apiKeyToProto(row), secret: key };
      });
      apiKeys.forget();
      return answer;
    },

    RevokeApiKey: async ({ apiKeyId }, { scope, actor }) => {
      const row = await store.transaction(scope, actor, (tx) => tx.apiKeys.revoke(apiKeyId));
      if (row === null) throw notFound("API key");
      apiKeys.forget();
      return { apiKey: apiKeyToProto(row) };
    },
  };
}

/** Null: an operator's. A reseller that asks for another's gets what it would for one that is not there. */
function ownerOf(resellerId: string, { principal }: Caller): string | null {
  if (principal.kind === "reseller" && resellerId !== principal.resellerId) throw notFound("reseller");
  return resellerId === "" ? null : resellerId;
}

/** A2. @throws LumentraError SCOPE_NOT_GRANTABLE, REQUEST_INVALID */
function grantable(wanted: readonly string[], resellerId: string | null, { principal }: Caller): ScopeName[] {
  if (wanted.length === 0) throw violated([{ field: "scopes", description: "must name at least one" }]);
  const possible = resellerId === null ? OPERATOR_SCOPES : RESELLER_SCOPES;
  const held = "scopes" in principal ? principal.scopes : new Set<ScopeName>();
  const refused = wanted.find((scope) => !isScope(scope) || !possible.includes(scope) || !held.has(scope));
  if (refused !== undefined) {
    throw new LumentraError(
      "SCOPE_NOT_GRANTABLE",
      `the scope ${refused.slice(0, 40)} cannot be given to this key`,
    );
  }
  return [...new Set(wanted)] as ScopeName[];
}

function checkedReseller(
  reseller: Reseller__Output | null,
): Pick<ResellerRow, "id" | "name" | "branding" | "limits" | "suspended"> {
  if (reseller === null) throw violated([{ field: "reseller", description: "is required" }]);
  const { id, name, suspended } = reseller;
  const { displayName, logoUrl, primaryColor, supportEmail } = reseller.branding ?? NO_BRANDING;
  const limits = {
    concurrentCalls: reseller.limits?.concurrentCalls || DEFAULT_CONCURRENT_CALLS,
    tenants: reseller.limits?.tenants || DEFAULT_TENANTS,
  };
  const checks = new Checks();
  checks.id(id, "reseller.id");
  checks.text(name, "reseller.name", 1, 100);
  checks.text(displayName, "reseller.branding.display_name", 0, 100);
  checks.text(supportEmail, "reseller.branding.support_email", 0, 200);
  checks.require(
    logoUrl === "" ||
      (logoUrl.length <= 500 && URL.canParse(logoUrl) && new URL(logoUrl).protocol === "https:"),
    "reseller.branding.logo_url",
    "must be an https URL of at most 500 characters",
  );
  checks.require(
    primaryColor === "" || /^#[0-9a-fA-F]{6}$/.test(primaryColor),
    "reseller.branding.primary_color",
    "must be #rrggbb",
  );
  checks.require(
    limits.concurrentCalls <= 1_000_000,
    "reseller.limits.concurrent_calls",
    "must be 1 to 1000000",
  );
  checks.require(limits.tenants <= 100_000, "reseller.limits.tenants", "must be 1 to 100000");
  checks.done();
  return { id, name, suspended, limits, branding: { displayName, logoUrl, primaryColor, supportEmail } };
}

const NO_BRANDING = { displayName: "", logoUrl: "", primaryColor: "", supportEmail: "" };

/** As a client would have received it: for masks. */
function asOutput(row: ResellerRow): Reseller__Output {
  const { serialize, deserialize } = packageDefinition[MESSAGE] as unknown as {
    serialize: (value: object) => Buffer;
    deserialize: (bytes: Buffer) => Reseller__Output;
  };
  return deserialize(serialize(resellerToProto(row)));
}
