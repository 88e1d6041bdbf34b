import t from "tap";
import { LumentraError } from "#runtime/errors";
import { LegEnd } from "#runtime/media";
import { CallFixture, MS_PER_WORD } from "./call.fixture.js";
import { MAX_RESTARTS } from "./turns.js";

const LONG_REPLY = "We are open from eight until five on weekdays and closed on Sundays.";

function answered(options: ConstructorParameters<typeof CallFixture>[0] = {}): CallFixture {
  const fixture = new CallFixture(options);
  fixture.run(1_500); // the greeting, two words, was played
  return fixture;
}

void t.test("the greeting is played first and heard to its end", async (t) => {
  const fixture = answered();
  t.same(fixture.heardByJournal(), ["Hello there."]);
  t.equal(fixture.facts("agentTurn")[0]!.source, "greeting");
});

void t.test("a question is answered, and the ledger adds up to the delay that was heard", async (t) => {
  const fixture = answered({ reply: () => ({ text: "Yes we are." }) });
  fixture.say("are you open today?", 3_000);
  t.same(
    fixture.facts("callerTurn").map((turn) => turn.pii.said),
    ["are you open today?"],
  );
  t.equal(fixture.heardByJournal()[1], "Yes we are.");
  const { ledger } = fixture.facts("agentTurn")[1]!;
  t.ok(ledger.eagerStartAtMs !== null, "the model was asked before the turn was confirmed");
  t.ok(ledger.eagerStartAtMs! < ledger.committedAtMs!);
  // interim 100 + first token 200 + first audio 40 is the floor; frames add up to 40
  t.ok(ledger.voiceToVoiceMs! >= 340 && ledger.voiceToVoiceMs! <= 400, `${ledger.voiceToVoiceMs} ms`);
  t.equal(fixture.requests.length, 1);
});

void t.test(
  "under pressure the model is asked when the turn is over, once, and the answer is as good",
  async (t) => {
    const fixture = answered({ reply: () => ({ text: "Yes we are." }) });
    fixture.maySpeculate = false;
    fixture.say("are you open today?", 3_000);
    t.equal(fixture.heardByJournal()[1], "Yes we are.");
    const { ledger } = fixture.facts("agentTurn")[1]!;
    t.equal(ledger.eagerStartAtMs, null);
    t.ok(ledger.llmStartAtMs! >= ledger.committedAtMs!);
    t.equal(fixture.requests.length, 1);
    t.match(await fixture.metricsText(), /^lumentra_speculation_suppressed_total 1$/m, "counted once a turn");
    fixture.maySpeculate = true;
    fixture.say("and on the next day?", 3_000);
    t.ok(fixture.facts("agentTurn")[2]!.ledger.eagerStartAtMs !== null, "the pressure is gone");
  },
);

void t.test("no audio leaves before the turn is committed", async (t) => {
  const fixture = answered({ reply: () => ({ text: "At five.", delayMs: 1 }) });
  fixture.say("when do you close? and", 200); // "and" says that more is to come
  fixture.run(400);
  t.equal(fixture.facts("callerTurn").length, 0);
  t.equal(fixture.facts("agentTurn").length, 1, "only the greeting");
});

void t.test("a barge-in cuts the reply to the words that were heard, in journal and history", async (t) => {
  const fixture = answered({ reply: (_request, index) => ({ text: index === 0 ? LONG_REPLY : "Sure." }) });
  fixture.say("when are you open?", 250);
  fixture.run(100 + 5 * MS_PER_WORD);
  fixture.say("no wait please", 2_500);
  const cut = fixture.facts("agentTurn")[1]!;
  t.equal(cut.cut, "bargeIn");
  t.ok(LONG_REPLY.startsWith(cut.pii.heard) && cut.pii.heard.length > 0, cut.pii.heard);
  t.not(cut.pii.heard, LONG_REPLY);
  const assistant = fixture.requests.at(-1)!.messages.filter((message) => message.role === "assistant");
  t.equal(assistant.at(-1)!.content, cut.pii.heard);
  t.equal(fixture.facts("bargeIn").length, 1);
  t.ok(fixture.clearsAtMs.length === 1);
});

/** Between the words that cut a reply and the carrier's clear nobody knows what was heard of it. */
function cutWith(then: (fixture: CallFixture, fromMs: number) => void): CallFixture {
  const fixture = answered({ reply: (_request, index) => ({ text: index === 0 ? LONG_REPLY : "Sure." }) });
  fixture.say("when are you open?", 2_500);
  const fromMs = fixture.positionMs;
  fixture.callerSpeaks = true;
  fixture.run(600);
  fixture.callerSpeaks = false;
  fixture.interim(["no", "wait"], fromMs);
  then(fixture, fromMs);
  fixture.run(3_000);
  const cut = fixture.facts("agentTurn")[1]!;
  t.equal(cut.cut, "bargeIn");
  t.not(cut.pii.heard, "");
  return fixture;
}

