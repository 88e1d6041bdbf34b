import t from "tap";
import { RETRY_RESERVE } from "./retry-budget.js";
import { chainBench, HeardReply, REQUEST, ScriptedLlm, failure } from "./chain.fixture.js";
import { SWEEP_INTERVAL_MS } from "../due-sweep.js";
import { FAULTS_IN_ROW } from "./breaker.js";
import { ROOM_PATIENCE_MS, SHUN_MS } from "./chain.js";
import { SAMPLES_MIN } from "./latency-tail.js";
import { FIRST_TOKEN_PATIENCE_MS, LlmChain, STALL_PATIENCE_MS } from "./llm-chain.js";

function setUp(options: { names?: readonly string[]; hedge?: boolean; ceiling?: number } = {}) {
  const bench = chainBench(() => options.ceiling ?? Number.POSITIVE_INFINITY);
  const llms = (options.names ?? ["one", "two", "three"]).map((name) => new ScriptedLlm(name));
  const newChain = (): LlmChain =>
    new LlmChain(
      llms.map((llm) => ({
        name: llm.name,
        model: `${llm.name}-model`,
        account: bench.accounts.get("LLM", llm.name),
        provider: () => llm,
      })),
      { ...bench, tenantId: "t", hedge: options.hedge ?? false },
    );
  const chain = newChain();
  const ask = (by = chain) => {
    const reply = new HeardReply();
    return { reply, stream: by.generate(REQUEST, reply) };
  };
  const [one, two, three] = llms;
  return { ...bench, bench, chain, newChain, ask, one: one!, two: two!, three: three! };
}

void t.test("the first answers; nobody else is asked, and everything is given back", async (t) => {
  const { ask, one, two, bench } = setUp();
  const { reply } = ask();
  one.last.events.onText("Hello.");
  one.last.events.onDone("stop", null);
  t.same(reply.told, ["Hello.", "done stop"]);
  t.equal(one.last.request.model, "one-model");
  t.equal(two.asked.length, 0);
  t.equal(bench.inFlight(), 0);
  t.equal(bench.sweep.size, 0);
});

void t.test("who fails before the first token is followed by the next, each asked once", async (t) => {
  const { ask, one, two, three, bench, counted } = setUp();
  const { reply } = ask();
  one.last.events.onError(failure("LLM_CONNECT_FAILED"));
  two.last.events.onError(failure("LLM_RATE_LIMITED"));
  three.last.events.onError(failure("LLM_REJECTED"));
  t.same(reply.told, ["one LLM_CONNECT_FAILED two", "two LLM_RATE_LIMITED three", "error LLM_REJECTED"]);
  t.same(counted, ["one -> two", "two -> three"]);
  t.same([one.asked.length, two.asked.length, three.asked.length], [1, 1, 1]);
  t.equal(bench.inFlight(), 0);
});

void t.test("one that says nothing is not waited for, as long as there is another", async (t) => {
  const { ask, one, two, three, clock } = setUp();
  const { reply } = ask();
  const stray = one.last.events;
  clock.advance(FIRST_TOKEN_PATIENCE_MS + SWEEP_INTERVAL_MS);
  t.ok(one.last.cancelled);
  two.last.events.onText("Yes, ");
  stray.onText("late");
  t.same(reply.told, ["one LLM_TIMEOUT two", "Yes, "]);
  clock.advance(STALL_PATIENCE_MS + SWEEP_INTERVAL_MS);
  t.equal(reply.told.at(-1), "error LLM_TIMEOUT", "within its answer: the caller's to go on from");

  const again = ask();
  t.equal(three.asked.length, 1, "the two that failed this call are asked last");
  three.last.events.onError(failure("LLM_CONNECT_FAILED"));
  clock.advance(60_000);
  t.notOk(
    again.reply.told.some((told) => told.startsWith("error")),
    "the last one has all the time it wants",
  );
});

void t.test("what failed a call is its last choice for a while, and then its first again", async (t) => {
  const { ask, newChain, one, two, clock } = setUp();
  ask();
  one.last.events.onError(failure("LLM_STREAM_BROKEN"));
  two.last.events.onDone("stop", null);
  ask().stream.cancel();
  t.equal(one.asked.length, 1);
  ask(newChain()).stream.cancel();
  t.equal(one.asked.length, 2, "another call's luck is its own");
  clock.advance(SHUN_MS);
  ask().stream.cancel();
  t.equal(one.asked.length, 3);
});

