/** A call that another owner goes on with, on virtual time: what the caller hears, and what the journal says. */
import t, { type Test } from "tap";
import { z } from "zod";
import { seededRandom } from "#runtime/actor";
import { LegEnd } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";
import { phrasesFor } from "#actors/speech";
import { defineTool } from "#actors/tools";
import { CallFixture, type CallFixtureOptions, LLM_DELAY_MS, MS_PER_WORD } from "./call.fixture.js";
import { CUT_OFF_AFTER_MS } from "./resume-plan.js";
import { SILENCE_PROMPT_AFTER_MS } from "./silence.js";

const REPLY = "We are open from eight until five, and closed on Sundays. Shall I book you in?";
const { cutOff, goOn, goodbye, silencePrompts, silenceGoodbye, callTooLong } = phrasesFor("en");
const SHORT = CUT_OFF_AFTER_MS;
const LONG = CUT_OFF_AFTER_MS + 1;

function greeted(options: CallFixtureOptions = {}): CallFixture {
  const call = new CallFixture({ reply: () => ({ text: REPLY }), ...options });
  call.run(1_500);
  return call;
}

interface Resumption extends CallFixtureOptions {
  readonly gapMs?: number;
  /** How the former owner went. @default "killed": nothing more is written */
  readonly by?: "killed" | "legLost";
}

/** The node is gone, or the leg; after the gap another owner has the call. */
function resume(
  former: CallFixture,
  { gapMs = SHORT, by = "killed", ...options }: Resumption = {},
): CallFixture {
  if (by === "legLost") former.legEnds(LegEnd.socketLost);
  const journal = former.journal.slice();
  former.call.abandon({ kind: "leaseLost" });
  former.clock.advance(gapMs);
  const epoch = journal.at(-1)!.epoch + 1;
  return new CallFixture({
    reply: () => ({ text: "All right." }),
    clock: former.clock,
    resumed: { gapMs, journal },
    epoch,
    ...options,
  });
}

/** J1 to J3 over all owners. */
function checkJournal(t: Test, ...owners: readonly CallFixture[]): void {
  const events: JournalEvent[] = owners.flatMap(({ journal }) => journal);
  t.same(
    events.map(({ sequence }) => sequence),
    [...events.keys()],
    "J1: no gap, no double",
  );
  t.same(
    events.map(({ epoch }) => epoch),
    events.map(({ epoch }) => epoch).toSorted((a, b) => a - b),
    "J1",
  );
  for (const owner of owners.slice(1)) t.equal(owner.journal[0]!.kind, "callResumed");
  t.ok(events.filter(({ kind }) => kind === "callEnded").length <= 1, "J2");
  for (const event of events) {
    if (event.kind !== "agentTurn" && event.kind !== "agentProgress") continue;
    const { intended, heard } = event.pii;
    t.ok(intended.split(/\s+/).join(" ").startsWith(heard), `J3: ${heard}`);
  }
}

function said(call: CallFixture): string[] {
  return call.facts("agentTurn").map(({ pii }) => pii.heard);
}

void t.test("a reply that was cut off goes on with the clause that was not heard", async (t) => {
  for (const by of ["killed", "legLost"] as const) {
    const former = greeted();
    former.say("when are you open?", 400 + 10 * MS_PER_WORD); // into "and closed on Sundays."
    const next = resume(former, { by });
    next.run(6_000);
    t.equal(said(next).at(-1), "and closed on Sundays. Shall I book you in?", by);
    t.equal(next.requests.length, 0, "the model was not asked again");
    checkJournal(t, former, next);
    next.say("yes please do so.", 3_000);
    const contents = next.requests
      .at(-1)!
      .messages.slice(1)
      .map(({ content }) => content);
    t.match(contents, [
      "Hello there.",
      "when are you open?",
      /^We are open from eight until five,/,
      "and closed on Sundays. Shall I book you in?",
      "yes please do so.",
    ]);
    t.equal(next.facts("callerTurn").at(-1)!.turn, 2, "turns go on counting");
  }
});

