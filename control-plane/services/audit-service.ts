/** Who changed what (lumentra.control.v1.AuditService). */
import type { AuditServiceHandlers } from "#proto";
import type { ServiceOf } from "../server/handlers.js";
import type { Store } from "../store/store.js";
import { auditToProto } from "./convert.js";
import { type PageTokens, openPage } from "./requests.js";

export interface AuditServiceDeps {
  readonly store: Store;
  readonly pages: PageTokens;
}

export function createAuditService({ store, pages }: AuditServiceDeps): ServiceOf<AuditServiceHandlers> {
  return {
    ListAuditEntries: async (request, caller) => {
      const { resellerId, tenantId, resourceKind, resourceId } = request;
      const filter = Object.fromEntries(
        Object.entries({ resellerId, tenantId, resourceKind, resourceId }).filter(
          ([, value]) => value !== "",
        ),
      );
      const page = openPage(pages, caller, "ListAuditEntries", request, filter);
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.audit.list(filter, page),
      );
      return { entries: rows.map(auditToProto), nextPageToken: page.seal(next) };
    },
  };
}
