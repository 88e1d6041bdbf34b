import t from "tap";
import type { JournalEvent, JournalFact, TurnLedger } from "#actors/journal";
import type { PhoneCall, PhoneEvent, Turn } from "#bench/caller";
import { VirtualClock } from "#runtime/actor";
import { ConversationPrinter } from "./conversation.js";
import { describeJournalEvent } from "#actors/journal";
import { describeMachine, machineFacts } from "./machine.js";
import { renderRows, renderTurnTable } from "./tables.js";

const LEDGER: TurnLedger = {
  speechEndAtMs: 1_000,
  sttInterimAtMs: null,
  sttFinalAtMs: 1_150,
  llmStartAtMs: null,
  eagerStartAtMs: null,
  llmFirstTokenAtMs: null,
  ttsFirstAudioAtMs: null,
  committedAtMs: null,
  firstByteSentAtMs: 1_345,
  voiceToVoiceMs: 345.4,
};

function event(fact: JournalFact): JournalEvent {
  return { ...fact, callId: "c", sequence: 0, epoch: 1, atMs: 0, atUnixMs: 0 };
}

/** A printer on virtual time, and a call that says what the test says. */
function watch(columns = 80) {
  const clock = new VirtualClock();
  let text = "";
  let emit: (event: PhoneEvent) => void = () => {};
  const printer = new ConversationPrinter({
    clock,
    colors: false,
    columns,
    write: (piece) => {
      text += piece;
    },
  });
  printer.watch({
    on: (listener: (event: PhoneEvent) => void) => {
      emit = listener;
      return () => {};
    },
  } as PhoneCall);
  const hear = (...words: string[]): void => {
    for (const word of words) emit({ kind: "word", word: { word, startMs: 0, endMs: 0, playedAtMs: 0 } });
  };
  return { clock, printer, hear, emit: (event: PhoneEvent) => emit(event), text: () => text };
}

void t.test("what is heard grows word by word, and the journal waits until the line is closed", (t) => {
  const { printer, hear, emit, text } = watch();
  emit({ kind: "agentStarted", atMs: 0 });
  hear("Good");
  t.match(text(), /agent {2}Good$/);
  printer.journal(event({ kind: "dtmf", pii: { digit: "5" } }));
  hear("day.");
  t.match(text(), /agent {2}Good day\.$/);
  emit({ kind: "agentStopped", atMs: 0 });
  t.match(text(), /Good day\.\n.*journal key 5\n$/);
  t.end();
});

void t.test("an interruption is told as one, and what was cut as cut", (t) => {
  const { clock, hear, emit, text } = watch();
  emit({ kind: "agentStarted", atMs: 0 });
  hear("We", "have");
  clock.advance(2_340);
  emit({ kind: "saying", text: "Stop", atMs: 0 });
  hear("looked");
  emit({ kind: "cleared", atMs: 0 });
  emit({ kind: "agentStopped", atMs: 0 });
  t.same(text().split("\n"), [
    "   0.0 s  agent  We have",
    "   2.3 s  caller (interrupting) Stop",
    "   2.3 s  agent  looked",
    "   2.3 s  ·      the agent stops: what it had not said yet is cut",
    "",
  ]);
  t.end();
});

void t.test("long lines are broken between words and indented", (t) => {
  const { emit, text } = watch(30);
  emit({ kind: "saying", text: "one two three four five", atMs: 0 });
  t.same(text().split("\n"), ["   0.0 s  caller one two three", "                 four five", ""]);
  t.end();
});

