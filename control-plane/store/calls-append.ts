/**
 * Appending to a call's journal, under the lock of the call's row: look, judge, insert the events, update the row, and
 * at the end count the usage.
 *
 * Invariants
 * A1 sequences are stored once and without gaps; a batch is stored whole, from the first sequence that is new, or not
 *    at all.
 * A2 nothing is written under an epoch older than the row's.
 * A3 a call is counted in the usage exactly as its column `counted` says.
 */
import type { ClientBase } from "pg";
import type { JournalEvent } from "#actors/journal";
import { CALL_COLUMNS, type CallRecord, callRowOf, journalJsonOf, storable } from "./calls-rows.js";
import type { AppendVerdict, CallState } from "./store.js";
import { costOfCall, countUsage } from "./usage-count.js";

export async function appendToCall(
  client: ClientBase,
  callId: string,
  epoch: number,
  nodeId: string,
  events: readonly JournalEvent[],
): Promise<AppendVerdict> {
  if (events.some((event) => event.callId !== callId)) return invalid("an event is of another call");
  let call = await lockCall(client, callId);
  if (call === null) {
    const begun = await beginCall(client, callId, epoch, nodeId, events[0]);
    if ("kind" in begun) return begun;
    call = begun;
  }
  // A2
  if (epoch < call.epoch) return { kind: "leaseLost", epoch: call.epoch };
  const fresh = freshEvents(events, call.next_sequence);
  if (fresh === null) return { kind: "gap", nextSequence: call.next_sequence };
  if (call.closed && fresh.length > 0) return { kind: "ended", nextSequence: call.next_sequence };
  if (call.closed || (fresh.length === 0 && epoch === call.epoch)) return stored(call);
  const wrong = misplaced(fresh);
  if (wrong !== null) return invalid(wrong);
  return stored(await writeEvents(client, call, epoch, nodeId, fresh));
}

async function lockCall(client: ClientBase, callId: string): Promise<CallRecord | null> {
  const { rows } = await client.query<CallRecord>(
    `SELECT ${CALL_COLUMNS} FROM lumentra.call_ids i
     JOIN lumentra.calls c ON c.id = i.id AND c.started_at = i.started_at
     WHERE i.id = $1 FOR UPDATE OF c`,
    [callId],
  );
  return rows[0] ?? null;
}

/** Makes the rows of a new call, with no event in it yet; or takes those that a twin has just made. */
async function beginCall(
  client: ClientBase,
  callId: string,
  epoch: number,
  nodeId: string,
  first: JournalEvent | undefined,
): Promise<CallRecord | AppendVerdict> {
  if (first?.kind !== "callStarted" || first.sequence !== 0) return invalid("no callStarted came first");
  const startedAt = instantOf(first);
  if (Number.isNaN(startedAt.getTime())) return invalid("callStarted has no instant");
  const tenants = await client.query<{
    readonly reseller_id: string;
    readonly providers: (string | null)[];
    readonly storable: boolean;
  }>(
    // Narrower than what ensure_call_partitions refuses: its error would take the whole transaction with it.
    `SELECT reseller_id,
       ARRAY[config #>> '{stt,provider}', config #>> '{llm,provider}', config #>> '{tts,provider}'] AS providers,
       $2::timestamptz BETWEEN now() - interval '10 years' AND now() + interval '2 months' AS storable
     FROM lumentra.tenants WHERE id = $1`,
    [storable(first.tenantId), startedAt],
  );
  const tenant = tenants.rows[0];
  if (tenant === undefined) return invalid(`tenant ${first.tenantId} does not exist`);
  if (!tenant.storable) return invalid(`callStarted is at ${startedAt.toISOString()}`);
  await client.query("SELECT lumentra.ensure_call_partitions($1)", [startedAt]);
  const { rows } = await client.query<CallRecord>(
    `WITH fresh AS (
       INSERT INTO lumentra.call_ids (id, started_at, tenant_id, reseller_id) VALUES ($1::text, $2::timestamptz, $3::text, $4::text)
       ON CONFLICT (id) DO NOTHING RETURNING id, started_at, tenant_id, reseller_id
     )
     INSERT INTO lumentra.calls AS c (id, started_at, tenant_id, reseller_id, state, carrier, carrier_call_id,
       pii_from, pii_to, node_id, epoch, next_sequence, providers)
     SELECT id, started_at, tenant_id, reseller_id, 'live', $5::text, $6::text, $7::text, $8::text, $9::text,
       $10::bigint, 0, $11::text[] FROM fresh
     RETURNING ${CALL_COLUMNS}`,
    [
      callId,
      startedAt,
      first.tenantId,
      tenant.reseller_id,
      storable(first.carrier),
      storable(first.carrierCallId),
      storable(first.pii.from),
      storable(first.pii.to),
      nodeId,
      epoch,
      tenant.providers.flatMap((provider) => (provider === null ? [] : [ratedProvider(provider)])),
    ],
  );
  // None: a twin was first. The insert has waited for its commit, so its row is there to be locked.
  return rows[0] ?? (await lockCall(client, callId)) ?? invalid("the call was removed meanwhile");
}

/** A1: what is new, in order; null when a sequence is missing before it or within it. */
function freshEvents(events: readonly JournalEvent[], nextSequence: number): readonly JournalEvent[] | null {
  const fresh: JournalEvent[] = [];
  for (const event of events) {
    const expected = nextSequence + fresh.length;
    if (event.sequence > expected) return null;
    if (event.sequence === expected) fresh.push(event);
  }
  return fresh;
}

