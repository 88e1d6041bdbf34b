/** A caller of whom only sound arrives waited eight seconds for the silence prompt. */
import t from "tap";
import { CallFixture } from "./call.fixture.js";
import { WORDLESS_SOUND_MS } from "./wordless.js";

/** Endpointing's wait for words, and the playout of the phrase. */
const ANSWERED_WITHIN_MS = 1_500 + 3_000;

function greeted(): CallFixture {
  const fixture = new CallFixture({ reply: () => ({ text: "Yes we are." }) });
  fixture.run(1_500);
  return fixture;
}

function sound(fixture: CallFixture, soundMs: number, thenMs: number): void {
  fixture.callerSpeaks = true;
  fixture.run(soundMs);
  fixture.callerSpeaks = false;
  fixture.run(thenMs);
}

const prompts = (fixture: CallFixture) =>
  fixture.facts("agentTurn").filter(({ source }) => source === "prompt").length;

void t.test("speech of which no words came is asked about once, and again only after a turn", async (t) => {
  const fixture = greeted();
  sound(fixture, 1_000, 1_400);
  t.equal(fixture.facts("agentTurn").length, 1, "the words may still come");
  fixture.run(3_000);
  t.match(fixture.heardByJournal()[1], /didn't catch/);
  sound(fixture, 1_000, ANSWERED_WITHIN_MS);
  t.equal(prompts(fixture), 1, "not twice in a row");
  fixture.say("are you open today?", 3_000);
  t.equal(fixture.heardByJournal()[2], "Yes we are.");
  sound(fixture, 1_000, ANSWERED_WITHIN_MS);
  t.equal(prompts(fixture), 2);
});

void t.test("a short noise is left alone", async (t) => {
  const fixture = greeted();
  sound(fixture, WORDLESS_SOUND_MS - 200, ANSWERED_WITHIN_MS);
  t.equal(prompts(fixture), 0);
});

void t.test("words that come late are answered, and not asked for", async (t) => {
  const fixture = greeted();
  sound(fixture, 1_000, 1_000);
  fixture.recognise("are you open today?");
  fixture.run(3_000);
  t.equal(fixture.heardByJournal()[1], "Yes we are.");
  t.equal(prompts(fixture), 0);
});

void t.test("a sound that began over the agent's words is no speech to answer", async (t) => {
  const fixture = new CallFixture();
  fixture.run(560); // the greeting ends within 100 ms; too late for a barge-in
  sound(fixture, 700, ANSWERED_WITHIN_MS);
  t.equal(fixture.facts("bargeIn").length, 0);
  t.equal(prompts(fixture), 0);
});

void t.test("a sound that cut the agent is", async (t) => {
  const fixture = new CallFixture({
    reply: () => ({ text: "We are open from eight until five on weekdays and closed on Sundays." }),
  });
  fixture.run(1_500);
  fixture.say("are you open today?", 1_000);
  sound(fixture, 1_500, ANSWERED_WITHIN_MS);
  t.equal(fixture.facts("bargeIn").length, 1);
  t.match(fixture.heardByJournal().at(-1), /say that again/);
});

void t.test("a key's tone is no speech", async (t) => {
  const fixture = greeted();
  fixture.callerSpeaks = true;
  fixture.run(900);
  fixture.digit("4");
  fixture.run(20);
  fixture.callerSpeaks = false;
  fixture.run(ANSWERED_WITHIN_MS);
  t.equal(prompts(fixture), 0);
});