void t.test("no answer is begun before it is known what was heard of the reply that was cut", async (t) => {
  const byWord = cutWith((fixture, fromMs) => {
    fixture.eagerEndOfTurn(["no", "wait"], fromMs);
    fixture.final(["no", "wait"], fromMs);
  });
  const byKeys = cutWith((fixture) => {
    for (const digit of "42#") fixture.digit(digit);
    fixture.call.onRingsReady();
  });
  for (const fixture of [byWord, byKeys]) {
    const { heard } = fixture.facts("agentTurn")[1]!.pii;
    t.ok(fixture.requests.length >= 2);
    for (const { messages } of fixture.requests.slice(1)) {
      t.ok(messages.some(({ role, content }) => role === "assistant" && content === heard));
    }
    t.equal(fixture.heardByJournal()[2], "Sure.");
  }
  t.match(byKeys.facts("callerTurn")[1]!.pii.said, /^no wait .*4 2/);
});

void t.test("our last words, heard back while the answer is prepared, do not throw it away", async (t) => {
  const fixture = answered({
    reply: (_request, index) => (index === 0 ? { text: LONG_REPLY } : { text: "Sure.", delayMs: 1_000 }),
  });
  fixture.say("when are you open?", 2_500);
  const fromMs = fixture.positionMs;
  fixture.say("no wait please", 400);
  fixture.final(["until"], fromMs + 790); // behind his words, and within what may be echo
  fixture.run(4_000);
  t.equal(fixture.requests.length, 2);
  t.same(
    fixture.facts("callerTurn").map(({ pii }) => pii.said),
    ["when are you open?", "no wait please"],
  );
  t.equal(fixture.heardByJournal()[2], "Sure.");
});

void t.test('"uh-huh" pauses at most, and the reply is heard whole', async (t) => {
  const fixture = answered({ reply: () => ({ text: LONG_REPLY }) });
  fixture.say("when are you open?", 1_200);
  fixture.say("uh-huh", 8_000);
  t.equal(fixture.heardByJournal()[1], LONG_REPLY);
  t.equal(fixture.facts("bargeIn").length, 0);
  t.equal(fixture.facts("callerTurn").length, 1, "a backchannel is no turn");
  t.equal(fixture.requests.length, 1);
});

void t.test("our own words, recognised while nobody speaks, neither cut nor become a turn", async (t) => {
  const fixture = answered({ reply: () => ({ text: LONG_REPLY }) });
  fixture.say("when are you open?", 2_000);
  fixture.recognise("open from eight until");
  fixture.run(2_800);
  fixture.recognise("closed on Sundays"); // just after the last word
  fixture.run(3_000);
  t.equal(fixture.heardByJournal()[1], LONG_REPLY);
  t.equal(fixture.facts("callerTurn").length, 1);
});

void t.test(
  "what the caller adds while a reply is prepared joins the question, and is answered once",
  async (t) => {
    const fixture = answered({ reply: () => ({ text: "At five.", delayMs: 1_000 }) });
    fixture.say("when do you close?", 300);
    fixture.say("on a Friday?", 4_000);
    t.same(
      fixture.facts("callerTurn").map((turn) => turn.pii.said),
      ["when do you close? on a Friday?"],
    );
    t.same(fixture.heardByJournal().slice(1), ["At five."]);
  },
);

void t.test("a caller who keeps adding never leads to a loop of cancelled replies", async (t) => {
  const fixture = answered({
    reply: (request) => ({ text: `Noted ${request.messages.length}.`, delayMs: 900 }),
  });
  for (let index = 0; index < 8; index += 1) fixture.say("and then this too.", 500);
  fixture.run(6_000);
  const agentTurns = fixture.facts("agentTurn").slice(1);
  t.ok(agentTurns.length >= 2, "replies came through while the caller kept adding");
  const committed = fixture.facts("callerTurn").length;
  t.equal(agentTurns.length, committed, "each caller turn has one reply");
  const words = fixture.facts("callerTurn").flatMap((turn) => turn.pii.said.split(" "));
  t.equal(words.length, 8 * 4, "no word was lost or doubled");
  t.ok(fixture.cancelled.length <= committed * (MAX_RESTARTS + 3));
});

void t.test("a tool runs only once the turn is committed, and its result reaches the model", async (t) => {
  const fixture = answered({
    toolNames: ["check_opening_hours"],
    reply: (_request, index) =>
      index === 0
        ? { tools: [{ name: "check_opening_hours", argumentsJson: "{}" }], delayMs: 1 }
        : { text: "We are closed now." },
  });
  fixture.say("are you open now?", 100);
  t.equal(fixture.facts("toolCalled").length, 0);
  await settle(fixture, 3_000);
  t.equal(fixture.facts("toolCalled").length, 1);
  t.ok(fixture.facts("toolCalled")[0]!.ok);
  t.equal(fixture.requests[1]!.messages.at(-1)!.role, "tool");
  t.equal(fixture.heardByJournal()[1], "We are closed now.");
});