void t.test(
  "cut at any instant: before and after make the whole reply, and at most a clause is said twice",
  async (t) => {
    const seed = Number(process.env["SEED"] ?? 11);
    const random = seededRandom(seed);
    const words = REPLY.split(" ");
    for (let round = 0; round < 40; round += 1) {
      const former = greeted();
      former.say("when are you open?", 400);
      const cutMs = Math.floor(random.next() * words.length * MS_PER_WORD * 0.99);
      while (former.facts("agentTurn").length < 2 && former.playedMs < cutMs) former.run(20);
      const before = words.slice(0, Math.floor(former.playedMs / MS_PER_WORD));
      const by = random.next() < 0.5 ? "killed" : "legLost";
      const next = resume(former, { by, gapMs: random.next() < 0.5 ? SHORT : LONG });
      next.run(10_000);
      const after = said(next).at(-1)!.replace(cutOff, "").trim().split(" ").filter(Boolean);
      const where = `SEED=${seed}, round ${round}, ${by} after "${before.join(" ")}": "${after.join(" ")}"`;
      t.same(words.slice(words.length - after.length), after, where);
      const twice = before.length + after.length - words.length;
      t.ok(twice >= 0, `nothing is left out: ${where}`);
      const repeated = before.slice(before.length - twice);
      t.notOk(
        repeated.slice(0, -1).some((word) => /[,.?]$/.test(word)),
        `at most one clause twice: ${where}`,
      );
      checkJournal(t, former, next);
    }
  },
);

void t.test("a gap of more than two seconds is spoken of, a shorter one is not", async (t) => {
  for (const gapMs of [SHORT, LONG]) {
    const former = greeted();
    former.say("when are you open?", 400 + 8 * MS_PER_WORD);
    const next = resume(former, { gapMs });
    next.run(9_000);
    t.equal(said(next).at(-1)!.startsWith(cutOff), gapMs === LONG);
    t.match(next.journal[0], { kind: "callResumed", nodeId: "node-2", gapMs });
  }
});

void t.test("a turn that was just committed is answered", async (t) => {
  for (const by of ["killed", "legLost"] as const) {
    const former = greeted({ reply: () => ({ text: REPLY, delayMs: 2_000 }) });
    former.say("when are you open?", 600);
    t.equal(former.facts("callerTurn").length, 0, "the model is still thinking");
    const next = resume(former, { by });
    next.run(3_000);
    t.same(said(next).at(-1), "All right.");
    t.match(next.requests[0]!.messages.at(-1), { role: "user", content: "when are you open?" });
    const turns = [...former.facts("callerTurn"), ...next.facts("callerTurn")];
    t.match(turns, [{ turn: 1, pii: { said: "when are you open?" } }], "once");
    t.equal(next.facts("agentTurn").at(-1)!.turn, 1);
    checkJournal(t, former, next);
  }
});

void t.test(
  "after a long gap the word about it covers the model's thinking, and the caller may add",
  async (t) => {
    const former = greeted({ reply: () => ({ text: REPLY, delayMs: 2_000 }) });
    former.say("when are you open?", 600);
    const next = resume(former, { gapMs: LONG, reply: () => ({ text: "At eight.", delayMs: LLM_DELAY_MS }) });
    const startedAtMs = next.clock.nowMs();
    while (next.playedMs === 0) next.run(20);
    t.ok(next.clock.nowMs() - startedAtMs < LLM_DELAY_MS, "before the model said anything");
    next.run(5_000);
    t.equal(said(next).at(-1), `${cutOff} At eight.`);

    const adding = resume(former, { reply: () => ({ text: "At eight.", delayMs: 1_500 }) });
    adding.say("on a Friday I mean.", 4_000);
    t.same(said(adding), ["At eight."]);
    t.equal(adding.requests.at(-1)!.messages.at(-1)!.content, "when are you open? on a Friday I mean.");
  },
);