void t.test("an open breaker is not asked at all", async (t) => {
  const { ask, newChain, one, two, counted } = setUp();
  for (let index = 0; index < FAULTS_IN_ROW; index += 1) {
    ask(newChain());
    one.last.events.onError(failure("LLM_CONNECT_FAILED"));
    two.last.events.onDone("stop", null);
  }
  t.ok(counted.includes("LLM one open"));
  const { reply } = ask(newChain());
  t.equal(one.asked.length, FAULTS_IN_ROW);
  two.last.events.onDone("stop", null);
  t.same(reply.told, ["done stop"], "not a word of it");
});

void t.test("a cancelled request says nothing more and counts for nothing", async (t) => {
  const { ask, one, two, bench, clock } = setUp();
  const { reply, stream } = ask();
  stream.cancel();
  t.ok(one.last.cancelled);
  one.last.events.onError(failure("LLM_CONNECT_FAILED"));
  clock.advance(60_000);
  t.same(reply.told, []);
  t.equal(two.asked.length, 0);
  t.equal(bench.inFlight(), 0);
  t.equal(bench.sweep.size, 0);
});

void t.test("alone, a broken connection is dialled once more, and an outage is not hammered", async (t) => {
  const { newChain, ask, one, counted } = setUp({ names: ["one"] });
  const { reply } = ask();
  one.last.events.onError(failure("LLM_STREAM_BROKEN"));
  t.equal(one.asked.length, 2);
  one.last.events.onText("Yes.");
  one.last.events.onDone("stop", null);
  t.same(reply.told, ["one LLM_STREAM_BROKEN one", "Yes.", "done stop"]);
  // A mixed day: every other request breaks. Without a budget each would be asked twice.
  const before = one.asked.length;
  const requests = 400;
  for (let index = 0; index < requests; index += 1) {
    ask(newChain());
    if (index % 4 !== 0) {
      one.last.events.onText("Yes.");
      one.last.events.onDone("stop", null);
      continue;
    }
    const askedCount = one.asked.length;
    one.last.events.onError(failure("LLM_STREAM_BROKEN"));
    if (one.asked.length > askedCount) one.last.events.onDone("stop", null);
  }
  const retries = one.asked.length - before - requests;
  t.ok(retries <= requests * 0.2 + RETRY_RESERVE, `${retries} retries`);
  t.ok(counted.some((line) => line.includes("retryBudget")));
});

void t.test("nobody may be asked: the failure comes later, never from inside the call", async (t) => {
  const { ask, newChain, one, clock } = setUp({ names: ["one"], ceiling: 1 });
  ask();
  const full = ask(newChain());
  clock.advance(ROOM_PATIENCE_MS - SWEEP_INTERVAL_MS);
  t.same(full.reply.told, []);
  clock.advance(2 * SWEEP_INTERVAL_MS);
  t.same(full.reply.told, ["error LLM_OVERFLOW"]);
  one.last.events.onError(failure("LLM_UNAUTHORIZED"));
  const shut = ask(newChain());
  clock.advance(1);
  t.same(shut.reply.told, ["error LLM_UNAVAILABLE"]);
});

/** A 429 that says "half a second" took the call of everybody who asked within it: it was offered to leave a message. */
void t.test("alone and full, room is waited for; whoever was told to wait longer is not", async (t) => {
  const { ask, newChain, one, clock, bench, counted } = setUp({ names: ["one"], ceiling: 1 });
  const first = ask();
  const waits = ask(newChain());
  const leaves = ask(newChain());
  clock.advance(1_000);
  leaves.stream.cancel();
  t.equal(one.asked.length, 1);
  one.last.events.onDone("stop", null);
  t.same(first.reply.told, ["done stop"]);
  clock.advance(SWEEP_INTERVAL_MS);
  t.equal(one.asked.length, 2);
  one.last.events.onText("Yes.");
  one.last.events.onDone("stop", null);
  t.same(waits.reply.told, ["Yes.", "done stop"]);
  t.same(leaves.reply.told, []);
  t.same(counted, ["LLM one budget first", "LLM one budget first"], "each was denied once");

  ask(newChain());
  one.last.events.onError(failure("LLM_RATE_LIMITED", 500));
  const soon = ask(newChain());
  clock.advance(500 + SWEEP_INTERVAL_MS);
  one.last.events.onDone("stop", null);
  t.same(soon.reply.told, ["done stop"]);

  ask(newChain());
  one.last.events.onError(failure("LLM_RATE_LIMITED", ROOM_PATIENCE_MS + 1));
  const never = ask(newChain());
  clock.advance(1);
  t.same(never.reply.told, ["error LLM_OVERFLOW"]);
  t.equal(bench.inFlight(), 0);
  t.equal(bench.sweep.size, 0);
});

