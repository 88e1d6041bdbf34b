import t from "tap";
import { type Random, seededRandom } from "#runtime/actor";
import {
  FRAME_SAMPLES,
  hear,
  mixInto,
  onLine,
  randomText,
  throughMulaw,
  understood,
} from "./line.fixture.js";
import { addNoise, mixNoise } from "./noise.js";
import { ToneDecoder } from "./tone-decoder.js";
import { TONE_LEVEL_DBFS, toneVoice } from "./tone-voice.js";

type Damage = (samples: Int16Array, frame: number) => Int16Array;

const DAMAGES: Record<string, Damage> = {
  "left out": (samples, frame) => {
    const shorter = new Int16Array(samples.length - FRAME_SAMPLES);
    shorter.set(samples.subarray(0, frame * FRAME_SAMPLES));
    shorter.set(samples.subarray((frame + 1) * FRAME_SAMPLES), frame * FRAME_SAMPLES);
    return shorter;
  },
  "replaced by silence": (samples, frame) =>
    samples.slice().fill(0, frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES),
  "played twice": (samples, frame) => {
    const longer = new Int16Array(samples.length + FRAME_SAMPLES);
    longer.set(samples.subarray(0, (frame + 1) * FRAME_SAMPLES));
    longer.set(samples.subarray(frame * FRAME_SAMPLES), (frame + 1) * FRAME_SAMPLES);
    return longer;
  },
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  void t.test(`a frame ${name} harms one word at most, never without a low confidence`, async (t) => {
    const seed = 8;
    const random = seededRandom(seed);
    const wrong: string[] = [];
    let harmed = 0;
    for (let round = 0; round < 400; round++) {
      const speech = toneVoice.synthesize(randomText(random, 6));
      const line = onLine(speech.samples, { offset: Math.floor(random.next() * 160) });
      const frame = Math.floor((random.next() * speech.samples.length) / FRAME_SAMPLES);
      const right = understood(hear(damage(line, frame)));
      const said = speech.words.map((word) => word.word);
      // What is understood is what was said, with at most one word missing.
      const missing = said.findIndex((word, index) => word !== right[index]);
      const expected = missing < 0 ? said : said.toSpliced(missing, 1);
      if (missing >= 0) harmed++;
      if (right.join(" ") !== expected.join(" ")) wrong.push(`round ${round}: ${right.join(" ")}`);
    }
    t.same(wrong, [], `seed ${seed}`);
    t.ok(harmed > 0, "the damage was real");
  });
}

void t.test("a frame left out of a preamble costs nothing: enough of it remains", async (t) => {
  const speech = toneVoice.synthesize("could you say that again please");
  const said = speech.words.map((word) => word.word);
  for (const word of speech.words) {
    for (const frameOfWord of [0, 1, 2]) {
      const frame = word.startMs / 20 + frameOfWord;
      const line = onLine(speech.samples);
      t.same(understood(hear(DAMAGES["left out"]!(line, frame))), said, `${word.word}, frame ${frameOfWord}`);
    }
  }
});

void t.test("a burst of ten lost frames costs the words it hit and no other", async (t) => {
  const seed = 99;
  const random = seededRandom(seed);
  for (let round = 0; round < 50; round++) {
    const speech = toneVoice.synthesize(randomText(random, 12));
    const from = Math.floor((random.next() * speech.samples.length) / 2);
    const to = from + 10 * FRAME_SAMPLES;
    const line = new Int16Array(speech.samples.length - 10 * FRAME_SAMPLES);
    line.set(speech.samples.subarray(0, from));
    line.set(speech.samples.subarray(to), from);
    const spared = speech.words.filter((word) => word.endMs * 8 <= from || word.startMs * 8 >= to);
    const right = understood(hear(line));
    const expected = spared.map((word) => word.word);
    // A word cut at its very edge may still be whole.
    t.ok(isSubsequence(expected, right), `round ${round} of seed ${seed}: ${right.join(" ")}`);
    t.ok(right.length <= expected.length + 2);
  }
});

void t.test("speech that is cut off is understood up to the last word whose end was reached", async (t) => {
  const seed = 5;
  const random = seededRandom(seed);
  const wrong: string[] = [];
  let cuts = 0;
  for (let round = 0; round < 30; round++) {
    const speech = toneVoice.synthesize(randomText(random, 5));
    const offset = Math.floor(random.next() * 160);
    for (let cutMs = 20; cutMs <= speech.samples.length / 8; cutMs += 20) {
      const heard = understood(hear(onLine(speech.samples.subarray(0, cutMs * 8), { offset }))).join(" ");
      const reached = speech.words.filter((word) => word.endMs <= cutMs).map((word) => word.word);
      if (heard !== reached.join(" ")) wrong.push(`round ${round}, cut at ${cutMs} ms: ${heard}`);
      cuts++;
    }
  }
  t.same(wrong, [], `seed ${seed}`);
  t.ok(cuts > 1_000);
});

void t.test("a word that breaks off is reported once, as a guess", async (t) => {
  const speech = toneVoice.synthesize("appointment");
  const heard = hear(onLine(speech.samples.subarray(0, 300 * 8)));
  t.equal(heard.length, 1);
  t.same(understood(heard), []);
  t.ok(heard[0]!.word.startsWith("appoi"), heard[0]!.word);
});