void t.test(
  "a tool that was running when the node died is asked for again; one that ran is not",
  async (t) => {
    const reply: CallFixtureOptions["reply"] = ({ messages }) =>
      messages.at(-1)!.role === "user"
        ? { tools: [{ name: "check_opening_hours", argumentsJson: "{}" }] }
        : { text: "You are booked.", delayMs: 3_000 };
    for (const hasRun of [false, true]) {
      const former = greeted({ reply, toolNames: ["check_opening_hours"], tools: [booking(hasRun)] });
      former.say("book me in please.", 600);
      await new Promise<void>((resolve) => setImmediate(resolve));
      former.run(200);
      t.equal(former.facts("toolCalled").length, hasRun ? 1 : 0);
      const next = resume(former, { reply, toolNames: ["check_opening_hours"], tools: [booking(true)] });
      for (let round = 0; round < 4; round += 1) {
        next.run(1_500);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      t.equal(next.facts("toolCalled").length, hasRun ? 0 : 1);
      t.equal(said(next).at(-1), "You are booked.");
      checkJournal(t, former, next);
    }
  },
);

void t.test("a filler that was all the caller heard is followed by the answer", async (t) => {
  const former = greeted({
    reply: () => ({ text: "Let me see.", tools: [{ name: "check_opening_hours", argumentsJson: "{}" }] }),
    toolNames: ["check_opening_hours"],
    tools: [booking(false)],
  });
  former.say("book me in please.", 400 + 4 * MS_PER_WORD);
  t.equal(former.facts("agentProgress").at(-1)!.pii.heard, "Let me see.");
  const next = resume(former);
  next.run(3_000);
  t.equal(said(next).at(-1), "All right.");
  const { messages } = next.requests[0]!;
  t.match(messages.at(-1), { role: "system", content: /has heard: "Let me see\."/ });
  t.notMatch(next.call.conversation.messages, [{ content: /The line was cut/ }], "the note is no history");
});

void t.test("nobody was greeted yet, or only in part", async (t) => {
  const silent = new CallFixture();
  const greets = resume(silent, { gapMs: LONG });
  greets.run(3_000);
  t.same(said(greets), ["Hello there."]);
  checkJournal(t, silent, greets);

  const greeting = "Welcome to the practice. How can I help you?";
  const half = new CallFixture({ greeting });
  half.run(200 + 5 * MS_PER_WORD);
  const rest = resume(half, { greeting });
  rest.run(4_000);
  t.same(said(rest), ["Welcome to the practice.", "How can I help you?"], "what was heard, then the rest");
  t.equal(rest.facts("agentTurn").at(-1)!.source, "greeting");
});

void t.test(
  "when it was the caller's turn the agent listens, and asks him to go on after a long gap",
  async (t) => {
    for (const gapMs of [SHORT, LONG]) {
      const former = greeted();
      former.say("when are you open?", 8_000);
      const next = resume(former, { gapMs });
      next.run(4_000);
      t.same(said(next), gapMs === LONG ? [`${cutOff} ${goOn}`] : []);
      next.run(SILENCE_PROMPT_AFTER_MS + 3_000);
      t.equal(said(next).at(-1), silencePrompts[0], "nobody is left on a dead line");
      next.say("yes please.", 3_000);
      t.equal(next.requests.length, 1, '"yes" still answers what was asked before the gap');
    }
  },
);

void t.test('"uh-huh" over the reply that was cut off is no turn to answer', async (t) => {
  const former = greeted();
  former.say("when are you open?", 1_000);
  former.say("uh-huh", 100);
  const next = resume(former, { by: "legLost" });
  next.run(9_000);
  t.equal(next.requests.length, 0);
  t.match(said(next).at(-1), /Shall I book you in\?$/);
});

void t.test("a reply that the caller had cut stays cut", async (t) => {
  const former = greeted();
  former.say("when are you open?", 1_500);
  former.callerSpeaks = true;
  former.run(1_400);
  t.equal(former.facts("agentTurn").at(-1)!.cut, "bargeIn");
  const next = resume(former);
  next.run(3_000);
  t.same(said(next), []);
});

void t.test("a goodbye in progress is said, and ends the call", async (t) => {
  const farewell = greeted();
  farewell.say("goodbye then.", 900);
  t.equal(farewell.facts("agentProgress").at(-1)!.source, "quickReply");
  const silent = greeted();
  silent.run(3 * SILENCE_PROMPT_AFTER_MS + 5_500);
  t.equal(silent.facts("agentProgress").at(-1)!.pii.intended, silenceGoodbye);
  const model = greeted({
    reply: () => ({ text: "Bye.", tools: [{ name: "end_call", argumentsJson: "{}" }] }),
  });
  model.say("that was all I needed.", 400);
  await new Promise<void>((resolve) => setImmediate(resolve));
  model.run(200);
  for (const [former, outcome, words] of [
    [farewell, "agentHungUp", /Goodbye!$/],
    [silent, "callerSilent", /Goodbye\.$/],
    [model, "agentHungUp", /Bye\.$/],
  ] as const) {
    const next = resume(former, { gapMs: LONG });
    next.run(12_000);
    t.same(next.outcome, { kind: outcome });
    t.match(said(next).at(-1), words);
    t.equal(next.requests.length, 0);
    checkJournal(t, former, next);
  }
});

void t.test("a goodbye that was heard before the node died only needs the hang-up", async (t) => {
  const former = greeted();
  former.say("goodbye then.", 300);
  while (former.facts("agentTurn").length < 2) {
    former.run(20);
    if (former.hangUpAsked) break;
  }
  const journal = former.journal.filter(({ kind }) => kind !== "callEnded");
  const next = new CallFixture({ clock: former.clock, resumed: { gapMs: LONG, journal } });
  t.equal(next.start.resumed, null, "what the call came with is let go of once it is replayed");
  next.run(100);
  t.same(next.outcome, { kind: "agentHungUp" });
  t.equal(next.facts("agentProgress").length, 0, "without another word");
});

void t.test("the call's longest length counts from its beginning, and so does its duration", async (t) => {
  const former = greeted({ callMinutes: 0.5 });
  former.run(10_000);
  const next = resume(former, { gapMs: 5_000, callMinutes: 0.5 });
  next.say("are you there now?", 2_000);
  next.run(30_000);
  t.same(next.outcome, { kind: "maxDuration" });
  t.equal(said(next).at(-1), callTooLong);
  const { durationMs } = next.facts("callEnded")[0]!;
  t.ok(durationMs > 30_000 && durationMs < 40_000, `${durationMs} ms`);
});

void t.test("silence prompts and pressed keys are remembered", async (t) => {
  const silent = greeted();
  silent.run(2 * SILENCE_PROMPT_AFTER_MS + 4_000 + 4_000);
  t.equal(silent.facts("agentTurn").filter(({ source }) => source === "prompt").length, 2);
  const next = resume(silent);
  next.run(SILENCE_PROMPT_AFTER_MS + 1_000);
  t.equal(next.facts("agentProgress").at(-1)!.pii.intended, silenceGoodbye);

  const typing = greeted();
  typing.digit("4");
  typing.run(40);
  const typed = resume(typing);
  typed.digit("2");
  typed.digit("#");
  typed.run(2_000);
  t.match(typed.facts("callerTurn"), [{ pii: { said: "[typed on the keypad: 4 2]" } }]);
});

void t.test("cut off twice: the third owner goes on where the second stopped", async (t) => {
  const first = greeted();
  first.say("when are you open?", 400 + 8 * MS_PER_WORD); // after the first clause
  const second = resume(first, { gapMs: LONG });
  second.run(200 + 3 * MS_PER_WORD); // in the word about the gap
  const third = resume(Object.assign(second, { journal: [...first.journal, ...second.journal] }), {
    gapMs: LONG,
  });
  third.run(12_000);
  t.equal(said(third).at(-1), `${cutOff} and closed on Sundays. Shall I book you in?`, "said once");
  t.same(
    second.journal.map(({ sequence }) => sequence).concat(third.journal.map(({ sequence }) => sequence)),
    [...Array(second.journal.length + third.journal.length).keys()],
  );
  third.say("yes please do so.", 3_000);
  t.equal(third.requests.length, 1);
});

void t.test("the first audio needs no provider", async (t) => {
  const former = greeted();
  former.say("when are you open?", 400 + 8 * MS_PER_WORD);
  const state = { isWarm: false };
  void former.cache.warm(former.voiceKey, [cutOff]).then(() => {
    state.isWarm = true; // in memory; whether this disk keeps it is not asked here
  });
  while (!state.isWarm) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    former.clock.advance(50);
  }
  const never = () => ({ push() {}, finish() {}, cancel() {} });
  const next = resume(former, {
    gapMs: LONG,
    cache: former.cache,
    tts: () => ({ name: "tts", speak: never, warm: () => Promise.resolve(), close: () => Promise.resolve() }),
  });
  next.run(40);
  t.ok(next.playedMs > 0);
});

void t.test("a journal that never reached us begins the call anew", async (t) => {
  const former = new CallFixture();
  const next = new CallFixture({ clock: former.clock, resumed: { gapMs: SHORT, journal: [] } });
  next.run(2_000);
  t.match(next.journal.map(({ kind, sequence }) => [kind, sequence]).slice(0, 2), [
    ["callStarted", 0],
    ["callResumed", 1],
  ]);
  t.same(said(next), ["Hello there."]);
});

void t.test("a goodbye from outside reaches a resumed call too", async (t) => {
  const former = greeted();
  const next = resume(former);
  next.call.endSoon({ kind: "operatorHungUp" });
  next.run(6_000);
  t.same(next.outcome, { kind: "operatorHungUp" });
  t.equal(said(next).at(-1), goodbye);
});

function booking(answers: boolean) {
  return defineTool({
    name: "check_opening_hours",
    description: "Books.",
    parameters: z.strictObject({}),
    run: () => (answers ? { text: "Booked." } : new Promise(() => {})),
  });
}
