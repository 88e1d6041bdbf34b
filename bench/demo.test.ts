import t from "tap";
import type { JournalEvent } from "#actors/journal";
import type { Turn } from "#bench/caller";
import { checkDemo } from "./demo.js";
import type { CallReport } from "./report/index.js";

function said(text: string | null, heard: string, cut = false): Turn {
  return { said: text, heard, cut, voiceToVoiceMs: 400, stages: null };
}

/** A conversation as it should be. */
function good(): CallReport {
  const fact = { callId: "c", sequence: 0, epoch: 1, atMs: 0, atUnixMs: 0, turn: 2 } as const;
  return {
    outcome: "agentHungUp",
    failure: null,
    callSid: "CA1",
    durationMs: 30_000,
    carrierSaid: [],
    violations: [],
    stats: {} as CallReport["stats"],
    turns: [
      said(null, "Thank you for calling Bright Smile Dental."),
      said("Is there parking?", "There is free parking behind the building."),
      said("Tell me about your practice.", "We have looked after", true),
      said("Sorry, are you open on Thursday at six?", "Yes, on Thursday we are open."),
      said("Thank you, that was all. Goodbye.", "Goodbye!"),
    ],
    journal: [
      {
        ...fact,
        kind: "agentTurn",
        source: "model",
        cut: "bargeIn",
        ledger: {} as Extract<JournalEvent, { kind: "agentTurn" }>["ledger"],
        pii: { intended: "We have looked after families for years.", heard: "We have looked after" },
      },
      {
        ...fact,
        kind: "toolCalled",
        tool: "check_opening_hours",
        ok: true,
        durationMs: 1,
        pii: { argumentsJson: "{}", result: "open" },
      },
    ],
  };
}

const wrong = (report: CallReport): readonly string[] =>
  checkDemo(report)
    .filter((check) => !check.ok)
    .map((check) => check.what);

void t.test("a conversation as it should be passes every check", (t) => {
  t.same(wrong(good()), []);
  t.end();
});

void t.test("each thing that can be missing is noticed, and only that", (t) => {
  const report = good();
  const turns = [...report.turns];
  const withTurn = (index: number, heard: string): CallReport => ({
    ...report,
    turns: turns.map((turn, at) => (at === index ? { ...turn, heard } : turn)),
  });
  const cases: [CallReport, RegExp][] = [
    [{ ...report, failure: "Waited in vain" }, /script/],
    [withTurn(0, ""), /greeted/],
    [withTurn(1, "I do not know."), /question was answered/],
    [withTurn(2, "We have looked after families"), /heard, and no others/],
    [{ ...report, turns: turns.map((turn) => ({ ...turn, cut: false })) }, /barge-in cut/],
    [withTurn(3, ""), /interruption was answered/],
    [{ ...report, journal: report.journal.slice(0, 1) }, /tool/],
    [{ ...report, outcome: "callerHungUp" }, /goodbye/],
    [{ ...report, carrierSaid: ["We were cut off."] }, /goodbye/],
    [{ ...report, violations: ["31951"] }, /rules/],
  ];
  for (const [broken, what] of cases) {
    const missing = wrong(broken);
    t.equal(missing.length, 1, missing.join("; "));
    t.match(missing[0], what);
  }
  t.end();
});