void t.test("wrong arguments go back to the model with what is wrong", async (t) => {
  const fixture = answered({
    toolNames: ["check_opening_hours"],
    reply: (_request, index) =>
      index === 0
        ? { tools: [{ name: "check_opening_hours", argumentsJson: '{"at":"whenever"}' }] }
        : { text: "Which day?" },
  });
  fixture.say("are you open then?", 200);
  await settle(fixture, 2_000);
  t.equal(fixture.facts("toolCalled")[0]!.ok, false);
  t.match(fixture.requests[1]!.messages.at(-1), { role: "tool", content: /local ISO date/ });
  t.equal(fixture.heardByJournal()[1], "Which day?");
});

void t.test("end_call hangs up after the goodbye was heard", async (t) => {
  const fixture = answered({
    reply: () => ({ text: "Goodbye then.", tools: [{ name: "end_call", argumentsJson: "{}" }] }),
  });
  fixture.say("that was all I needed.", 200);
  await settle(fixture, 3_000);
  t.same(fixture.outcome, { kind: "agentHungUp" });
  t.equal(fixture.heardByJournal()[1], "Goodbye then.");
});

void t.test("a model that goes on calling tools must answer in words in the end", async (t) => {
  const fixture = answered({
    toolNames: ["check_opening_hours"],
    reply: (request) =>
      request.tools.length > 0
        ? { tools: [{ name: "check_opening_hours", argumentsJson: "{}" }] }
        : { text: "I cannot tell." },
  });
  fixture.say("are you open now?", 200);
  await settle(fixture, 6_000);
  t.equal(fixture.facts("toolCalled").length, 4);
  t.equal(fixture.heardByJournal()[1], "I cannot tell.");
});

void t.test("typed digits cut at once and are answered", async (t) => {
  const fixture = answered({ reply: (_request, index) => ({ text: index === 0 ? LONG_REPLY : "Thanks." }) });
  fixture.say("when are you open?", 1_500);
  for (const digit of "42#") fixture.digit(digit);
  fixture.run(3_000);
  t.equal(fixture.facts("agentTurn")[1]!.cut, "bargeIn");
  t.match(fixture.facts("callerTurn")[1]!.pii.said, /4 2/);
  t.equal(fixture.heardByJournal()[2], "Thanks.");
});

void t.test("silence is asked about twice, then the agent says goodbye and hangs up", async (t) => {
  const fixture = answered();
  fixture.run(60_000);
  t.same(fixture.outcome, { kind: "callerSilent" });
  t.equal(fixture.facts("agentTurn").filter((turn) => turn.source === "prompt").length, 3);
});

void t.test("the longest call ends with words", async (t) => {
  const fixture = answered({ callMinutes: 0.1 });
  fixture.run(20_000);
  t.same(fixture.outcome, { kind: "maxDuration" });
});

for (const kind of ["stt", "llm"] as const) {
  void t.test(`an outage of the ${kind} ends in an apology and a recorded outcome`, async (t) => {
    const error = new LumentraError("LLM_STREAM_BROKEN", "scripted");
    const fixture = answered({ reply: () => ({ error }) });
    if (kind === "stt") fixture.failStt();
    else fixture.say("are you open today?", 300);
    fixture.run(45_000);
    t.equal(fixture.outcome?.kind, "providerFailed");
    t.ok(fixture.heardByJournal().some((heard) => heard.startsWith("I'm sorry")));
    t.equal(fixture.facts("providerFailed").length, 1);
  });
}

void t.test("a caller who hangs up mid-reply: what was heard is kept, and the call ends once", async (t) => {
  const fixture = answered({ reply: () => ({ text: LONG_REPLY }) });
  fixture.say("when are you open?", 2_000);
  fixture.legEnds(LegEnd.stopped);
  fixture.legEnds(LegEnd.stopped);
  t.same(fixture.outcome, { kind: "callerHungUp" });
  const last = fixture.facts("agentTurn").at(-1)!;
  t.equal(last.cut, "legEnded");
  t.ok(LONG_REPLY.startsWith(last.pii.heard));
  t.equal(fixture.journal.at(-1)!.kind, "callEnded");
  t.same(
    fixture.journal.map((event) => event.sequence),
    fixture.journal.map((_, index) => index),
  );
});

void t.test("a call whose lease is another's writes nothing more and says nothing", async (t) => {
  const fixture = answered({ reply: () => ({ text: LONG_REPLY }) });
  fixture.say("when are you open?", 1_500);
  const written = fixture.journal.length;
  fixture.call.abandon({ kind: "leaseLost" });
  fixture.run(1_000);
  t.same(fixture.outcome, { kind: "leaseLost" });
  t.equal(fixture.journal.length, written);
});

void t.test("a call ended from outside says goodbye first", async (t) => {
  const fixture = answered();
  fixture.call.endSoon({ kind: "operatorHungUp" });
  fixture.run(6_000);
  t.same(fixture.outcome, { kind: "operatorHungUp" });
  t.match(fixture.heardByJournal().at(-1), /goodbye/i);
});

/** Tools answer through promises: lets them settle between steps of line time. */
async function settle(fixture: CallFixture, ms: number): Promise<void> {
  for (let elapsed = 0; elapsed < ms; elapsed += 20) {
    fixture.run(20);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
