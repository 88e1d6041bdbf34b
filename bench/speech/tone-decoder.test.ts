import t from "tap";
import { seededRandom } from "#runtime/actor";
import { normalizeWords } from "./alphabet.js";
import {
  SENTENCES,
  hear,
  onLine,
  randomText,
  throughCodec,
  throughRate,
  understood,
} from "./line.fixture.js";
import { type DecodedWord, ToneDecoder } from "./tone-decoder.js";
import { toneVoice } from "./tone-voice.js";

void t.test("every printable ASCII character comes back", async (t) => {
  const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const text = `${printable.join("")} ${printable.join(" ")} ${printable.map((c) => `a${c}b`).join(" ")}`;
  t.same(understood(hear(toneVoice.synthesize(text).samples)), normalizeWords(text));
});

void t.test("other languages, emoji and very long words come back", async (t) => {
  const text =
    "¿Dónde está el baño? Ça va, à bientôt! Straße “quoted” — 日本語 Здравствуйте 👍🏽 " +
    `${"donaudampfschifffahrtsgesellschaft".repeat(4)} https://example.com/a?b=c&d=%20#e`;
  t.same(understood(hear(toneVoice.synthesize(text).samples)), normalizeWords(text));
});

void t.test("99 % of words survive mu-law, 20 dB of noise, any offset and any level", async (t) => {
  const seed = 20_240_501;
  const random = seededRandom(seed);
  for (const levelDbfs of [-3, -10, -18, -30, -45]) {
    let said = 0;
    let right = 0;
    for (let round = 0; round < 15; round++) {
      const speech = toneVoice.synthesize(randomText(random, 20));
      const offset = Math.floor(random.next() * 400);
      const heard = understood(hear(onLine(speech.samples, { offset, levelDbfs, snrDb: 20, random })));
      said += speech.words.length;
      right += speech.words.filter((word, index) => heard[index] === word.word).length;
    }
    t.ok(right >= 0.99 * said, `${right} of ${said} words at ${levelDbfs} dBFS, seed ${seed}`);
  }
});

void t.test("words survive A-law, linear audio and a way over another sample rate", async (t) => {
  const { samples, words } = toneVoice.synthesize(SENTENCES.join(" "));
  const said = words.map((word) => word.word);
  const tail = new Int16Array(samples.length + 800);
  tail.set(samples);
  for (const encoding of ["alaw", "l16le", "l16be"] as const) {
    t.same(understood(hear(throughCodec(tail, encoding))), said, encoding);
  }
  for (const rateHz of [16_000, 24_000, 48_000] as const) {
    t.same(understood(hear(throughRate(tail, rateHz))), said, `${rateHz} Hz`);
  }
});

void t.test("words are heard while they are spoken: each by its end", async (t) => {
  const seed = 31;
  const random = seededRandom(seed);
  for (const text of SENTENCES) {
    const speech = toneVoice.synthesize(text);
    const offset = Math.floor(random.next() * 160);
    const positions: number[] = [];
    const decoder = new ToneDecoder(() => positions.push(decoder.positionMs));
    const line = onLine(speech.samples, { offset, snrDb: 20, random });
    for (let at = 0; at < line.length; at += 160) decoder.push(line, at, Math.min(160, line.length - at));
    t.equal(positions.length, speech.words.length);
    const late = speech.words.filter(({ endMs }, index) => positions[index]! > endMs + offset / 8 + 20);
    t.same(late, [], `seed ${seed}`);
  }
});

void t.test("the times of a word are those it was spoken at", async (t) => {
  const speech = toneVoice.synthesize(SENTENCES.join(" "));
  const heard = hear(onLine(speech.samples, { offset: 1234 }));
  t.equal(heard.length, speech.words.length);
  const wrong = speech.words.filter(
    ({ startMs, endMs }, index) =>
      Math.abs(heard[index]!.startMs - startMs - 1234 / 8) > 3 ||
      Math.abs(heard[index]!.endMs - endMs - 1234 / 8) > 3,
  );
  t.same(wrong, []);
});

void t.test("it does not matter how the audio is cut up", async (t) => {
  const speech = toneVoice.synthesize(SENTENCES.slice(0, 6).join(" "));
  const line = onLine(speech.samples, { offset: 77 });
  const expected = hear(line, 160);
  t.equal(expected.length, speech.words.length);
  for (const pieceSamples of [1, 7, 40, 80, 161, 800, line.length]) {
    t.same(hear(line, pieceSamples), expected, `pieces of ${pieceSamples}`);
  }
});

void t.test("a part of a buffer can be pushed, and never more than it holds", async (t) => {
  const { samples } = toneVoice.synthesize("hello");
  const buffer = new Int16Array(samples.length + 1_000).fill(9_999);
  buffer.set(samples, 500);
  const heard: DecodedWord[] = [];
  const decoder = new ToneDecoder((word) => heard.push(word));
  decoder.push(buffer, 500, samples.length);
  t.same(understood(heard), ["hello"]);
  t.equal(decoder.positionMs, samples.length / 8);
  decoder.push(samples, samples.length - 8, 1_000);
  t.equal(decoder.positionMs, samples.length / 8 + 1);
});

void t.test("the level of a word is told to the decibel", async (t) => {
  const { samples } = toneVoice.synthesize("one two three");
  for (const levelDbfs of [-12, -18, -38, -45]) {
    for (const word of hear(onLine(samples, { levelDbfs }))) t.ok(Math.abs(word.levelDb - levelDbfs) < 1);
  }
});

void t.test("after a reset it counts from zero and has forgotten the word under way", async (t) => {
  const speech = toneVoice.synthesize("appointment tomorrow");
  const heard: DecodedWord[] = [];
  const decoder = new ToneDecoder((word) => heard.push(word));
  decoder.push(speech.samples, 0, 1_600);
  decoder.reset();
  t.equal(decoder.positionMs, 0);
  decoder.push(toneVoice.synthesize("yes").samples);
  t.same(understood(heard), ["yes"]);
  t.ok(heard[0]!.startMs <= 3);
});
