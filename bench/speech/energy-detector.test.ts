import t from "tap";
import { seededRandom } from "#runtime/actor";
import { EnergyDetector } from "./energy-detector.js";
import { SENTENCES, mixInto } from "./line.fixture.js";
import { addNoise } from "./noise.js";
import { toneVoice } from "./tone-voice.js";

/** Silence, the sentence, silence; a second each. */
function lineWith(text: string, gain = 1): { samples: Int16Array; startMs: number; endMs: number } {
  const speech = toneVoice.synthesize(text);
  const samples = new Int16Array(speech.samples.length + 16_000);
  mixInto(samples, 8_000, speech.samples, gain);
  return { samples, startMs: 1_000, endMs: 1_000 + speech.words.at(-1)!.endMs };
}

function events(samples: Int16Array, pieceSamples = 160): Array<readonly [string, number]> {
  const seen: Array<readonly [string, number]> = [];
  const detector = new EnergyDetector({
    onSpeechStart: (atMs) => seen.push(["start", atMs]),
    onSpeechEnd: (atMs) => seen.push(["end", atMs]),
  });
  for (let at = 0; at < samples.length; at += pieceSamples) {
    detector.push(samples, at, Math.min(pieceSamples, samples.length - at));
  }
  return seen;
}

void t.test("a sentence is one stretch of speech, found to within 20 ms at both ends", async (t) => {
  for (const text of SENTENCES) {
    const { samples, startMs, endMs } = lineWith(text);
    const seen = events(samples);
    t.same(
      seen.map(([kind]) => kind),
      ["start", "end"],
    );
    t.ok(Math.abs(seen[0]![1] - startMs) <= 20, `start ${seen[0]![1]} for ${startMs}`);
    t.ok(Math.abs(seen[1]![1] - endMs) <= 20, `end ${seen[1]![1]} for ${endMs}`);
  }
});

void t.test("quiet speech and an echo count, a hiss does not", async (t) => {
  t.equal(events(lineWith("hello there", 10 ** (-20 / 20)).samples).length, 2);
  const hiss = new Int16Array(32_000);
  addNoise(hiss, 20, seededRandom(1));
  t.same(events(hiss), []);
});

void t.test("on a noisy line only the speech counts", async (t) => {
  const { samples, startMs, endMs } = lineWith(SENTENCES[10]);
  const line = new Int16Array(samples.length + 16_000);
  line.set(samples, 16_000);
  // 20 dB below the speech.
  addNoise(line, 412, seededRandom(2));
  // A line that is loud from its first moment counts as speech until it is known to be noisy.
  const [, , ...seen] = events(line);
  t.same(
    seen.map(([kind]) => kind),
    ["start", "end"],
  );
  t.ok(Math.abs(seen[0]![1] - startMs - 2_000) <= 20);
  t.ok(Math.abs(seen[1]![1] - endMs - 2_000) <= 20);
});

void t.test("speech from the very first sample is heard", async (t) => {
  const { samples } = toneVoice.synthesize("yes please");
  const line = new Int16Array(samples.length + 8_000);
  line.set(samples);
  t.same(events(line)[0], ["start", 0]);
});

void t.test("positions count what was pushed, however it was cut up", async (t) => {
  const { samples } = lineWith(SENTENCES[2]);
  t.same(events(samples, 7), events(samples, 160));
  const detector = new EnergyDetector();
  detector.push(samples, 0, 4_004);
  t.equal(detector.positionMs, 500.5);
  t.equal(detector.silenceMs, 500.5);
  t.equal(detector.speaking, false);
  detector.push(samples, 4_004, 8_000);
  t.equal(detector.speaking, true);
  t.ok(detector.silenceMs < 50);
});

void t.test("a click is no speech", async (t) => {
  const line = new Int16Array(8_000);
  line.fill(20_000, 4_000, 4_080);
  t.same(events(line), []);
});