void t.test("of two speakers the louder is understood, at 20 dB as if alone", async (t) => {
  const seed = 17;
  const random = seededRandom(seed);
  for (let round = 0; round < 60; round++) {
    const caller = toneVoice.synthesize(randomText(random, 8));
    const agent = toneVoice.synthesize(randomText(random, 24));
    const line = new Int16Array(Math.max(caller.samples.length + 16_000, agent.samples.length + 800));
    mixInto(line, Math.floor(random.next() * 800), agent.samples, 0.1);
    mixInto(line, 6_000 + Math.floor(random.next() * 4_000), caller.samples, 1);
    const loud = hear(throughMulaw(line)).filter((word) => word.levelDb > TONE_LEVEL_DBFS - 10);
    t.same(
      understood(loud),
      caller.words.map((word) => word.word),
      `round ${round} of seed ${seed}`,
    );
    t.equal(loud.length, caller.words.length, "and nothing else is heard from there");
  }
});

void t.test("a word that a louder speaker talks over is not even guessed at", async (t) => {
  const guesses: string[] = [];
  for (const text of ["appointments", "open", "a"]) {
    const agent = toneVoice.synthesize(text).samples;
    const caller = toneVoice.synthesize("wait").samples;
    // From the first moment the agent's word is recognisable to the last at which it is not yet complete.
    for (let atMs = 65; atMs < agent.length / 8 - 40; atMs += 1) {
      const line = new Int16Array(agent.length + 8_000);
      mixInto(line, 0, agent, 0.1);
      mixInto(line, atMs * 8, caller, 1);
      const heard = hear(throughMulaw(line)).map((word) => word.word);
      if (heard.join(" ") !== "wait") guesses.push(`the caller begins at ${atMs} ms: ${heard.join(" ")}`);
    }
  }
  t.same(guesses, []);
});

void t.test("a word that another follows before its end is reported, as a guess", async (t) => {
  const line = new Int16Array(16_000);
  mixInto(line, 0, toneVoice.synthesize("appointment").samples.subarray(0, 300 * 8), 1);
  mixInto(line, 300 * 8, toneVoice.synthesize("now").samples, 1);
  const heard = hear(throughMulaw(line));
  t.same(understood(heard), ["now"]);
  t.equal(heard.length, 2);
  t.ok(heard[0]!.word.startsWith("appoi"), heard[0]!.word);
});

void t.test("an echo alone, 20 dB down, is heard as the words it is", async (t) => {
  const speech = toneVoice.synthesize("How can I help you today?");
  const heard = hear(onLine(speech.samples, { levelDbfs: TONE_LEVEL_DBFS - 20, offset: 333 }));
  t.same(
    understood(heard),
    speech.words.map((word) => word.word),
  );
});

void t.test("noise, music, clipping and silence are no words, and words after them are heard", async (t) => {
  const seed = 23;
  const random = seededRandom(seed);
  const heard: string[] = [];
  const decoder = new ToneDecoder((word) => heard.push(word.word));
  const noises: Int16Array[] = [];
  for (const rms of [3, 300, 3_000, 30_000]) {
    const noise = new Int16Array(4 * 8_000);
    addNoise(noise, rms, random);
    noises.push(noise);
  }
  noises.push(Int16Array.from({ length: 16_000 }, (_, i) => (i % 20 < 10 ? 32767 : -32768)));
  for (let hz = 2_600; hz <= 3_350; hz += 25) noises.push(whistle(hz, random));
  noises.push(Int16Array.from({ length: 16_000 }, (_, i) => 9_000 * Math.sin(i * (0.2 + i / 16_000))));
  noises.push(new Int16Array(16_000));
  for (const noise of noises) {
    decoder.push(noise);
    t.same(heard, [], `seed ${seed}`);
    decoder.push(toneVoice.synthesize("still here").samples);
    t.same(heard.splice(0), ["still", "here"]);
  }
});

void t.test("any mixture of pieces of speech ends, throws nothing and holds nothing back", async (t) => {
  const seed = 61;
  const random = seededRandom(seed);
  const speech = toneVoice.synthesize(randomText(random, 60)).samples;
  const heard: string[] = [];
  const decoder = new ToneDecoder((word) => heard.push(word.word));
  for (let piece = 0; piece < 3_000; piece++) {
    const from = Math.floor(random.next() * speech.length);
    decoder.push(speech, from, Math.floor(random.next() * 2_000));
  }
  t.ok(heard.length > 100, `${heard.length} guesses`);
  t.ok(heard.every((word) => word.length > 0 && !/\s/u.test(word)));
  decoder.push(new Int16Array(2_000));
  heard.length = 0;
  decoder.push(toneVoice.synthesize("and then it recovers").samples);
  t.same(heard, ["and", "then", "it", "recovers"], `seed ${seed}`);
});

/** On a line with noise 20 dB below it. */
function whistle(hz: number, random: Random): Int16Array {
  const samples = Int16Array.from(
    { length: 8_000 },
    (_, i) => 8_000 * Math.sin((2 * Math.PI * hz * i) / 8_000),
  );
  mixNoise(samples, 20, random);
  return samples;
}

function isSubsequence(needles: readonly string[], hay: readonly string[]): boolean {
  let at = 0;
  for (const word of hay) if (word === needles[at]) at++;
  return at === needles.length;
}
