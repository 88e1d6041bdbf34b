/**
 * Journal events on the wire (lumentra.call.v1.JournalEvent): one codec per kind of fact, in a table whose type
 * asks for every kind of ours and every fact of the proto.
 *
 * Invariants
 * W1 what is written here is read back the same: instants and epochs to the bit, durations to the nanosecond.
 * W2 what is not a whole event of ours is refused (JOURNAL_EVENT_INVALID), never filled in. The one exception is
 *    how a call ended: newer nodes may know more ways, and a call that ended is over for older readers too.
 */
import type {
  AgentTurnCut,
  AgentTurnSource,
  BargeInRejection,
  Duration,
  Duration__Output,
  JournalEvent as EventMessage,
  JournalEvent__Output as EventMessage__Output,
  ResumeReason as ResumeReasonMessage,
  Timestamp,
  TurnLedger as LedgerMessage,
  TurnLedger__Output as LedgerMessage__Output,
} from "#proto";
import type { CallOutcome } from "#runtime/cluster";
import { LumentraError } from "#runtime/errors";
import type { JournalEvent, JournalFact, TurnLedger } from "./journal.js";

/** An event as it may be sent, and as JSON-like readers of the API get it. */
export function journalEventToProto(event: JournalEvent): EventMessage {
  const { callId, sequence, epoch, atMs, atUnixMs } = event;
  return { callId, sequence, epoch, atMs, time: toTimestamp(atUnixMs), ...factToProto(event) };
}

/** @throws LumentraError JOURNAL_EVENT_INVALID, without a word of what the event says. */
export function journalEventFromProto(message: EventMessage__Output): JournalEvent {
  const kind = message.fact;
  if (message.callId === "") throw invalid("it names no call");
  if (kind === undefined || !(kind in codecs)) throw invalid("it states no fact known here");
  const time = present(message.time, "time");
  return {
    ...factFromProto(kind, message),
    callId: message.callId,
    sequence: whole(message.sequence, "sequence"),
    epoch: whole(message.epoch, "epoch"),
    atMs: finite(message.atMs, "at_ms"),
    atUnixMs: whole(time.seconds, "time") * 1_000 + time.nanos / 1e6,
  };
}

type Kind = JournalFact["kind"];
/** A kind that the proto has and we have not, or the other way round, does not compile. */
type WireKind = NonNullable<EventMessage__Output["fact"]>;
type Fact<K extends Kind> = Extract<JournalFact, { kind: K }>;
type Codecs = {
  readonly [K in Kind | WireKind]: {
    toProto(fact: Fact<K>): NonNullable<EventMessage[K]>;
    fromProto(message: NonNullable<EventMessage__Output[K]>): Omit<Fact<K>, "kind">;
  };
};

const SOURCES = {
  greeting: "AGENT_TURN_SOURCE_GREETING",
  quickReply: "AGENT_TURN_SOURCE_QUICK_REPLY",
  model: "AGENT_TURN_SOURCE_MODEL",
  prompt: "AGENT_TURN_SOURCE_PROMPT",
} as const satisfies Record<Fact<"agentTurn">["source"], AgentTurnSource>;

const CUTS = {
  bargeIn: "AGENT_TURN_CUT_BARGE_IN",
  legEnded: "AGENT_TURN_CUT_LEG_ENDED",
  failed: "AGENT_TURN_CUT_FAILED",
} as const satisfies Record<NonNullable<Fact<"agentTurn">["cut"]>, AgentTurnCut>;

const REJECTIONS = {
  backchannel: "BARGE_IN_REJECTION_BACKCHANNEL",
  echo: "BARGE_IN_REJECTION_ECHO",
  tooShort: "BARGE_IN_REJECTION_TOO_SHORT",
} as const satisfies Record<Fact<"bargeInRejected">["reason"], BargeInRejection>;

const RESUME_REASONS = {
  legLost: "RESUME_REASON_LEG_LOST",
  actorCrashed: "RESUME_REASON_ACTOR_CRASHED",
  shardLost: "RESUME_REASON_SHARD_LOST",
  moved: "RESUME_REASON_MOVED",
} as const satisfies Record<Fact<"callResumed">["reason"], ResumeReasonMessage>;

