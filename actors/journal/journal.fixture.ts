/** Journal events made up from a seed: every kind, every choice, with and without what may be null. */
import type { Random } from "#runtime/actor";
import type { CallOutcome } from "#runtime/cluster";
import type { JournalEvent, JournalFact, TurnLedger } from "./journal.js";

type Kind = JournalFact["kind"];

const SOURCES = ["greeting", "quickReply", "model", "prompt"] as const;
const WORDS = ["yes", "naïve", "¿dónde?", "at five", "0800 555-01-99", "漢字", "\u{1f44d}", "“quoted”", ""];
/** Every way to end that a journal can tell: `leaseLost` is told by nobody, the next owner goes on. */
const OUTCOMES: readonly CallOutcome[] = [
  { kind: "agentHungUp" },
  { kind: "callerHungUp" },
  { kind: "callerSilent" },
  { kind: "maxDuration" },
  { kind: "legLost" },
  { kind: "legEvicted" },
  { kind: "providerFailed", code: "STT_STREAM_BROKEN" },
  { kind: "actorCrashed", code: "INTERNAL" },
  { kind: "shardLost" },
  { kind: "nodeLost" },
  { kind: "operatorHungUp" },
  { kind: "drained" },
  { kind: "mediaNeverCame" },
];

/** A kind missing here does not compile. */
const makers: { readonly [K in Kind]: (random: Random) => Extract<JournalFact, { kind: K }> } = {
  callStarted: (random) => ({
    kind: "callStarted",
    tenantId: "dentist",
    carrier: "twilio",
    carrierCallId: "CA1",
    nodeId: "node-1",
    pii: { from: text(random), to: "+12025550101" },
  }),
  callerTurn: (random) => ({
    kind: "callerTurn",
    turn: count(random),
    throughAtMs: maybe(random, instant(random)),
    pii: { said: text(random) },
  }),
  callerProgress: (random) => ({
    kind: "callerProgress",
    turn: count(random),
    throughAtMs: maybe(random, instant(random)),
    isOpen: random.next() < 0.5,
    pii: { said: text(random) },
  }),
  agentTurn: (random) => ({
    kind: "agentTurn",
    turn: count(random),
    source: pick(random, SOURCES),
    cut: pick(random, [null, "bargeIn", "legEnded", "failed"] as const),
    ledger: ledger(random),
    pii: { intended: text(random), heard: text(random) },
  }),
  agentProgress: (random) => ({
    kind: "agentProgress",
    turn: count(random),
    whole: random.next() < 0.5,
    source: pick(random, SOURCES),
    pii: { intended: text(random), heard: text(random) },
  }),
  bargeIn: (random) => ({
    kind: "bargeIn",
    turn: count(random),
    decidedAtMs: instant(random),
    clearSentAtMs: maybe(random, instant(random)),
  }),
  bargeInRejected: (random) => ({
    kind: "bargeInRejected",
    turn: count(random),
    reason: pick(random, ["backchannel", "echo", "tooShort"] as const),
  }),
  eagerDiscarded: (random) => ({ kind: "eagerDiscarded", turn: count(random) }),
  toolCalled: (random) => ({
    kind: "toolCalled",
    turn: count(random),
    tool: "check_opening_hours",
    ok: random.next() < 0.5,
    durationMs: duration(random),
    pii: { argumentsJson: '{"day":"monday"}', result: text(random) },
  }),
  dtmf: (random) => ({ kind: "dtmf", pii: { digit: pick(random, "0123456789*#ABCD".split("")) } }),
  providerFailed: (random) => ({
    kind: "providerFailed",
    provider: "deepgram",
    code: "STT_STREAM_BROKEN",
    fallback: maybe(random, "deepgram-flux"),
  }),
  messageOffered: (random) => ({
    kind: "messageOffered",
    code: pick(random, ["LLM_TIMEOUT", "STT_UNAVAILABLE"] as const),
    audioFile: maybe(random, "messages/call-1.wav"),
  }),
  messageTaken: (random) => ({
    kind: "messageTaken",
    durationMs: duration(random),
    audioFile: maybe(random, "messages/call-1.wav"),
    audioConfirmed: random.next() < 0.5,
    more: random.next() < 0.5,
    pii: { transcript: text(random) },
  }),
  legLost: () => ({ kind: "legLost" }),
  callResumed: (random) => ({
    kind: "callResumed",
    nodeId: "node-2",
    gapMs: duration(random),
    reason: pick(random, ["legLost", "actorCrashed", "shardLost", "moved"] as const),
  }),
  callEnded: (random) => ({
    kind: "callEnded",
    outcome: pick(random, OUTCOMES),
    durationMs: duration(random),
  }),
};

export const JOURNAL_KINDS = Object.keys(makers) as readonly Kind[];

export function randomJournalEvent(random: Random, kind: Kind): JournalEvent {
  return {
    ...makers[kind](random),
    callId: "call-1",
    sequence: Math.floor(random.next() * 2 ** 53),
    epoch: 1_790_000_000_000 + count(random),
    atMs: instant(random),
    // To a quarter of a microsecond, which is what a double of this size can tell.
    atUnixMs: 1_790_000_000_000 + instant(random),
  };
}

function ledger(random: Random): TurnLedger {
  const at = (): number | null => maybe(random, instant(random));
  return {
    speechEndAtMs: at(),
    sttInterimAtMs: at(),
    sttFinalAtMs: at(),
    llmStartAtMs: at(),
    eagerStartAtMs: at(),
    llmFirstTokenAtMs: at(),
    ttsFirstAudioAtMs: at(),
    committedAtMs: at(),
    firstByteSentAtMs: at(),
    voiceToVoiceMs: at(),
  };
}

function instant(random: Random): number {
  return pick(random, [0, 999.9999999, random.next() * 1e9, Math.floor(random.next() * 1e9)]);
}

/** Whole nanoseconds: finer does not exist on the wire. */
function duration(random: Random): number {
  const wholeMs = Math.floor(random.next() * 4_000_000);
  return wholeMs + Math.floor(random.next() * 1e6) / 1e6;
}

function text(random: Random): string {
  return Array.from({ length: count(random) % 9 }, () => pick(random, WORDS)).join(" ");
}

function count(random: Random): number {
  return Math.floor(random.next() * 1_000);
}

function maybe<Value>(random: Random, value: Value): Value | null {
  return random.next() < 0.3 ? null : value;
}

function pick<Value>(random: Random, choices: readonly Value[]): Value {
  return choices[Math.floor(random.next() * choices.length)]!;
}
