import t from "tap";
import { normalizeWords } from "./alphabet.js";
import { FRAME_SAMPLES, SENTENCES } from "./line.fixture.js";
import { TONE_LEVEL_DBFS, toneVoice } from "./tone-voice.js";

void t.test("English is spoken at about three words a second", async (t) => {
  const rates = SENTENCES.map((text) => {
    const { samples, words } = toneVoice.synthesize(text);
    return { words: words.length, seconds: samples.length / 8000 };
  });
  const wordCount = rates.reduce((sum, rate) => sum + rate.words, 0);
  const seconds = rates.reduce((sum, rate) => sum + rate.seconds, 0);
  t.comment(`${(wordCount / seconds).toFixed(2)} words a second`);
  t.ok(wordCount / seconds > 2.5 && wordCount / seconds < 3.5, `${wordCount / seconds} words a second`);
});

void t.test("speech is whole frames, and its words lie in it one after the other", async (t) => {
  for (const text of SENTENCES) {
    const { samples, words } = toneVoice.synthesize(text);
    t.equal(samples.length % FRAME_SAMPLES, 0);
    t.same(
      words.map((word) => word.word),
      normalizeWords(text),
    );
    let earliestMs = 0;
    for (const { word, startMs, endMs } of words) {
      const inFrames = startMs % 20 === 0 && endMs % 20 === 0;
      const inOrder = startMs >= earliestMs && endMs > startMs;
      if (!inFrames || !inOrder || startMs - earliestMs > 40) t.fail(`"${word}" of "${text}"`);
      earliestMs = endMs;
    }
    t.ok(samples.length / 8 - earliestMs <= 40);
  }
});

void t.test("a text without words is no speech", async (t) => {
  t.same(toneVoice.synthesize(" \n "), { samples: new Int16Array(0), words: [] });
});

void t.test(
  "a full stop pauses a little longer than a space, and not long enough to end an utterance",
  async (t) => {
    const plain = toneVoice.synthesize("so then").words;
    const stopped = toneVoice.synthesize("so. then").words;
    t.equal(plain[1]!.startMs - plain[0]!.endMs, 20);
    t.equal(stopped[1]!.startMs - stopped[0]!.endMs, 40);
  },
);

void t.test("no two frames in a row are quiet inside a sentence, wherever frames begin", async (t) => {
  const { samples } = toneVoice.synthesize("The quick brown fox jumps over a lazy dog and says hello to you");
  const last = samples.length - 2 * FRAME_SAMPLES; // the gap after the last word is not inside
  let longestQuiet = 0;
  for (let shift = 0; shift < FRAME_SAMPLES; shift += 20) {
    let quietInARow = 0;
    for (let at = shift; at + FRAME_SAMPLES <= last; at += FRAME_SAMPLES) {
      quietInARow = rmsDbfs(samples.subarray(at, at + FRAME_SAMPLES)) < -40 ? quietInARow + 1 : 0;
      longestQuiet = Math.max(longestQuiet, quietInARow);
    }
  }
  t.equal(longestQuiet, 1);
});

void t.test("words are as loud as said, without clipping", async (t) => {
  const { samples, words } = toneVoice.synthesize("abcdefghij klmnopqrst uvwxyz0123 ZZZZZZ");
  for (const { startMs, endMs } of words) {
    t.ok(Math.abs(rmsDbfs(samples.subarray(startMs * 8, endMs * 8)) - TONE_LEVEL_DBFS) < 1);
  }
  t.ok(samples.every((sample) => Math.abs(sample) < 10_000));
});

function rmsDbfs(samples: Int16Array): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return 10 * Math.log10(energy / samples.length / 32768 ** 2 + 1e-12);
}