const codecs: Codecs = {
  callStarted: {
    toProto: ({ tenantId, carrier, carrierCallId, nodeId, pii }) => ({
      tenantId,
      carrier,
      carrierCallId,
      nodeId,
      pii: { from: pii.from, to: pii.to },
    }),
    fromProto: ({ tenantId, carrier, carrierCallId, nodeId, pii }) => {
      const { from, to } = present(pii, "call_started.pii");
      return { tenantId, carrier, carrierCallId, nodeId, pii: { from, to } };
    },
  },
  callerTurn: {
    toProto: ({ turn, throughAtMs, pii }) => ({
      turn,
      ...(throughAtMs !== null && { throughAtMs }),
      pii: { said: pii.said },
    }),
    fromProto: ({ turn, throughAtMs, pii }) => ({
      turn,
      throughAtMs: instantOrNull(throughAtMs, "caller_turn.through_at_ms"),
      pii: { said: present(pii, "caller_turn.pii").said },
    }),
  },
  callerProgress: {
    toProto: ({ turn, throughAtMs, isOpen, pii }) => ({
      turn,
      ...(throughAtMs !== null && { throughAtMs }),
      open: isOpen,
      pii: { said: pii.said },
    }),
    fromProto: ({ turn, throughAtMs, open, pii }) => ({
      turn,
      throughAtMs: instantOrNull(throughAtMs, "caller_progress.through_at_ms"),
      isOpen: open,
      pii: { said: present(pii, "caller_progress.pii").said },
    }),
  },
  agentTurn: {
    toProto: ({ turn, source, cut, ledger, pii }) => ({
      turn,
      source: SOURCES[source],
      cut: cut === null ? "AGENT_TURN_CUT_UNSPECIFIED" : CUTS[cut],
      ledger: ledgerToProto(ledger),
      pii: { intended: pii.intended, heard: pii.heard },
    }),
    fromProto: ({ turn, source, cut, ledger, pii }) => {
      const { intended, heard } = present(pii, "agent_turn.pii");
      return {
        turn,
        source: named(SOURCES, source, "agent_turn.source"),
        cut: cut === "AGENT_TURN_CUT_UNSPECIFIED" ? null : named(CUTS, cut, "agent_turn.cut"),
        ledger: ledgerFromProto(present(ledger, "agent_turn.ledger")),
        pii: { intended, heard },
      };
    },
  },
  agentProgress: {
    toProto: ({ turn, source, whole: isWhole, pii }) => ({
      turn,
      source: SOURCES[source],
      whole: isWhole,
      pii: { intended: pii.intended, heard: pii.heard },
    }),
    fromProto: ({ turn, source, whole: isWhole, pii }) => {
      const { intended, heard } = present(pii, "agent_progress.pii");
      const from = named(SOURCES, source, "agent_progress.source");
      return { turn, source: from, whole: isWhole, pii: { intended, heard } };
    },
  },
  bargeIn: {
    toProto: ({ turn, decidedAtMs, clearSentAtMs }) => ({
      turn,
      decidedAtMs,
      ...(clearSentAtMs !== null && { clearSentAtMs }),
    }),
    fromProto: ({ turn, decidedAtMs, clearSentAtMs }) => ({
      turn,
      decidedAtMs: finite(decidedAtMs, "barge_in.decided_at_ms"),
      clearSentAtMs: clearSentAtMs ?? null,
    }),
  },
  bargeInRejected: {
    toProto: ({ turn, reason }) => ({ turn, reason: REJECTIONS[reason] }),
    fromProto: ({ turn, reason }) => ({
      turn,
      reason: named(REJECTIONS, reason, "barge_in_rejected.reason"),
    }),
  },
  eagerDiscarded: {
    toProto: ({ turn }) => ({ turn }),
    fromProto: ({ turn }) => ({ turn }),
  },
  toolCalled: {
    toProto: ({ turn, tool, ok, durationMs, pii }) => ({
      turn,
      tool,
      ok,
      duration: toDuration(durationMs),
      pii: { argumentsJson: pii.argumentsJson, result: pii.result },
    }),
    fromProto: ({ turn, tool, ok, duration, pii }) => {
      const { argumentsJson, result } = present(pii, "tool_called.pii");
      const durationMs = fromDuration(duration, "tool_called.duration");
      return { turn, tool, ok, durationMs, pii: { argumentsJson, result } };
    },
  },
  dtmf: {
    toProto: ({ pii }) => ({ pii: { digit: pii.digit } }),
    fromProto: ({ pii }) => ({ pii: { digit: present(pii, "dtmf.pii").digit } }),
  },
  providerFailed: {
    toProto: ({ provider, code, fallback }) => ({ provider, code, fallback: fallback ?? "" }),
    fromProto: ({ provider, code, fallback }) => ({ provider, code, fallback: fallback || null }),
  },
  messageOffered: {
    toProto: ({ code, audioFile }) => ({ code, audioFile: audioFile ?? "" }),
    fromProto: ({ code, audioFile }) => ({ code, audioFile: audioFile || null }),
  },
  messageTaken: {
    toProto: ({ durationMs, audioFile, audioConfirmed, more, pii }) => ({
      audioConfirmed,
      more,
      duration: toDuration(durationMs),
      audioFile: audioFile ?? "",
      pii: { transcript: pii.transcript },
    }),
    fromProto: ({ duration, audioFile, audioConfirmed, more, pii }) => ({
      audioConfirmed,
      more,
      durationMs: fromDuration(duration, "message_taken.duration"),
      audioFile: audioFile || null,
      pii: { transcript: present(pii, "message_taken.pii").transcript },
    }),
  },
  legLost: { toProto: () => ({}), fromProto: () => ({}) },
  callResumed: {
    toProto: ({ nodeId, gapMs, reason }) => ({
      nodeId,
      gap: toDuration(gapMs),
      reason: RESUME_REASONS[reason],
    }),
    fromProto: ({ nodeId, gap, reason }) => ({
      nodeId,
      gapMs: fromDuration(gap, "call_resumed.gap"),
      // Written before there were others.
      reason:
        reason === "RESUME_REASON_UNSPECIFIED"
          ? "legLost"
          : named(RESUME_REASONS, reason, "call_resumed.reason"),
    }),
  },
  callEnded: {
    toProto: ({ outcome, durationMs }) => ({
      outcome: outcome.kind,
      code: "code" in outcome ? outcome.code : "",
      duration: toDuration(durationMs),
    }),
    fromProto: ({ outcome, code, duration }) => ({
      outcome: outcomeFromProto(outcome, code),
      durationMs: fromDuration(duration, "call_ended.duration"),
    }),
  },
};

