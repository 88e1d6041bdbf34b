import t from "tap";
import { stretch } from "./time-stretch.js";

function tone(hz: number, length: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * hz * i) / 8000));
}

function crossings(samples: Float64Array): number {
  let count = 0;
  for (let i = 1; i < samples.length; i++) if (samples[i - 1]! < 0 && samples[i]! >= 0) count++;
  return count;
}

void t.test("the length is what was asked for, the pitch and the level what they were", async (t) => {
  for (const hz of [100, 220, 900]) {
    for (const length of [3_000, 4_000, 5_400]) {
      const output = stretch(tone(hz, 4_000), length);
      t.equal(output.length, length);
      const expected = (hz * length) / 8000;
      t.ok(Math.abs(crossings(output) - expected) <= 0.03 * expected + 2, `${hz} Hz to ${length}`);
      let energy = 0;
      for (const sample of output.subarray(300, length - 300)) energy += sample * sample;
      t.ok(
        Math.abs(energy / (length - 600) / 0.5 - 1) < 0.15,
        `${hz} Hz to ${length}: ${energy / (length - 600)}`,
      );
    }
  }
});

void t.test("what is too short to cut up is kept as it is", async (t) => {
  const short = tone(200, 100);
  t.same(stretch(short, 60), short.subarray(0, 60));
  t.same(stretch(short, 120).subarray(0, 100), short);
  t.equal(stretch(new Float64Array(0), 0).length, 0);
});
