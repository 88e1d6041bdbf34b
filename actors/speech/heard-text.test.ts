import t from "tap";
import { seededRandom } from "#runtime/actor";
import { ClauseSplitter, HeardText, type TimedWord } from "./index.js";

/** Each word of the text takes 300 ms, as the voice would tell it. */
function timed(text: string, fromMs = 0): TimedWord[] {
  return text
    .split(/\s+/)
    .map((word, index) => ({ word, startMs: fromMs + index * 300, endMs: fromMs + (index + 1) * 300 }));
}

function spoken(text: string): HeardText {
  const heard = new HeardText();
  heard.addText(text);
  heard.addWords(timed(text));
  heard.addAudio(text.split(" ").length * 300);
  heard.finishText();
  heard.finishAudio();
  return heard;
}

void t.test("a word counts from the millisecond at which it ends", async (t) => {
  const heard = spoken("Sure, I can book that.");
  t.equal(heard.heardWords(0), "");
  t.equal(heard.heardWords(299.9), "");
  t.equal(heard.heardWords(300), "Sure,");
  t.equal(heard.heardWords(899), "Sure, I");
  t.equal(heard.heardWords(900), "Sure, I can");
  t.equal(heard.heardWords(1_500), "Sure, I can book that.");
  t.equal(heard.heardWords(9_999), heard.words.join(" "));
});

void t.test("what was heard is the same however text, times and audio were handed in", async (t) => {
  const text = "Dr. Smith can see you at 10:30 on Tuesday, or at three on Wednesday; which do you like?";
  const whole = spoken(text);
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seededRandom(seed);
    const heard = new HeardText();
    const times = timed(text);
    let at = 0;
    while (at < text.length) {
      const next = Math.min(text.length, at + 1 + Math.floor(random.next() * 12));
      heard.addText(text.slice(at, next));
      at = next;
      const wholeWords = text.slice(0, at).split(/\s/).length - 1;
      while (18 - times.length < wholeWords && random.next() < 0.5) heard.addWords([times.shift()!]);
    }
    heard.addWords(times);
    for (let positionMs = 0; positionMs <= 5_400; positionMs += 130) {
      if (heard.heardWords(positionMs) !== whole.heardWords(positionMs))
        t.fail(`seed ${seed} at ${positionMs}`);
    }
  }
  t.equal(whole.words.join(" "), text);
});

void t.test("the last word of a piece is known before the next piece comes", async (t) => {
  const heard = new HeardText();
  const splitter = new ClauseSplitter();
  for (const piece of splitter.push("Sure, I can book that ")) heard.addText(piece);
  heard.addWords(timed(heard.words.join(" ")));
  t.equal(heard.heardWords(99_999), heard.words.join(" "));
  const before = heard.words.join(" ");
  for (const piece of splitter.push("for you today. ")) heard.addText(piece);
  for (const piece of splitter.finish()) heard.addText(piece);
  t.equal(heard.heardWords(before.split(" ").length * 300), before);
  t.equal(heard.words.join(" "), "Sure, I can book that for you today.");
});

void t.test("words the voice writes otherwise are placed between those it does not", async (t) => {
  const heard = new HeardText();
  heard.addText("See Dr. Smith at 3:30 today.");
  heard.addWords([
    { word: "See", startMs: 0, endMs: 200 },
    { word: "Doctor", startMs: 200, endMs: 500 },
    { word: "Smith", startMs: 500, endMs: 800 },
    { word: "at", startMs: 800, endMs: 900 },
    { word: "three", startMs: 900, endMs: 1_200 },
    { word: "thirty", startMs: 1_200, endMs: 1_500 },
    { word: "today", startMs: 1_500, endMs: 1_900 },
  ]);
  t.equal(heard.heardWords(200), "See");
  t.equal(heard.heardWords(799), "See Dr.");
  t.equal(heard.heardWords(900), "See Dr. Smith at");
  t.equal(heard.heardWords(1_899), "See Dr. Smith at 3:30");
  t.equal(heard.heardWords(1_900), "See Dr. Smith at 3:30 today.");
});

void t.test(
  "without any times the text is spread over the audio, and nothing is claimed before its share",
  async (t) => {
    const heard = new HeardText();
    const text = "We are open from nine to five.";
    heard.addText(text);
    t.ok(heard.heardWords(1_000).length <= 14, "a slow voice is assumed while audio is still coming");
    heard.addAudio(2_000);
    heard.finishText();
    heard.finishAudio();
    let before = 0;
    for (let positionMs = 0; positionMs <= 2_000; positionMs += 50) {
      const said = heard.heardWords(positionMs);
      t.ok(text.startsWith(said) && said.length >= before);
      t.ok(said.length <= (text.length * positionMs) / 2_000 + 1, `${said} at ${positionMs}`);
      before = said.length;
    }
    t.equal(heard.heardWords(1_999), "We are open from nine to");
    t.equal(heard.heardWords(2_000), text);
  },
);

void t.test("times that run backwards never take back what was heard", async (t) => {
  const heard = new HeardText();
  heard.addText("one two three");
  heard.addWords([
    { word: "one", startMs: 0, endMs: 500 },
    { word: "two", startMs: 100, endMs: 300 },
    { word: "three", startMs: 300, endMs: 600 },
  ]);
  t.equal(heard.heardWords(499), "");
  t.equal(heard.heardWords(500), "one two");
});

void t.test(
  "a mark stands at the end of every word, unless words are shorter than any that is spoken",
  async (t) => {
    const heard = spoken("a b c d e f g h");
    const marks: number[] = [];
    for (let mark = heard.nextMarkMs(0); mark !== null; mark = heard.nextMarkMs(mark)) marks.push(mark);
    t.same(marks, [300, 600, 900, 1_200, 1_500, 1_800, 2_100, 2_400]);
    const quick = new HeardText();
    quick.addText("a b c d e f");
    quick.addWords("abcdef".split("").map((word, i) => ({ word, startMs: i * 40, endMs: (i + 1) * 40 })));
    t.equal(quick.nextMarkMs(0), 80);
    t.equal(quick.nextMarkMs(80), 160);
    t.equal(quick.nextMarkMs(240), null);
    t.equal(new HeardText().nextMarkMs(0), null);
  },
);
