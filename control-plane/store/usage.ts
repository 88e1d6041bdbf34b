/** Sums of usage_days and usage_costs, page by page. */
import type { ClientBase } from "pg";
import { pageOf } from "./paging.js";
import type { StoreTransaction, UsageRow } from "./store.js";

interface UsageRecord {
  readonly day: string;
  readonly reseller_id: string;
  readonly tenant_id: string;
  readonly calls: number;
  readonly call_seconds: number;
  readonly cost_micros: number;
  readonly costs: Readonly<Record<string, number>>;
}

export function usageRepository(client: ClientBase): StoreTransaction["usage"] {
  return {
    async query(filter, grouping, page) {
      const values: unknown[] = [filter.fromDay, filter.toDay];
      const bind = (value: unknown): string => `$${values.push(value)}`;
      const conditions = ["u.day >= $1::date", "u.day <= $2::date"];
      if (filter.resellerId !== undefined) conditions.push(`u.reseller_id = ${bind(filter.resellerId)}`);
      if (filter.tenantId !== undefined) conditions.push(`u.tenant_id = ${bind(filter.tenantId)}`);
      const where = conditions.join(" AND ");
      const byDay = grouping === "tenantDay" || grouping === "resellerDay";
      const byTenant = grouping === "tenantDay" || grouping === "tenant";
      // What is not asked for is empty in every row, so that all groupings have one key.
      const key = `${byDay ? "to_char(u.day, 'YYYY-MM-DD')" : "''::text"} COLLATE "C" AS day, u.reseller_id,
        ${byTenant ? "u.tenant_id" : `''::text COLLATE "C" AS tenant_id`}`;
      const after =
        page.after === null
          ? ""
          : `WHERE (g.day, g.reseller_id, g.tenant_id) > (${page.after.map((part) => `${bind(part)}::text`).join(", ")})`;
      const { rows } = await client.query<UsageRecord>(
        `WITH days AS (
           SELECT ${key}, u.calls, u.call_seconds FROM lumentra.usage_days u WHERE ${where}
         ), paged AS (
           SELECT g.day, g.reseller_id, g.tenant_id, sum(g.calls)::bigint AS calls,
             sum(g.call_seconds)::bigint AS call_seconds
           FROM days g ${after}
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ${bind(page.size + 1)}
         ), costs AS (
           SELECT ${key}, u.provider, u.cost_micros FROM lumentra.usage_costs u WHERE ${where}
         ), priced AS (
           SELECT c.day, c.reseller_id, c.tenant_id, c.provider, sum(c.cost_micros)::bigint AS micros
           FROM costs c JOIN paged USING (day, reseller_id, tenant_id)
           GROUP BY 1, 2, 3, 4
         )
         SELECT p.day, p.reseller_id, p.tenant_id, p.calls, p.call_seconds,
           coalesce(sum(x.micros), 0)::bigint AS cost_micros,
           coalesce(jsonb_object_agg(x.provider, x.micros) FILTER (WHERE x.provider IS NOT NULL), '{}') AS costs
         FROM paged p LEFT JOIN priced x USING (day, reseller_id, tenant_id)
         GROUP BY p.day, p.reseller_id, p.tenant_id, p.calls, p.call_seconds
         ORDER BY p.day, p.reseller_id, p.tenant_id`,
        values,
      );
      return pageOf(rows.map(usageRowOf), page.size, (row) => [row.day, row.resellerId, row.tenantId]);
    },
  };
}

function usageRowOf(record: UsageRecord): UsageRow {
  return {
    day: record.day,
    resellerId: record.reseller_id,
    tenantId: record.tenant_id,
    calls: record.calls,
    callSeconds: record.call_seconds,
    costMicros: record.cost_micros,
    costMicrosByProvider: record.costs,
  };
}
