/**
 * A caller who waits for us while we wait for him. Each of these once ended in silence.
 */
import t from "tap";
import { phrasesFor } from "#actors/speech";
import { CallFixture, type CallFixtureOptions } from "./call.fixture.js";
import { SILENCE_PROMPT_AFTER_MS } from "./silence.js";

/** Longer than somebody is waited for. */
const LONG_REPLY = "We are open from eight until five on weekdays and closed on Sundays. ".repeat(3).trim();
const { silencePrompts } = phrasesFor("en");

function answered(options: CallFixtureOptions = {}): CallFixture {
  const fixture = new CallFixture(options);
  fixture.run(1_500); // the greeting
  return fixture;
}

/** A sound of this length, of which the recogniser makes a word so much later, and takes it back. */
function cough(fixture: CallFixture, ms: number, lateMs: number): void {
  const fromMs = fixture.positionMs;
  fixture.callerSpeaks = true;
  fixture.run(ms);
  fixture.callerSpeaks = false;
  fixture.run(lateMs);
  fixture.interim(["the"], fromMs);
  fixture.run(20);
  fixture.final([], fromMs);
}

void t.test("a cough that cut a reply: he is asked whether he is there", async (t) => {
  const fixture = answered({ reply: () => ({ text: LONG_REPLY }) });
  fixture.say("when are you open?", SILENCE_PROMPT_AFTER_MS + 1_000);
  cough(fixture, 300, 260);
  fixture.run(12_000);
  t.equal(fixture.facts("agentTurn")[1]!.cut, "bargeIn");
  t.equal(fixture.heardByJournal()[2], silencePrompts[0]);
});
