import t from "tap";
import { seededRandom } from "#runtime/actor";
import { addNoise, mixNoise } from "./noise.js";
import { toneVoice } from "./tone-voice.js";

function rms(samples: Int16Array): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return Math.sqrt(energy / samples.length);
}

void t.test("noise is as far below the speech as asked, in its pauses too", async (t) => {
  const speech = toneVoice.synthesize("the quick brown fox jumps over the lazy dog").samples;
  const line = new Int16Array(speech.length + 16_000);
  line.set(speech);
  const noisy = line.slice();
  mixNoise(noisy, 20, seededRandom(3));
  const noise = noisy.map((sample, index) => sample - line[index]!);
  const ratioDb = 20 * Math.log10(rms(speech) / rms(noise));
  t.ok(Math.abs(ratioDb - 20) < 1, `${ratioDb} dB`);
  t.ok(Math.abs(rms(noise.subarray(speech.length)) / rms(noise) - 1) < 0.05);
});

void t.test("silence stays silent, and nothing wraps around at full scale", async (t) => {
  const silence = new Int16Array(1_000);
  mixNoise(silence, 0, seededRandom(4));
  t.ok(silence.every((sample) => sample === 0));
  const loud = new Int16Array(8_000).fill(32_000);
  addNoise(loud, 5_000, seededRandom(5));
  t.ok(loud.every((sample) => sample > 0));
});
