/**
 * Calls and their journals, read; and what time does to them: suspension, end, removal. Writing a journal is
 * calls-append.ts. A call is found by its id through call_ids, which tells its partition.
 */
import type { ClientBase } from "pg";
import type { JournalEvent } from "#actors/journal";
import { appendToCall } from "./calls-append.js";
import {
  CALL_COLUMNS,
  type CallRecord,
  callRowOf,
  journalEventOf,
  type JournalRecord,
} from "./calls-rows.js";
import { likeAnywhere, pageOf } from "./paging.js";
import type { CallFilter, CallRow, Page, PageRequest, StoreTransaction } from "./store.js";
import { costOfCall, countUsage } from "./usage-count.js";

export function callsRepository(client: ClientBase): StoreTransaction["calls"] {
  return {
    get: (id) => getCall(client, id),
    list: (filter, page) => listCalls(client, filter, page),
    fence: (callId, epoch) => fenceCall(client, callId, epoch),
    journal: (callId, fromSequence, limit) => readJournal(client, callId, fromSequence, limit),
    append: (callId, epoch, nodeId, events) => appendToCall(client, callId, epoch, nodeId, events),
    lose: (callId, epoch, final, outcome) => loseCall(client, callId, epoch, final, outcome),
    suspendedBefore: (instant, limit) => suspendedBefore(client, instant, limit),
    purge: (limit) => purgeCalls(client, limit),
  };
}

async function getCall(client: ClientBase, id: string): Promise<CallRow | null> {
  const { rows } = await client.query<CallRecord>(
    `SELECT ${CALL_COLUMNS} FROM lumentra.call_ids i
     JOIN lumentra.calls c ON c.id = i.id AND c.started_at = i.started_at
     WHERE i.id = $1`,
    [id],
  );
  return rows[0] === undefined ? null : callRowOf(rows[0]);
}

async function listCalls(client: ClientBase, filter: CallFilter, page: PageRequest): Promise<Page<CallRow>> {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const where = (value: unknown, condition: (parameter: string) => string): void => {
    if (value !== undefined) conditions.push(condition(bind(value)));
  };
  where(filter.tenantId, (p) => `c.tenant_id = ${p}`);
  where(filter.resellerId, (p) => `c.reseller_id = ${p}`);
  where(filter.state, (p) => `c.state = ${p}`);
  where(filter.outcome, (p) => `c.outcome = ${p}`);
  where(filter.startedAfter, (p) => `c.started_at >= ${p}`);
  where(filter.startedBefore, (p) => `c.started_at < ${p}`);
  where(filter.fromNumber, (p) => `c.pii_from = ${p}`);
  where(filter.toNumber, (p) => `c.pii_to = ${p}`);
  if (filter.query !== undefined && filter.query !== "") {
    const pattern = bind(likeAnywhere(filter.query.toLowerCase()));
    conditions.push(`EXISTS (SELECT FROM lumentra.journal_events e
      WHERE e.call_id = c.id AND e.call_started_at = c.started_at
        AND e.words IS NOT NULL AND e.words LIKE ${pattern})`);
  }
  if (page.after !== null) {
    const [startedAt, id] = page.after;
    conditions.push(`(c.started_at, c.id) < (${bind(startedAt)}::timestamptz, ${bind(id)}::text)`);
  }
  const { rows } = await client.query<CallRecord>(
    `SELECT ${CALL_COLUMNS} FROM lumentra.calls c
     ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}
     ORDER BY c.started_at DESC, c.id DESC LIMIT ${bind(page.size + 1)}`,
    values,
  );
  return pageOf(rows.map(callRowOf), page.size, (row) => [row.startedAt.toISOString(), row.id]);
}

async function readJournal(
  client: ClientBase,
  callId: string,
  fromSequence: number,
  limit: number,
): Promise<readonly JournalEvent[] | null> {
  // The call's row comes with each event, and alone when there is none: no row at all means no such call.
  const { rows } = await client.query<JournalRecord | { readonly sequence: null }>(
    `SELECT i.id AS call_id, e.sequence, e.epoch, e.kind, e.at_ms, e.at_unix_ms, e.data, e.pii
     FROM lumentra.call_ids i
     LEFT JOIN LATERAL (
       SELECT * FROM lumentra.journal_events j
       WHERE j.call_id = i.id AND j.call_started_at = i.started_at AND j.sequence >= $2
       ORDER BY j.sequence LIMIT $3
     ) e ON true
     WHERE i.id = $1
     ORDER BY e.sequence`,
    [callId, fromSequence, limit],
  );
  if (rows.length === 0) return null;
  return rows.flatMap((row) => (row.sequence === null ? [] : [journalEventOf(row)]));
}

