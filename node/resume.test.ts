/** A call outlives its media socket: heard by the caller, written in one journal. */
import t from "tap";
import { factsOf, startTestNode } from "./node.fixture.js";
import { isOneJournal, midReply, resumed } from "./resume.fixture.js";

// Mostly waiting for speech to be spoken: side by side.
t.jobs = 4;

const GREETING = "Hello there.";
const BRIEF = { "bright-smile-dental": { greeting: GREETING } };

void t.test(
  "a media socket that breaks in mid-reply: the call goes on over another one",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, { tenants: BRIEF });
    const call = await server.call();
    await call.waitForReply(0);
    const asked = await call.say("When are you open?");
    await midReply(call, asked.endedAtMs);
    call.cutMedia();
    await resumed(call);
    const backAtMs = call.nowMs();
    await call.waitForReply(backAtMs);
    t.ok(call.heardText(backAtMs).length > 0, "the agent speaks again");
    t.notMatch(call.heardText(backAtMs), /Hello there/, "and does not begin anew");
    const said = await call.say("Is there parking?");
    await call.waitForReply(said.endedAtMs);
    t.match(call.heardText(said.endedAtMs), /free parking/);
    call.hangUp();
    const journal = await server.journal(call);
    isOneJournal(t, journal);
    t.equal(factsOf(journal, "legLost").length, 1);
    t.match(factsOf(journal, "callResumed"), [{ gapMs: Number }]);
    t.match(journal.at(-1), { outcome: { kind: "callerHungUp" } });
    t.match((await server.admin("/metrics")).text, /lumentra_call_resumes_total\{result="here"\} 1/);
  },
);

void t.test("a call may be lost again and again", { buffered: true }, async (t) => {
  const server = await startTestNode(t, { tenants: BRIEF });
  const call = await server.call();
  await call.waitForReply(0);
  for (let streams = 2; streams <= 4; streams++) {
    call.cutMedia();
    await call.waitUntil("the next media stream", 20_000, () => call.stats.streamCount >= streams);
  }
  const said = await call.say("Is there parking?");
  await call.waitForReply(said.endedAtMs);
  t.match(call.heardText(said.endedAtMs), /free parking/);
  call.hangUp();
  const journal = await server.journal(call);
  isOneJournal(t, journal);
  t.equal(factsOf(journal, "callResumed").length, 3);
});

void t.test(
  "a call that nobody brings back ends when the grace is over, and its place is free",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      environment: { LUMENTRA_RESUME_GRACE_S: "1", LUMENTRA_CALLS_PER_SHARD: "1" },
      tenants: { "bright-smile-dental": { greeting: GREETING, limits: { concurrentCalls: 1 } } },
    });
    const call = await server.call();
    await call.waitForReply(0);
    call.dropLine();
    await call.ended;
    const journal = await server.journal(call);
    isOneJournal(t, journal);
    t.match(journal.at(-1), { outcome: { kind: "legLost" } });
    const next = await server.call();
    await next.waitForReply(0);
    next.hangUp();
    t.match((await server.admin("/metrics")).text, /lumentra_call_resumes_total\{result="expired"\} 1/);
  },
);

void t.test(
  "a call whose media socket breaks while its node drains goes on, and ends with the drain",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      environment: { LUMENTRA_CALLS_PER_SHARD: "1" },
      tenants: BRIEF,
    });
    const call = await server.call();
    await call.waitForReply(0);
    const drained = server.node.drain(20_000);
    call.cutMedia();
    await resumed(call);
    const said = await call.say("Is there parking?");
    await call.waitForReply(said.endedAtMs);
    t.match(call.heardText(said.endedAtMs), /free parking/);
    call.hangUp();
    await drained; // it waits for nobody else
  },
);
