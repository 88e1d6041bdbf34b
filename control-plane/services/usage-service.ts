/** Minutes and cost (lumentra.control.v1.UsageService). */
import type { UsageServiceHandlers } from "#proto";
import type { Clock } from "#runtime/actor";
import type { ServiceOf } from "../server/handlers.js";
import type { Store } from "../store/store.js";
import { usageToProto } from "./convert.js";
import { Checks, PAGE_SIZE_MAX, type PageTokens, openPage } from "./requests.js";

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 31;
/** Ten years and a bit. */
const MAX_DAYS = 3_660;
const PAGE_SIZE = 100;

const GROUPINGS = {
  USAGE_GROUPING_UNSPECIFIED: "tenantDay",
  USAGE_GROUPING_TENANT_DAY: "tenantDay",
  USAGE_GROUPING_TENANT: "tenant",
  USAGE_GROUPING_RESELLER_DAY: "resellerDay",
  USAGE_GROUPING_RESELLER: "reseller",
} as const;

export interface UsageServiceDeps {
  readonly store: Store;
  readonly pages: PageTokens;
  readonly clock: Clock;
}

export function createUsageService({
  store,
  pages,
  clock,
}: UsageServiceDeps): ServiceOf<UsageServiceHandlers> {
  return {
    QueryUsage: async (request, caller) => {
      const { resellerId, tenantId } = request;
      const toDay = request.toDay || dayOf(clock.unixMs());
      const checks = new Checks();
      checks.require(isDay(toDay), "to_day", "must be YYYY-MM-DD");
      checks.require(request.fromDay === "" || isDay(request.fromDay), "from_day", "must be YYYY-MM-DD");
      checks.require(request.grouping in GROUPINGS, "grouping", "must be one of the enum");
      checks.done();
      const fromDay = request.fromDay || dayOf(Date.parse(toDay) - DEFAULT_DAYS * DAY_MS);
      checks.require(fromDay <= toDay, "from_day", "must not be after to_day");
      checks.require(
        Date.parse(toDay) - Date.parse(fromDay) <= MAX_DAYS * DAY_MS,
        "from_day",
        `must be at most ${MAX_DAYS} days before to_day`,
      );
      checks.done();
      const grouping = GROUPINGS[request.grouping];
      const filter = {
        ...(resellerId === "" ? {} : { resellerId }),
        ...(tenantId === "" ? {} : { tenantId }),
        fromDay,
        toDay,
      };
      const page = openPage(
        pages,
        caller,
        "QueryUsage",
        request,
        { ...filter, grouping },
        {
          fallback: PAGE_SIZE,
          max: PAGE_SIZE_MAX,
        },
      );
      const { rows, next } = await store.transaction(caller.scope, caller.actor, (tx) =>
        tx.usage.query(filter, grouping, page),
      );
      return { rows: rows.map(usageToProto), nextPageToken: page.seal(next) };
    },
  };
}

function dayOf(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 10);
}

/** Also that there is such a day: 2026-02-30 is none. */
function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const unixMs = Date.parse(text);
  return !Number.isNaN(unixMs) && dayOf(unixMs) === text;
}
