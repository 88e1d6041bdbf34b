import t from "tap";
import type { JournalEvent, TurnLedger } from "#actors/journal";
import { type PhoneCallResult, newStats } from "./phone-types.js";
import { turnsOf } from "./turns.js";

const NO_LEDGER: TurnLedger = {
  speechEndAtMs: null,
  sttInterimAtMs: null,
  sttFinalAtMs: null,
  llmStartAtMs: null,
  eagerStartAtMs: null,
  llmFirstTokenAtMs: null,
  ttsFirstAudioAtMs: null,
  committedAtMs: null,
  firstByteSentAtMs: null,
  voiceToVoiceMs: null,
};

const utterance = (text: string, startedAtMs: number, endedAtMs: number) => ({
  text,
  startedAtMs,
  endedAtMs,
  intendedEndAtMs: endedAtMs - 1,
  isCutOff: false,
});
const spurt = (startedAtMs: number, endedAtMs: number, cut = false) => ({
  startedAtMs,
  endedAtMs,
  cut,
  underrunCount: 0,
  underrunMs: 0,
});
const word = (text: string, playedAtMs: number) => ({ word: text, startMs: 0, endMs: 0, playedAtMs });

function agentTurn(turn: number, ledger: Partial<TurnLedger>): JournalEvent {
  return {
    kind: "agentTurn",
    turn,
    source: "model",
    cut: null,
    ledger: { ...NO_LEDGER, ...ledger },
    pii: { intended: "", heard: "" },
    callId: "c",
    sequence: turn,
    epoch: 1,
    atMs: 0,
    atUnixMs: 0,
  };
}

void t.test("words and ledgers are given to the turn they answer, also across a barge-in", (t) => {
  const result: PhoneCallResult = {
    callSid: "CA1",
    outcome: { kind: "callerHungUp" },
    durationMs: 20_000,
    said: [utterance("Is there parking?", 3_000, 4_000), utterance("No, opening hours", 5_500, 6_500)],
    heard: [
      word("Hello.", 1_000),
      word("Yes,", 4_400),
      word("behind", 5_450),
      word("the", 5_700),
      word("Nine", 6_990),
      word("to", 7_200),
      word("five.", 7_500),
    ],
    spurts: [
      spurt(1_000, 1_800),
      spurt(4_350, 5_450, true),
      spurt(5_650, 5_800, true),
      spurt(7_000, 7_300),
      spurt(7_480, 8_000),
    ],
    verbs: [],
    violations: [],
    stats: newStats(),
    recording: null,
  };
  const journal = [
    agentTurn(0, { firstByteSentAtMs: 990 }),
    agentTurn(1, {
      speechEndAtMs: 4_001,
      sttFinalAtMs: 4_151,
      eagerStartAtMs: 3_991.26,
      llmStartAtMs: 3_991.26,
      firstByteSentAtMs: 4_350,
    }),
    agentTurn(2, { speechEndAtMs: 6_501, llmStartAtMs: 6_600, firstByteSentAtMs: 6_999 }),
  ];
  t.match(turnsOf(result, journal), [
    { said: null, heard: "Hello.", voiceToVoiceMs: null, cut: false, stages: null },
    {
      said: "Is there parking?",
      heard: "Yes, behind the",
      voiceToVoiceMs: 351,
      cut: true,
      stages: { sttFinalMs: 150, llmStartMs: -9.7, firstByteSentMs: 349, llmFirstTokenMs: null, eager: true },
    },
    {
      said: "No, opening hours",
      heard: "Nine to five.",
      voiceToVoiceMs: 501,
      stages: { firstByteSentMs: 498, eager: false },
    },
  ]);
  t.end();
});

void t.test("something said without an answer is a turn with nothing heard", (t) => {
  const result: PhoneCallResult = {
    callSid: "CA1",
    outcome: { kind: "mediaLost" },
    durationMs: 5_000,
    said: [utterance("Hello?", 1_000, 2_000)],
    heard: [],
    spurts: [],
    verbs: [],
    violations: [],
    stats: newStats(),
    recording: null,
  };
  t.same(turnsOf(result, []), [
    { said: "Hello?", heard: "", voiceToVoiceMs: null, cut: false, stages: null },
  ]);
  t.end();
});