/** TypeScript cannot follow which codec goes with which member of a union; the table's type has seen to it. */
interface AnyCodec {
  toProto(fact: JournalFact): object;
  fromProto(message: object): object;
}

function codecOf(kind: Kind): AnyCodec {
  return codecs[kind];
}

function factToProto(fact: JournalFact): EventMessage {
  return { fact: fact.kind, [fact.kind]: codecOf(fact.kind).toProto(fact) };
}

function factFromProto(kind: Kind, message: EventMessage__Output): JournalFact {
  return { kind, ...codecOf(kind).fromProto(present<object>(message[kind], kind)) } as JournalFact;
}

/** W2. An outcome of a later version keeps its name. */
function outcomeFromProto(outcome: string, code: string): CallOutcome {
  if (outcome === "") throw invalid("call_ended.outcome is empty");
  return (code === "" ? { kind: outcome } : { kind: outcome, code }) as CallOutcome;
}

const LEDGER_FIELDS = Object.keys({
  speechEndAtMs: 0,
  sttInterimAtMs: 0,
  sttFinalAtMs: 0,
  llmStartAtMs: 0,
  eagerStartAtMs: 0,
  llmFirstTokenAtMs: 0,
  ttsFirstAudioAtMs: 0,
  committedAtMs: 0,
  firstByteSentAtMs: 0,
  voiceToVoiceMs: 0,
} satisfies Record<keyof TurnLedger, 0>) as readonly (keyof TurnLedger)[];

function ledgerToProto(ledger: TurnLedger): LedgerMessage {
  const message: LedgerMessage = {};
  for (const field of LEDGER_FIELDS) if (ledger[field] !== null) message[field] = ledger[field];
  return message;
}

function ledgerFromProto(message: LedgerMessage__Output): TurnLedger {
  const entries = LEDGER_FIELDS.map((field) => [field, message[field] ?? null] as const);
  return Object.fromEntries(entries) as unknown as TurnLedger;
}

function toTimestamp(unixMs: number): Timestamp {
  return split(unixMs, Math.floor(unixMs / 1_000));
}

function toDuration(ms: number): Duration {
  return split(ms, Math.trunc(ms / 1_000));
}

function split(ms: number, seconds: number): { seconds: number; nanos: number } {
  const nanos = Math.round((ms - seconds * 1_000) * 1e6);
  return Math.abs(nanos) === 1e9 ? { seconds: seconds + Math.sign(nanos), nanos: 0 } : { seconds, nanos };
}

function fromDuration(duration: Duration__Output | null, field: string): number {
  const { seconds, nanos } = present(duration, field);
  return (seconds * 1e9 + nanos) / 1e6; // rounded once
}

function named<Name extends string>(
  table: Readonly<Record<Name, string>>,
  value: string | number,
  field: string,
): Name {
  const found = (Object.keys(table) as Name[]).find((name) => table[name] === value);
  if (found === undefined) throw invalid(`${field} is not known here (${value})`);
  return found;
}

function present<Value>(value: Value | null | undefined, field: string): Value {
  if (value === null || value === undefined) throw invalid(`${field} is missing`);
  return value;
}

function whole(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${field} is no whole number (${value})`);
  return value;
}

function instantOrNull(value: number | undefined, field: string): number | null {
  return value === undefined ? null : finite(value, field);
}

function finite(value: number, field: string): number {
  if (!Number.isFinite(value)) throw invalid(`${field} is no number (${value})`);
  return value;
}

function invalid(what: string): LumentraError {
  return new LumentraError("JOURNAL_EVENT_INVALID", `a journal event is invalid: ${what}`);
}