void t.test("one that was full is asked when those behind it have failed", async (t) => {
  const { ask, newChain, one, two, clock } = setUp({ names: ["one", "two"], ceiling: 1 });
  ask(newChain());
  const { reply } = ask(newChain());
  two.last.events.onError(failure("LLM_TIMEOUT"));
  one.last.events.onDone("stop", null);
  clock.advance(SWEEP_INTERVAL_MS);
  t.equal(one.asked.length, 2);
  one.last.events.onDone("stop", null);
  t.same(reply.told, ["two LLM_TIMEOUT one", "done stop"]);
  t.equal(two.asked.length, 1);
});

void t.test("hedging: late by the tail's measure, a second is asked; the first word wins", async (t) => {
  const { newChain, ask, one, two, three, clock, counted, bench } = setUp({ hedge: true });
  const learn = (): void => {
    for (let index = 0; index < SAMPLES_MIN; index += 1) {
      ask(newChain());
      clock.advance(300);
      one.last.events.onDone("stop", null);
    }
  };
  const early = ask(newChain());
  clock.advance(1_000);
  t.equal(two.asked.length, 0, "nothing is known of its tail");
  early.stream.cancel();
  learn();

  const first = ask(newChain());
  clock.advance(300 + SWEEP_INTERVAL_MS);
  t.equal(two.asked.length, 1);
  two.last.events.onText("Two");
  t.ok(one.last.cancelled, "the loser is cancelled at once");
  one.last.events.onText("One");
  t.same(first.reply.told, ["Two"]);
  two.last.events.onDone("stop", null);

  const second = ask(newChain());
  clock.advance(300 + SWEEP_INTERVAL_MS);
  one.last.events.onText("One");
  t.ok(two.last.cancelled);
  one.last.events.onDone("stop", null);
  t.same(second.reply.told, ["One", "done stop"]);

  const third = ask(newChain());
  clock.advance(300 + SWEEP_INTERVAL_MS);
  one.last.events.onError(failure("LLM_CONNECT_FAILED"));
  two.last.events.onText("Two");
  two.last.events.onDone("stop", null);
  t.same(third.reply.told, ["Two", "done stop"], "the first fails: the second is already there");
  t.same(
    counted.filter((line) => line.startsWith("hedge")),
    ["hedge two won", "hedge two lost", "hedge two won"],
  );
  t.equal(three.asked.length, 0);
  t.equal(bench.inFlight(), 0);
});

void t.test("a hedge that says nothing either is not waited for, as long as there is a third", async (t) => {
  const { newChain, ask, one, two, three, clock, bench } = setUp({ hedge: true });
  for (let index = 0; index < SAMPLES_MIN; index += 1) {
    ask(newChain());
    clock.advance(300);
    one.last.events.onDone("stop", null);
  }
  const { reply } = ask(newChain());
  clock.advance(300 + SWEEP_INTERVAL_MS);
  t.equal(two.asked.length, 1);
  clock.advance(FIRST_TOKEN_PATIENCE_MS - 300);
  t.ok(one.last.cancelled);
  t.equal(three.asked.length, 0, "the second was asked later");
  clock.advance(300 + SWEEP_INTERVAL_MS);
  t.ok(two.last.cancelled);
  three.last.events.onText("Three");
  three.last.events.onDone("stop", null);
  t.same(reply.told.slice(-2), ["Three", "done stop"]);
  t.equal(bench.inFlight(), 0);
});

void t.test("hedges are paid from the retry budget: a slow day does not double the load", async (t) => {
  const { newChain, ask, one, clock, counted } = setUp({ hedge: true, names: ["one"] });
  for (let index = 0; index < 200; index += 1) {
    ask(newChain());
    clock.advance(index < SAMPLES_MIN ? 300 : 1_600);
    for (const asked of one.asked) if (!asked.cancelled) asked.events.onDone("stop", null);
  }
  const hedges = one.asked.length - 200;
  t.ok(hedges > 0 && hedges <= 200 * 0.2 + RETRY_RESERVE, `${hedges} hedges`);
  t.ok(counted.includes("LLM one retryBudget hedge"));
});