function misplaced(fresh: readonly JournalEvent[]): string | null {
  const early = fresh.slice(0, -1).find(({ kind }) => kind === "callEnded");
  if (early !== undefined) return `events follow callEnded at sequence ${early.sequence}`;
  const odd = fresh.find(({ kind, sequence }) => (kind === "callStarted") !== (sequence === 0));
  return odd === undefined ? null : `${odd.kind} at sequence ${odd.sequence}`;
}

async function writeEvents(
  client: ClientBase,
  call: CallRecord,
  epoch: number,
  nodeId: string,
  fresh: readonly JournalEvent[],
): Promise<CallRecord> {
  if (fresh.length > 0) {
    await client.query(
      `INSERT INTO lumentra.journal_events (call_id, call_started_at, tenant_id, reseller_id, sequence, epoch, kind,
         at_ms, at_unix_ms, data, pii, words)
       SELECT $1::text, $2::timestamptz, $3::text, $4::text, e.* FROM jsonb_to_recordset($5::jsonb) AS e (sequence int, epoch bigint, kind text,
         at_ms double precision, at_unix_ms double precision, data jsonb, pii jsonb, words text)`,
      [call.id, call.started_at, call.tenant_id, call.reseller_id, journalJsonOf(fresh)],
    );
  }
  const next = progressOf(call, fresh);
  const counted =
    next.endedAt === null ? null : await costOfCall(client, call.providers, call.started_at, next.endedAt);
  // Without new events a lost call that ended stays so, and what was counted stays counted.
  const kept = fresh.length === 0;
  const { rows } = await client.query<CallRecord>(
    `UPDATE lumentra.calls AS c SET node_id = $3, epoch = $4, next_sequence = c.next_sequence + $5, state = $6,
       ended_at = $7, outcome = $8, caller_turns = c.caller_turns + $9, resumes = c.resumes + $10,
       voice_to_voice_ms = c.voice_to_voice_ms || $11::real[], suspended_at = $12, lost = $13, closed = $14,
       counted = $15::jsonb
     WHERE c.id = $1 AND c.started_at = $2 RETURNING ${CALL_COLUMNS}`,
    [
      call.id,
      call.started_at,
      nodeId,
      epoch,
      fresh.length,
      next.state,
      next.endedAt,
      next.outcome,
      next.callerTurns,
      next.resumes,
      next.voiceToVoiceMs,
      next.suspendedAt,
      next.lost,
      next.closed,
      jsonOrNull(kept ? call.counted : counted),
    ],
  );
  // A3
  if (!kept) await countUsage(client, call.tenant_id, call.reseller_id, call.counted, counted);
  const written = rows[0];
  if (written === undefined) throw new Error(`call ${call.id} is locked and yet not there`);
  return written;
}

const REVIVING: ReadonlySet<JournalEvent["kind"]> = new Set(["callResumed", "callEnded"]);

interface Progress {
  state: CallState;
  endedAt: Date | null;
  outcome: string | null;
  suspendedAt: Date | null;
  lost: boolean;
  closed: boolean;
  callerTurns: number;
  resumes: number;
  readonly voiceToVoiceMs: number[];
}

function progressOf(call: CallRecord, fresh: readonly JournalEvent[]): Progress {
  // A call that was given up writes again: it is what its journal says, and no longer what we thought. One that was
  // ended for it stays so until it goes on or says itself how it ended: what a dead node left is not a live call.
  const found =
    call.lost &&
    (call.state === "suspended" ? fresh.length > 0 : fresh.some(({ kind }) => REVIVING.has(kind)));
  const progress: Progress = {
    state: found ? "live" : call.state,
    endedAt: found ? null : call.ended_at,
    outcome: found ? null : call.outcome,
    suspendedAt: found ? null : call.suspended_at,
    lost: found ? false : call.lost,
    closed: call.closed,
    callerTurns: 0,
    resumes: 0,
    voiceToVoiceMs: [],
  };
  for (const event of fresh) follow(progress, event);
  return progress;
}

function follow(progress: Progress, event: JournalEvent): void {
  switch (event.kind) {
    case "callerTurn":
      progress.callerTurns++;
      return;
    case "agentTurn":
      if (event.ledger.voiceToVoiceMs !== null) progress.voiceToVoiceMs.push(event.ledger.voiceToVoiceMs);
      return;
    case "legLost":
      progress.state = "suspended";
      progress.suspendedAt = instantOf(event);
      return;
    case "callResumed":
      progress.state = "live";
      progress.suspendedAt = null;
      progress.resumes++;
      return;
    case "callEnded":
      progress.state = "ended";
      progress.suspendedAt = null;
      progress.endedAt = instantOf(event);
      progress.outcome = event.outcome.kind;
      progress.closed = true;
      return;
    default:
      return;
  }
}

/** Flux is Deepgram's too, at the same rate. */
function ratedProvider(provider: string): string {
  return provider === "deepgram-flux" ? "deepgram" : provider;
}

/** Whole milliseconds, as page keys are. */
function instantOf(event: JournalEvent): Date {
  return new Date(Math.floor(event.atUnixMs));
}

function jsonOrNull(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}

function stored(call: CallRecord): AppendVerdict {
  return { kind: "stored", nextSequence: call.next_sequence, call: callRowOf(call) };
}

function invalid(reason: string): AppendVerdict {
  return { kind: "invalid", reason };
}
