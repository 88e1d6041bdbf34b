/** What a call adds to its tenant's day: written once at its end, taken back and written anew when the end is corrected. */
import type { ClientBase } from "pg";

/** Column `counted` of a call. */
export interface CountedUsage {
  /** UTC, of the end: YYYY-MM-DD. */
  readonly day: string;
  readonly seconds: number;
  /** Micros by provider. */
  readonly costs: Readonly<Record<string, number>>;
}

export async function costOfCall(
  client: ClientBase,
  providers: readonly string[],
  startedAt: Date,
  endedAt: Date,
): Promise<CountedUsage> {
  const { rows } = await client.query<{ readonly provider: string; readonly micros_per_minute: number }>(
    `SELECT DISTINCT ON (provider) provider, micros_per_minute FROM lumentra.provider_rates
     WHERE provider = ANY ($1::text[]) AND valid_from <= $2 ORDER BY provider, valid_from DESC`,
    [providers, endedAt],
  );
  // The clocks of two nodes may disagree: never less than nothing.
  const seconds = Math.max(0, Math.round((endedAt.getTime() - startedAt.getTime()) / 1_000));
  const costs: Record<string, number> = {};
  for (const rate of rows) costs[rate.provider] = Math.round((rate.micros_per_minute * seconds) / 60);
  return { day: endedAt.toISOString().slice(0, 10), seconds, costs };
}

/** Takes `before` out and puts `after` in. Last in its transaction: the day's row is shared by all calls of the tenant. */
export async function countUsage(
  client: ClientBase,
  tenantId: string,
  resellerId: string,
  before: CountedUsage | null,
  after: CountedUsage | null,
): Promise<void> {
  const days: { day: string; calls: number; seconds: number }[] = [];
  const costs: { day: string; provider: string; micros: number }[] = [];
  const add = (usage: CountedUsage, sign: 1 | -1): void => {
    days.push({ day: usage.day, calls: sign, seconds: sign * usage.seconds });
    for (const [provider, micros] of Object.entries(usage.costs)) {
      costs.push({ day: usage.day, provider, micros: sign * micros });
    }
  };
  if (before !== null) add(before, -1);
  if (after !== null) add(after, 1);
  if (days.length === 0) return;
  // Always in the order of their keys, so that two calls of one tenant never wait for each other in a circle.
  await client.query(
    `INSERT INTO lumentra.usage_days AS u (day, tenant_id, reseller_id, calls, call_seconds)
     SELECT d.day, $1::text, $2::text, sum(d.calls), sum(d.seconds)
     FROM jsonb_to_recordset($3::jsonb) AS d (day date, calls bigint, seconds bigint)
     GROUP BY d.day ORDER BY d.day
     ON CONFLICT (day, tenant_id) DO UPDATE
       SET calls = u.calls + excluded.calls, call_seconds = u.call_seconds + excluded.call_seconds`,
    [tenantId, resellerId, JSON.stringify(days)],
  );
  if (costs.length === 0) return;
  await client.query(
    `INSERT INTO lumentra.usage_costs AS u (day, tenant_id, provider, reseller_id, cost_micros)
     SELECT d.day, $1::text, d.provider, $2::text, sum(d.micros)
     FROM jsonb_to_recordset($3::jsonb) AS d (day date, provider text, micros bigint)
     GROUP BY d.day, d.provider ORDER BY d.day, d.provider COLLATE "C"
     ON CONFLICT (day, tenant_id, provider) DO UPDATE SET cost_micros = u.cost_micros + excluded.cost_micros`,
    [tenantId, resellerId, JSON.stringify(costs)],
  );
}
