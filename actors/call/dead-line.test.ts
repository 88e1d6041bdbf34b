/**
 * A caller who waits for us while we wait for him. Each of these once ended in silence.
 */
import t from "tap";
import type { TtsProvider } from "#actors/providers";
import { phrasesFor } from "#actors/speech";
import { CallFixture, type CallFixtureOptions } from "./call.fixture.js";
import { SILENCE_PROMPT_AFTER_MS } from "./silence.js";
import { HOLD_RELEASE_MS } from "./turns.js";

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

void t.test("a word taken back while the reply is prepared: the question is answered", async (t) => {
  const fixture = answered({ reply: () => ({ text: "At five.", delayMs: 1_000 }) });
  fixture.say("when do you close?", 400);
  cough(fixture, 100, 0);
  fixture.run(HOLD_RELEASE_MS + 2_500);
  t.same(
    fixture.facts("callerTurn").map(({ pii }) => pii.said),
    ["when do you close?"],
  );
  t.equal(fixture.heardByJournal()[1], "At five.");
});

void t.test("the same when a tool had run for it", async (t) => {
  const fixture = answered({
    toolNames: ["check_opening_hours"],
    reply: (request) =>
      request.messages.at(-1)!.role === "tool"
        ? { text: "At five.", delayMs: 1_000 }
        : { tools: [{ name: "check_opening_hours", argumentsJson: "{}" }] },
  });
  fixture.say("when do you close?", 300);
  await settle(fixture, 400);
  t.equal(fixture.facts("toolCalled").length, 1);
  cough(fixture, 100, 0);
  await settle(fixture, HOLD_RELEASE_MS + 2_500);
  t.equal(fixture.facts("callerTurn").length, 1);
  t.equal(fixture.heardByJournal()[1], "At five.");
  t.equal(fixture.facts("toolCalled").length, 1, "the model knows what it said");
});

void t.test("a voice that makes no sound of the answer: he is asked whether he is there", async (t) => {
  const mute: TtsProvider = {
    name: "tts",
    speak: (_request, events) => ({
      push: () => {},
      finish: () => queueMicrotask(() => events.onDone()),
      cancel: () => {},
    }),
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const fixture = answered({ tts: () => mute, reply: () => ({ text: "Hm." }) });
  await settle(fixture, 200);
  fixture.say("when do you close?", 300);
  await settle(fixture, 12_000);
  t.same(
    fixture.facts("agentTurn").map(({ pii }) => pii.intended),
    ["Hello there.", "Hm.", silencePrompts[0]],
  );
  t.same(fixture.heardByJournal(), ["", "", ""], "nor is a word of it claimed");
});

/** Voices and tools answer through promises: lets them settle between steps of line time. */
async function settle(fixture: CallFixture, ms: number): Promise<void> {
  for (let elapsed = 0; elapsed < ms; elapsed += 20) {
    fixture.run(20);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
