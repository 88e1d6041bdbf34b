import t from "tap";
import { VirtualClock } from "#runtime/actor";
import type { EndpointingDecision, EndpointingInput } from "#actors/speech";
import { EndOfTurn } from "./end-of-turn.js";
import { Listener } from "./listener.js";

/** A caller who has said something; each decision is for 100 ms. */
function heard(text: string) {
  const clock = new VirtualClock();
  const listener = new Listener();
  const say = (words: string): void =>
    listener.onInterim({ text: words, words: [], startMs: 0, endMs: 300 }, clock.nowMs());
  say(text);
  const vad = { isFrameSpeech: false, silenceMs: 50, lastSpeechPositionMs: 300 };
  const asked: EndpointingInput[] = [];
  let kind: EndpointingDecision["kind"] = "wait";
  const endOfTurn = new EndOfTurn({
    clock,
    language: "en",
    vad,
    listener,
    listening: { sinceSpeechMs: 0 },
    endpointing: {
      decide(input) {
        asked.push(input);
        if (kind === "commit") return { kind, isCovered: true };
        return { kind, recheckAtMs: input.nowMs + 100 };
      },
    },
  });
  const decides = (next: EndpointingDecision["kind"]): void => {
    kind = next;
  };
  return { clock, vad, listener, say, asked, endOfTurn, decides };
}

void t.test("a decision holds until there are other words, a sound, or its time is over", async (t) => {
  const changes: Readonly<Record<string, (caller: ReturnType<typeof heard>) => void>> = {
    "other words": ({ say }) => say("book a table"),
    "a sound": ({ vad }) => (vad.isFrameSpeech = true),
    "its time": ({ clock }) => clock.advance(1),
    "as much audio at once, after a stall": ({ vad }) => (vad.silenceMs += 100),
    "the floor was another's": ({ endOfTurn }) => endOfTurn.forget(),
  };
  for (const [name, change] of Object.entries(changes)) {
    const caller = heard("book");
    t.notOk(caller.endOfTurn.isDecided, "nobody has looked yet");
    caller.endOfTurn.decide("");
    caller.clock.advance(99);
    t.ok(caller.endOfTurn.isDecided, "nothing has changed");
    change(caller);
    t.notOk(caller.endOfTurn.isDecided, name);
  }
});

void t.test(
  "while the caller speaks the same words are asked about once, however long it takes",
  async (t) => {
    const { endOfTurn, vad, clock, asked } = heard("book");
    vad.isFrameSpeech = true;
    endOfTurn.decide("");
    clock.advance(10_000);
    t.ok(endOfTurn.isDecided);
    t.equal(asked[0]!.silenceMs, 0, "whatever the voice activity last said of silence");
  },
);

void t.test("a turn that is over is not held for decided: its words are taken", async (t) => {
  const { endOfTurn, decides } = heard("book");
  decides("commit");
  t.equal(endOfTurn.decide("").kind, "commit");
  t.notOk(endOfTurn.isDecided);
});

void t.test("the number that the agent's present words ask for is waited for", async (t) => {
  const { endOfTurn, asked } = heard("book");
  for (const text of ["How can I help?", "Could I have your phone number, please?", "Thank you."])
    endOfTurn.decide(text);
  t.same(
    asked.map(({ expectedDigits }) => expectedDigits),
    [null, 10, null],
  );
});
