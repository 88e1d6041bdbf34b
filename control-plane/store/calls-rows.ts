/** Rows of calls and journal_events as Postgres gives them, and as the store does. */
import type { JournalEvent } from "#actors/journal";
import type { CallRow, CallState } from "./store.js";
import type { CountedUsage } from "./usage-count.js";

export interface CallRecord {
  readonly id: string;
  readonly started_at: Date;
  readonly tenant_id: string;
  readonly reseller_id: string;
  readonly state: CallState;
  readonly carrier: string;
  readonly carrier_call_id: string;
  readonly pii_from: string;
  readonly pii_to: string;
  readonly node_id: string;
  readonly epoch: number;
  readonly next_sequence: number;
  readonly ended_at: Date | null;
  readonly outcome: string | null;
  readonly caller_turns: number;
  readonly resumes: number;
  readonly voice_to_voice_ms_p50: number | null;
  readonly suspended_at: Date | null;
  readonly lost: boolean;
  readonly closed: boolean;
  readonly providers: string[];
  readonly counted: CountedUsage | null;
}

/** Of lumentra.calls under the alias c. */
export const CALL_COLUMNS = `c.id, c.started_at, c.tenant_id, c.reseller_id, c.state, c.carrier, c.carrier_call_id,
  c.pii_from, c.pii_to, c.node_id, c.epoch, c.next_sequence, c.ended_at, c.outcome, c.caller_turns, c.resumes,
  c.suspended_at, c.lost, c.closed, c.providers, c.counted,
  (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v.ms) FROM unnest(c.voice_to_voice_ms) AS v (ms))
    AS voice_to_voice_ms_p50`;

export interface JournalRecord {
  readonly call_id: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: string;
  readonly at_ms: number;
  readonly at_unix_ms: number;
  readonly data: Readonly<Record<string, unknown>>;
  readonly pii: Readonly<Record<string, unknown>> | null;
}

export function callRowOf(record: CallRecord): CallRow {
  return {
    id: record.id,
    tenantId: record.tenant_id,
    resellerId: record.reseller_id,
    state: record.state,
    carrier: record.carrier,
    carrierCallId: record.carrier_call_id,
    pii: { from: record.pii_from, to: record.pii_to },
    nodeId: record.node_id,
    epoch: record.epoch,
    nextSequence: record.next_sequence,
    startedAt: record.started_at,
    endedAt: record.ended_at,
    outcome: record.outcome,
    lost: record.lost,
    callerTurns: record.caller_turns,
    resumes: record.resumes,
    voiceToVoiceMsP50: record.voice_to_voice_ms_p50,
  };
}

/** The event as it was appended: the row was made from one, so it is one. */
export function journalEventOf(record: JournalRecord): JournalEvent {
  return {
    ...record.data,
    ...(record.pii === null ? {} : { pii: record.pii }),
    kind: record.kind,
    callId: record.call_id,
    sequence: record.sequence,
    epoch: record.epoch,
    atMs: record.at_ms,
    atUnixMs: record.at_unix_ms,
  } as unknown as JournalEvent;
}

/** For jsonb_to_recordset; absent fields become NULL. */
export function journalJsonOf(events: readonly JournalEvent[]): string {
  return JSON.stringify(
    events.map((event) => {
      const { callId: _callId, sequence, epoch, atMs, atUnixMs, kind, ...rest } = event;
      const { pii, ...data } = rest as Readonly<Record<string, unknown>>;
      return { sequence, epoch, kind, at_ms: atMs, at_unix_ms: atUnixMs, data, pii, words: wordsOf(event) };
    }),
    (_key, value: unknown) => (typeof value === "string" ? storable(value) : value),
  );
}

/** Postgres holds neither NUL nor half a surrogate pair; one such character must not stop a call's journal. */
export function storable(text: string): string {
  return text.replaceAll("\u0000", "").replaceAll(/\p{Surrogate}/gu, "\ufffd");
}

function wordsOf(event: JournalEvent): string | undefined {
  const words =
    event.kind === "callerTurn" ? event.pii.said : event.kind === "agentTurn" ? event.pii.heard : "";
  return words === "" ? undefined : words.toLowerCase();
}