async function fenceCall(client: ClientBase, callId: string, epoch: number): Promise<number | null> {
  const { rows } = await client.query<{ readonly epoch: number }>(
    `UPDATE lumentra.calls AS c SET epoch = greatest(c.epoch, $2) FROM lumentra.call_ids i
     WHERE i.id = $1 AND c.id = i.id AND c.started_at = i.started_at RETURNING c.epoch`,
    [callId, epoch],
  );
  return rows[0]?.epoch ?? null;
}

async function loseCall(
  client: ClientBase,
  callId: string,
  epoch: number,
  final: boolean,
  outcome: string,
): Promise<CallRow | null> {
  const found = await client.query<CallRecord>(
    `SELECT ${CALL_COLUMNS} FROM lumentra.call_ids i
     JOIN lumentra.calls c ON c.id = i.id AND c.started_at = i.started_at
     WHERE i.id = $1 FOR UPDATE OF c`,
    [callId],
  );
  const call = found.rows[0];
  if (call === undefined || call.epoch > epoch || call.state === "ended") return null;
  if (call.state === "live") {
    const { rows } = await client.query<CallRecord>(
      `UPDATE lumentra.calls AS c SET state = 'suspended', suspended_at = lumentra.now_ms(), lost = true
       WHERE c.id = $1 AND c.started_at = $2 RETURNING ${CALL_COLUMNS}`,
      [call.id, call.started_at],
    );
    return callRowOf(rows[0] ?? call);
  }
  if (!final) return callRowOf(call);
  // It was over when it was last heard of: the grace is nobody's minute.
  const endedAt = call.suspended_at ?? call.started_at;
  const counted = await costOfCall(client, call.providers, call.started_at, endedAt);
  const { rows } = await client.query<CallRecord>(
    `UPDATE lumentra.calls AS c SET state = 'ended', ended_at = $3, outcome = $4, lost = true, counted = $5::jsonb
     WHERE c.id = $1 AND c.started_at = $2 RETURNING ${CALL_COLUMNS}`,
    [call.id, call.started_at, endedAt, outcome, JSON.stringify(counted)],
  );
  await countUsage(client, call.tenant_id, call.reseller_id, call.counted, counted);
  return callRowOf(rows[0] ?? call);
}

async function suspendedBefore(
  client: ClientBase,
  instant: Date,
  limit: number,
): Promise<readonly CallRow[]> {
  // `<> 'ended'` is what the index of calls going on was made with.
  const { rows } = await client.query<CallRecord>(
    `SELECT ${CALL_COLUMNS} FROM lumentra.calls c
     WHERE c.state <> 'ended' AND c.state = 'suspended' AND c.suspended_at < $1
     ORDER BY c.suspended_at, c.id LIMIT $2`,
    [instant, limit],
  );
  return rows.map(callRowOf);
}

async function purgeCalls(client: ClientBase, limit: number): Promise<number> {
  // Tenant by tenant, along calls_by_tenant: what is due stands at the front. A call still going on has a day more.
  const { rows } = await client.query<{ readonly removed: number }>(
    `WITH kept AS (
       SELECT id AS tenant_id, coalesce((config #>> '{retention,callDays}')::int, 365) AS days FROM lumentra.tenants
       UNION ALL
       SELECT tenant_id, call_days FROM lumentra.deleted_tenants
     ), due AS MATERIALIZED (
       SELECT d.id, d.started_at FROM kept k CROSS JOIN LATERAL (
         SELECT c.id, c.started_at FROM lumentra.calls c
         WHERE c.tenant_id = k.tenant_id AND c.started_at < now() - make_interval(days => k.days)
           AND (c.state = 'ended' OR c.started_at < now() - make_interval(days => k.days + 1))
         ORDER BY c.started_at, c.id LIMIT $1
       ) d LIMIT $1
     ), events AS (
       DELETE FROM lumentra.journal_events e USING due d WHERE e.call_id = d.id AND e.call_started_at = d.started_at
     ), ids AS (
       DELETE FROM lumentra.call_ids i USING due d WHERE i.id = d.id
     ), removed AS (
       DELETE FROM lumentra.calls c USING due d WHERE c.id = d.id AND c.started_at = d.started_at RETURNING c.id
     )
     SELECT count(*)::int AS removed FROM removed`,
    [limit],
  );
  return rows[0]?.removed ?? 0;
}