void t.test("every kind of journal event has its line", (t) => {
  const cases: [JournalFact, RegExp][] = [
    [
      {
        kind: "callStarted",
        tenantId: "dental",
        carrier: "twilio",
        carrierCallId: "CA1",
        nodeId: "node-1",
        pii: { from: "+1", to: "+2" },
      },
      /dental, over twilio/,
    ],
    [{ kind: "callerTurn", turn: 2, throughAtMs: null, pii: { said: "Hi" } }, /turn 2: the caller said “Hi”/],
    [
      {
        kind: "agentTurn",
        turn: 2,
        source: "model",
        cut: null,
        ledger: LEDGER,
        pii: { intended: "Yes", heard: "Yes" },
      },
      /agent \(model, 345 ms after\) said “Yes”/,
    ],
    [
      {
        kind: "agentTurn",
        turn: 3,
        source: "greeting",
        cut: "bargeIn",
        ledger: { ...LEDGER, voiceToVoiceMs: null },
        pii: { intended: "One two", heard: "One" },
      },
      /agent \(greeting\) was cut by a barge-in: of “One two” the caller heard “One”/,
    ],
    [{ kind: "bargeIn", turn: 3, decidedAtMs: 10, clearSentAtMs: 11.26 }, /clear sent 1\.3 ms after/],
    [{ kind: "bargeIn", turn: 3, decidedAtMs: 10, clearSentAtMs: null }, /barge-in$/],
    [{ kind: "bargeInRejected", turn: 3, reason: "echo" }, /not a barge-in \(echo\)/],
    [{ kind: "eagerDiscarded", turn: 3 }, /thrown away/],
    [
      {
        kind: "toolCalled",
        turn: 4,
        tool: "end_call",
        ok: false,
        durationMs: 2.4,
        pii: { argumentsJson: "{}", result: "x".repeat(200) },
      },
      /tool end_call\(\{\}\) in 2 ms: failed: x{159}…$/,
    ],
    [
      { kind: "providerFailed", provider: "groq", code: "LLM_TIMEOUT", fallback: null },
      /groq failed: LLM_TIMEOUT/,
    ],
    [
      { kind: "callEnded", outcome: { kind: "providerFailed", code: "STT_DOWN" }, durationMs: 12_345 },
      /call ended: providerFailed STT_DOWN, after 12\.3 s/,
    ],
  ];
  for (const [fact, line] of cases) t.match(describeJournalEvent(event(fact)), line);
  t.end();
});

void t.test("the table of turns leaves out the greeting and shows what did not happen as a dash", (t) => {
  const turns: Turn[] = [
    { said: null, heard: "Hello", voiceToVoiceMs: null, cut: false, stages: null },
    {
      said: "Is there parking?",
      heard: "Yes",
      voiceToVoiceMs: 344.6,
      cut: false,
      stages: {
        sttInterimMs: null,
        sttFinalMs: 150.4,
        committedMs: 151,
        llmStartMs: -20,
        llmFirstTokenMs: 190,
        ttsFirstAudioMs: 240,
        firstByteSentMs: 241,
        eager: true,
      },
    },
    { said: "Hello?", heard: "", voiceToVoiceMs: null, cut: false, stages: null },
  ];
  const rows = renderTurnTable(turns)
    .split("\n")
    .filter((line) => line.includes("│"))
    .map((line) =>
      line
        .split("│")
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
  t.same(rows.slice(1), [
    ["Is there parking?", "–", "150", "-20 e", "190", "240", "151", "241", "345"],
    ["Hello?", "–", "–", "–", "–", "–", "–", "–", "–"],
  ]);
  t.end();
});

void t.test("rows of a benchmark have a column for every key that occurs", (t) => {
  const text = renderRows([
    { name: "idle", "ms/call/s": 0.345678 },
    { name: "talk", calls: 100, "ms/call/s": 12.34 },
  ]);
  t.match(text, /name.*ms\/call\/s.*calls/);
  t.match(text, /idle.*0\.346/);
  t.match(text, /talk.*12\.3.*100/);
  t.end();
});

void t.test("the machine line names processor, Node and commit", (t) => {
  t.match(
    describeMachine(machineFacts()),
    new RegExp(`\\d+ × .+ GiB, .+Node ${process.version}, commit [0-9a-f]{7}|unknown`),
  );
  t.end();
});
