import t from "tap";
import type { SttTranscript } from "#actors/providers";
import { Listener } from "./listener.js";

function transcript(text: string, fromMs: number, msPerWord = 300): SttTranscript {
  const words = text.split(" ").map((word, index) => ({
    word,
    startMs: fromMs + index * msPerWord,
    endMs: fromMs + (index + 1) * msPerWord,
  }));
  return { text, words, startMs: fromMs, endMs: fromMs + words.length * msPerWord };
}

void t.test("interims replace one another, finals add up", async (t) => {
  const listener = new Listener();
  listener.onInterim(transcript("book", 0), 1);
  listener.onInterim(transcript("book a table", 0), 2);
  t.equal(listener.text, "book a table");
  t.equal(listener.isFinal, false);
  listener.onFinal(transcript("Book a table.", 0), true, 3);
  listener.onInterim(transcript("for two", 1_000), 4);
  t.equal(listener.text, "Book a table. for two");
});

void t.test("a late final of words already taken adds nothing, a new word in it does", async (t) => {
  const listener = new Listener();
  listener.onInterim(transcript("book a table", 0), 1);
  t.equal(listener.take(), "book a table");
  t.ok(listener.isEmpty);
  listener.onFinal(transcript("Book a table.", 20), true, 2);
  t.ok(listener.isEmpty);
  listener.onFinal(transcript("Book a table please.", 20), true, 3);
  t.equal(listener.take(), "please.");
});

void t.test("a turn that was taken keeps when its transcripts came, for its ledger", async (t) => {
  const listener = new Listener();
  listener.onInterim(transcript("book a table", 0), 10);
  listener.onFinal(transcript("Book a table.", 0), true, 20);
  listener.take();
  t.same([listener.takenInterimAtMs, listener.takenFinalAtMs], [10, 20]);
  listener.onInterim(transcript("for two", 1_000), 30);
  listener.take();
  t.same([listener.takenInterimAtMs, listener.takenFinalAtMs], [30, null], "the next turn has its own");
});

void t.test("words without times get them spread over the range", async (t) => {
  const listener = new Listener();
  listener.onFinal({ text: "one two three four", words: [], startMs: 0, endMs: 400 }, true, 1);
  const plain = (words: readonly { word: string }[]) => words.map(({ word }) => word);
  t.same(plain(listener.wordsAfter(200)), ["three", "four"]);
  t.same(plain(listener.wordsUntil(200)), ["one", "two"]);
  t.equal(listener.throughMs, 400);
});

void t.test("what is forgotten up to a word does not come back with its final", async (t) => {
  const listener = new Listener();
  listener.onFinal(transcript("welcome with", 0), false, 1);
  listener.onInterim(transcript("us yes", 600), 2);
  listener.forgetThrough(listener.wordsAfter(0)[2]!);
  t.equal(listener.text, "yes");
  listener.onFinal(transcript("Us. Yes please.", 640), true, 3);
  t.equal(listener.take(), "Yes please.");
  listener.onInterim(transcript("us", 1_600), 4);
  listener.forgetThrough(listener.wordsAfter(0)[0]!);
  t.ok(listener.isEmpty, "without a later word nothing is left");
});

void t.test("a turn without end keeps its newest words", async (t) => {
  const listener = new Listener();
  for (let index = 0; index < 2_000; index += 1) {
    listener.onFinal(transcript(`word${index}`, index * 300), false, index);
  }
  t.ok(listener.text.length <= 4_001);
  t.ok(listener.text.endsWith("word1999"));
});

void t.test(
  "what is forgotten after a position leaves the words before it, and does not come back",
  async (t) => {
    const listener = new Listener();
    listener.onFinal(transcript("tell me", 0), false, 1);
    listener.onInterim(transcript("about uh-huh", 600), 2);
    listener.forgetAfter(900);
    t.equal(listener.text, "tell me about");
    t.equal(listener.throughMs, 1_200, "what was heard is accounted for");
    listener.onFinal(transcript("About. Uh-huh. Parking?", 610), true, 3);
    t.equal(listener.take(), "tell me about Parking?");
    listener.onInterim(transcript("uh-huh", 2_000), 4);
    listener.forgetAfter(1_900);
    t.ok(listener.isEmpty, "with nothing before it nothing is left");
  },
);

void t.test("what another owner was told stands before what is heard, until a turn takes it", async (t) => {
  const listener = new Listener();
  listener.takeUp("I wanted to", 600, 5);
  t.notOk(listener.isEmpty);
  t.notOk(listener.hasWords);
  t.equal(listener.text, "I wanted to");
  listener.onInterim(transcript("wanted to ask", 0), 10);
  t.equal(listener.text, "I wanted to ask", "what it had been told is heard again, and counts once");
  listener.forgetAfter(0);
  t.equal(listener.text, "I wanted to", "what was our echo was none of it");
  t.equal(listener.take(), "I wanted to");
  t.ok(listener.isEmpty);
});
