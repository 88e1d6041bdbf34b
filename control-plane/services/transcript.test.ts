import t from "tap";
import type { JournalFact, TurnLedger } from "#actors/journal";
import { Transcript } from "./transcript.js";

const LEDGER: TurnLedger = {
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

const caller = (turn: number, said: string): JournalFact => ({
  kind: "callerTurn",
  turn,
  throughAtMs: null,
  pii: { said },
});
const agent = (turn: number, heard: string, cut: "bargeIn" | null = null): JournalFact => ({
  kind: "agentTurn",
  turn,
  source: "model",
  cut,
  ledger: LEDGER,
  pii: { intended: `${heard} and more`, heard },
});
const progress = (turn: number, heard: string): JournalFact => ({
  kind: "agentProgress",
  turn,
  source: "model",
  whole: false,
  pii: { intended: `${heard} and more`, heard },
});
const resumed: JournalFact = { kind: "callResumed", nodeId: "b", gapMs: 900, reason: "legLost" };

function turnsOf(...facts: JournalFact[]): string[] {
  const transcript = new Transcript();
  for (const [sequence, fact] of facts.entries())
    transcript.add({
      ...fact,
      callId: "c",
      sequence,
      epoch: 1,
      atMs: 0,
      atUnixMs: 1_000 + sequence,
    });
  return transcript
    .end()
    .map(
      ({ speaker, pii, interrupted }) =>
        `${speaker === "SPEAKER_AGENT" ? "agent" : "caller"}${interrupted ? "!" : ""}: ${pii!.text}`,
    );
}

void t.test("the agent's words are those the caller heard", async (t) => {
  t.same(turnsOf(agent(0, "Hello."), caller(1, "Hi"), agent(1, "We open", "bargeIn"), caller(2, "Wait")), [
    "agent: Hello.",
    "caller: Hi",
    "agent!: We open",
    "caller: Wait",
  ]);
});

void t.test("a turn that nobody heard is not there", async (t) => {
  t.same(turnsOf(caller(1, "Hi"), agent(1, ""), caller(2, "Hello?")), ["caller: Hi", "caller: Hello?"]);
});

void t.test("progress is not told beside the turn it led to", async (t) => {
  t.same(turnsOf(caller(1, "Hi"), progress(1, "We"), progress(1, "We open"), agent(1, "We open at nine.")), [
    "caller: Hi",
    "agent: We open at nine.",
  ]);
});

void t.test("what was heard of a reply whose node died is there once, whoever ends the reply", async (t) => {
  const before = [caller(1, "Hi"), progress(1, "We open")];
  t.same(turnsOf(...before), ["caller: Hi", "agent: We open"]);
  t.same(turnsOf(...before, resumed, agent(1, "at nine.")), [
    "caller: Hi",
    "agent: We open",
    "agent: at nine.",
  ]);
  t.same(turnsOf(...before, resumed, agent(1, "We open at nine.")), [
    "caller: Hi",
    "agent: We open at nine.",
  ]);
  t.same(turnsOf(...before, resumed, progress(1, "We open at"), resumed), [
    "caller: Hi",
    "agent: We open at",
  ]);
  t.same(turnsOf(...before, resumed, progress(1, "We open at"), agent(1, "We open at nine.")), [
    "caller: Hi",
    "agent: We open at nine.",
  ]);
});
