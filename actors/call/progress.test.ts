import t from "tap";
import { z } from "zod";
import { LegEnd } from "#runtime/media";
import { defineTool } from "#actors/tools";
import { CallFixture, MS_PER_WORD } from "./call.fixture.js";

const REPLY = "We are open from eight until five, and closed on Sundays. Shall I book you in?";

function answering(): CallFixture {
  const fixture = new CallFixture({ reply: () => ({ text: REPLY }) });
  fixture.run(1_500); // the greeting, two words, was played
  return fixture;
}

void t.test("the journal follows a reply clause by clause, with words that were heard", async (t) => {
  const fixture = answering();
  fixture.say("when are you open?", 8_000);
  const progress = fixture.facts("agentProgress").filter(({ turn }) => turn === 1);
  t.same(
    progress.map(({ pii }) => pii.heard),
    ["", "We are open from eight until five,", "We are open from eight until five, and closed on Sundays."],
    "the end is told by the turn itself",
  );
  t.ok(progress.every(({ source, whole, pii }) => source === "model" && whole && pii.intended === REPLY));
  t.equal(fixture.facts("agentTurn").at(-1)!.pii.heard, REPLY);
});

void t.test("a reply whose text is still being written says so, and then that it is whole", async (t) => {
  const fixture = new CallFixture({
    reply: (_request, index) =>
      index === 0
        ? { text: "Let me see.", tools: [{ name: "check_opening_hours", argumentsJson: '{"day":"monday"}' }] }
        : { text: "We are open.", delayMs: 1_500 },
    toolNames: ["check_opening_hours"],
  });
  fixture.run(1_500);
  fixture.say("when are you open?", 100);
  for (let ms = 0; ms < 5_000; ms += 20) {
    fixture.run(20);
    await new Promise<void>((resolve) => setImmediate(resolve)); // tools answer through promises
  }
  const progress = fixture.facts("agentProgress").filter(({ turn }) => turn === 1);
  t.match(
    progress.map(({ whole, pii }) => ({ whole, ...pii })),
    [
      { whole: false, intended: "Let me see.", heard: "" },
      { whole: false, intended: "Let me see.", heard: "Let me see." },
      { whole: true, intended: "Let me see. We are open." },
    ],
  );
});

void t.test("a turn that is committed is in the journal before its answer is there", async (t) => {
  const fixture = new CallFixture({ reply: () => ({ text: "At five.", delayMs: 1_000 }) });
  fixture.run(1_500);
  fixture.say("when do you close?", 500);
  t.same(fixture.facts("callerTurn"), []);
  t.match(fixture.facts("callerProgress"), [{ turn: 1, pii: { said: "when do you close?" } }]);
  fixture.say("on a Friday?", 4_000);
  t.match(fixture.facts("callerProgress").at(-1), {
    turn: 1,
    pii: { said: "when do you close? on a Friday?" },
  });
  t.match(fixture.facts("callerTurn"), [{ turn: 1, pii: { said: "when do you close? on a Friday?" } }]);
});

void t.test("a leg that is lost leaves the journal open, with what was heard", async (t) => {
  const fixture = answering();
  fixture.say("when are you open?", 400 + 9 * MS_PER_WORD);
  fixture.legEnds(LegEnd.socketLost);
  fixture.legEnds(LegEnd.socketLost);
  t.same(fixture.outcome, { kind: "legLost" });
  const [turn, last] = fixture.journal.slice(-2);
  t.match(turn, { kind: "agentTurn", cut: "legEnded", pii: { intended: REPLY } });
  t.equal(last!.kind, "legLost");
  t.equal(fixture.facts("callEnded").length, 0);
  t.notMatch(await fixture.metricsText(), /calls_ended_total\{outcome="legLost/, "it has not ended");
});

void t.test("a hang-up, an eviction and a loss in mid-goodbye end the call", async (t) => {
  for (const [end, kind] of [
    [LegEnd.stopped, "callerHungUp"],
    [LegEnd.evicted, "legEvicted"],
  ] as const) {
    const fixture = answering();
    fixture.legEnds(end);
    t.match(fixture.journal.at(-1), { kind: "callEnded", outcome: { kind } });
  }
  const leaving = answering();
  leaving.call.endSoon({ kind: "operatorHungUp" });
  leaving.run(400);
  leaving.legEnds(LegEnd.socketLost);
  t.match(leaving.journal.at(-1), { kind: "callEnded", outcome: { kind: "operatorHungUp" } });
});

void t.test("what was heard of a reply stands before the digits that cut it", async (t) => {
  const fixture = answering();
  fixture.say("when are you open?", 400 + 3 * MS_PER_WORD);
  fixture.digit("4");
  fixture.digit("#");
  fixture.run(2_000);
  const kinds = fixture.journal.map(({ kind }) => kind);
  t.ok(kinds.lastIndexOf("agentTurn") < kinds.lastIndexOf("callerTurn"));
  const roles = fixture.requests.at(-1)!.messages.map(({ role }) => role);
  t.same(roles, ["system", "assistant", "user", "assistant", "user"]);
});

void t.test("a tool that ran for a reply that was cut is known to the next one", async (t) => {
  let finish!: () => void;
  const booked = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const fixture = new CallFixture({
    reply: (_request, index) =>
      index === 0
        ? { text: REPLY, tools: [{ name: "check_opening_hours", argumentsJson: "{}" }] }
        : { text: "All right." },
    tools: [slowTool(booked)],
    toolNames: ["check_opening_hours"],
  });
  fixture.run(1_500);
  fixture.say("book me in please?", 1_500);
  fixture.say("no wait a moment", 0);
  finish();
  await new Promise<void>((resolve) => setImmediate(resolve));
  fixture.run(3_000);
  t.equal(fixture.facts("agentTurn")[1]!.cut, "bargeIn");
  const told = fixture.requests.at(-1)!.messages.filter(({ role }) => role === "tool");
  t.match(told, [{ content: "Booked." }]);
});

function slowTool(done: Promise<void>) {
  return defineTool({
    name: "check_opening_hours",
    description: "Takes as long as the test wants.",
    parameters: z.strictObject({}),
    run: async () => {
      await done;
      return { text: "Booked." };
    },
  });
}

void t.test(
  "of a long sentence the journal is told while it lasts, and how far into the audio",
  async (t) => {
    const fixture = answering();
    const beganAtMs = fixture.clock.nowMs();
    const words = Array.from({ length: 20 }, (_, index) => `w${index}`);
    fixture.say(words.join(" "));
    const open = fixture.facts("callerProgress");
    t.ok(open.length >= 2 && open.length <= 7, `${open.length} times`);
    for (const { turn, isOpen, throughAtMs, atMs, pii } of open) {
      const count = pii.said.split(" ").length;
      t.match(
        { turn, isOpen, said: pii.said },
        { turn: 1, isOpen: true, said: words.slice(0, count).join(" ") },
      );
      t.equal(throughAtMs, beganAtMs + count * MS_PER_WORD);
      t.ok(throughAtMs! > atMs - 2_000, "the ring holds what lies behind it");
    }
    fixture.run(3_000);
    t.match(fixture.facts("callerTurn"), [{ turn: 1, pii: { said: words.join(" ") } }]);
  },
);

void t.test("a short turn is told once, up to where its audio was read", async (t) => {
  const fixture = answering();
  fixture.say("when are you open?", 400);
  const [progress] = fixture.facts("callerProgress");
  t.equal(fixture.facts("callerProgress").length, 1);
  t.equal(progress!.throughAtMs, progress!.atMs, "its words are all that was heard");
});
