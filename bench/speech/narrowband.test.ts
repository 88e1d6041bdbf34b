import t from "tap";
import { ESPEAK_RATE_HZ } from "./espeak.js";
import { toNarrowband } from "./narrowband.js";

/** Gain of a sine of this frequency, in dB, away from the edges. */
function gainDb(hz: number): number {
  const input = Int16Array.from({ length: ESPEAK_RATE_HZ }, (_, i) =>
    Math.round(20_000 * Math.sin((2 * Math.PI * hz * i) / ESPEAK_RATE_HZ)),
  );
  const output = toNarrowband(input).subarray(1_000, 7_000);
  let energy = 0;
  for (const sample of output) energy += sample * sample;
  return 10 * Math.log10(energy / output.length / (20_000 ** 2 / 2));
}

void t.test("a voice passes, the band of the tones and everything above is cleared", async (t) => {
  for (const hz of [100, 300, 1_000, 2_000, 2_200])
    t.ok(Math.abs(gainDb(hz)) < 0.1, `${hz} Hz: ${gainDb(hz)} dB`);
  for (const hz of [2_600, 3_000, 3_400, 4_500, 5_400, 7_000, 10_000]) {
    t.ok(gainDb(hz) < -65, `${hz} Hz: ${gainDb(hz)} dB`);
  }
});

void t.test("time is kept: a second stays a second, and a click where it was", async (t) => {
  const click = new Int16Array(ESPEAK_RATE_HZ);
  click[11_025] = 30_000;
  const output = toNarrowband(click);
  t.equal(output.length, 8_000);
  const peak = output.reduce((best, sample, index) => (sample > output[best]! ? index : best), 0);
  t.equal(peak, 4_000);
});
