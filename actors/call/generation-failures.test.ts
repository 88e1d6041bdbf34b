/**
 * A model that fails while it works ahead once ended the call: the apology came over a caller who was still
 * speaking, for a reply that nobody had asked for yet. And one refused request ended a call that the next
 * one would have answered.
 */
import t from "tap";
import { LumentraError } from "#runtime/errors";
import { CallFixture, type ScriptedReply } from "./call.fixture.js";
import { RETRY_WAIT_MAX_MS } from "./retry.js";
import { MAX_EAGER_PER_TURN } from "./eager-reply.js";

const BROKEN = new LumentraError("LLM_STREAM_BROKEN", "scripted");
const TOOL_USE_FAILED = new LumentraError("LLM_TOOL_USE_FAILED", "scripted");
const rateLimited = (retryAfterMs: number) =>
  new LumentraError("LLM_RATE_LIMITED", "scripted", { detail: { retryAfterMs } });

/** The n-th request gets the n-th answer, and all later ones the last. */
function answering(answers: readonly ScriptedReply[], toolNames: readonly string[] = []): CallFixture {
  const fixture = new CallFixture({
    toolNames,
    reply: (_request, index) => answers[Math.min(index, answers.length - 1)]!,
  });
  fixture.run(1_500); // the greeting
  return fixture;
}

void t.test(
  "a reply begun ahead that fails is begun again at the commit, and the call goes on",
  async (t) => {
    const fixture = answering([{ error: BROKEN, delayMs: 1 }, { text: "Yes we are." }]);
    fixture.say("are you open today?", 3_000);
    t.equal(fixture.heardByJournal()[1], "Yes we are.");
    t.equal(fixture.facts("providerFailed").length, 0);
    t.equal(fixture.facts("eagerDiscarded").length, 1);
    t.equal(fixture.requests.length, 2, "nothing more was begun ahead of this turn");
    t.equal(fixture.outcome, null);
  },
);

void t.test("the next turn is worked on ahead again", async (t) => {
  const fixture = answering([{ error: BROKEN, delayMs: 1 }, { text: "Yes we are." }]);
  fixture.say("are you open today?", 3_000);
  fixture.say("and until what time?", 3_000);
  const { ledger } = fixture.facts("agentTurn").at(-1)!;
  t.ok(ledger.eagerStartAtMs !== null && ledger.eagerStartAtMs < ledger.committedAtMs!);
});

void t.test(
  "a model that is gone is asked once ahead and once at the commit, then apologised for",
  async (t) => {
    const fixture = answering([{ error: BROKEN, delayMs: 1 }]);
    fixture.say("are you open today?", 45_000);
    t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_STREAM_BROKEN" });
    t.equal(fixture.requests.length, 2);
    t.ok(fixture.requests.length < MAX_EAGER_PER_TURN + 1);
  },
);

void t.test("a tool call the model could not write: it is asked again, to answer in words", async (t) => {
  const fixture = answering(
    [{ error: TOOL_USE_FAILED }, { text: "I cannot look that up." }],
    ["check_opening_hours"],
  );
  fixture.say("are you open today?", 4_000);
  t.equal(fixture.heardByJournal()[1], "I cannot look that up.");
  t.ok(fixture.requests[0]!.tools.length > 0);
  t.equal(fixture.requests[1]!.tools.length, 0);
});

void t.test("words before the failed tool call, not yet heard, are not said twice", async (t) => {
  const fixture = answering(
    [{ text: "Let me see. ", error: TOOL_USE_FAILED }, { text: "Let me see. No." }],
    ["check_opening_hours"],
  );
  fixture.say("are you open today?", 5_000);
  t.equal(fixture.heardByJournal()[1], "Let me see. No.");
});

void t.test("words before the failed tool call that are being heard: it goes on without tools", async (t) => {
  const fixture = answering(
    [
      { text: "Let me see about that. ", error: TOOL_USE_FAILED, errorAfterMs: 400 },
      { text: "I cannot look that up." },
    ],
    ["check_opening_hours"],
  );
  fixture.say("are you open today?", 6_000);
  t.equal(fixture.heardByJournal()[1], "Let me see about that. I cannot look that up.");
  t.equal(fixture.requests[1]!.tools.length, 0);
  t.equal(fixture.outcome, null);
});

void t.test("a full account is asked again after the wait it named, not before", async (t) => {
  const fixture = answering([{ error: rateLimited(600) }, { text: "Yes we are." }]);
  fixture.say("are you open today?", 500);
  t.equal(fixture.requests.length, 1);
  fixture.run(4_000);
  t.equal(fixture.requests.length, 2);
  t.equal(fixture.heardByJournal()[1], "Yes we are.");
});

void t.test("an account that is full for longer than a caller waits is an outage at once", async (t) => {
  const fixture = answering([{ error: rateLimited(RETRY_WAIT_MAX_MS + 1) }]);
  fixture.say("are you open today?", 45_000);
  t.equal(fixture.requests.length, 1);
  t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_RATE_LIMITED" });
});

void t.test("a second refusal is not asked about a third time", async (t) => {
  const fixture = answering([{ error: rateLimited(100) }]);
  fixture.say("are you open today?", 45_000);
  t.equal(fixture.requests.length, 2);
  t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_RATE_LIMITED" });
});

void t.test("a caller who goes on while a retry waits: the reply is dropped with its wait", async (t) => {
  const fixture = answering([{ error: rateLimited(RETRY_WAIT_MAX_MS) }, { text: "Yes we are." }]);
  fixture.say("are you open today?", 500);
  fixture.say("or on Sunday?", 4_000);
  t.same(
    fixture.facts("callerTurn").map((turn) => turn.pii.said),
    ["are you open today? or on Sunday?"],
  );
  t.equal(fixture.requests.length, 2);
});

void t.test(
  "a model that breaks off in its answer: another goes on after the last whole clause, no word twice",
  async (t) => {
    const begun = "We are open until five, and on Satur";
    const fixture = answering([
      { text: begun, error: BROKEN, errorAfterMs: 400, delayMs: 600 },
      { text: "We are open until five, and on Saturdays until noon." },
    ]);
    fixture.say("are you open today?", 8_000);
    t.equal(fixture.heardByJournal()[1], "We are open until five, and on Saturdays until noon.");
    t.equal(fixture.requests.length, 2);
    t.match(fixture.requests[1]!.messages.at(-2), { role: "assistant", content: "We are open" });
    t.equal(fixture.facts("agentTurn").length, 2, "one reply, not two");
    t.equal(fixture.outcome, null);
  },
);

void t.test("one that broke off before its first clause is asked anew", async (t) => {
  const fixture = answering([
    { text: "We", error: BROKEN, errorAfterMs: 100, delayMs: 600 },
    { text: "We are open." },
  ]);
  fixture.say("are you open today?", 5_000);
  t.equal(fixture.heardByJournal()[1], "We are open.");
  t.equal(fixture.requests[1]!.messages.length, fixture.requests[0]!.messages.length);
});

void t.test("nobody can go on: what was handed on is heard to its end, then the apology", async (t) => {
  const fixture = answering([
    { text: "We are open until five, and on Satur", error: BROKEN, errorAfterMs: 400, delayMs: 600 },
    { error: BROKEN },
  ]);
  fixture.say("are you open today?", 45_000);
  const [, reply] = fixture.facts("agentTurn");
  t.equal(reply!.pii.heard, "We are open", "the words that were handed on");
  t.equal(reply!.cut, null, "not cut off in mid-word");
  t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_STREAM_BROKEN" });
});
