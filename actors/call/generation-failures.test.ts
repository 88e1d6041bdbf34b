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
    fixture.say("are you open today?", 20_000);
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
  fixture.say("are you open today?", 20_000);
  t.equal(fixture.requests.length, 1);
  t.same(fixture.outcome, { kind: "providerFailed", code: "LLM_RATE_LIMITED" });
});

void t.test("a second refusal is not asked about a third time", async (t) => {
  const fixture = answering([{ error: rateLimited(100) }]);
  fixture.say("are you open today?", 20_000);
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
