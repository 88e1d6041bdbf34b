/**
 * The resampler's error is measured here, with sines through the 16-bit code path: what a phone line gets.
 */
import t from "tap";
import type { SampleRateHz, VoiceRateHz } from "./format.js";
import { Resampler } from "./resampler.js";
import { seededBelow, testSeed } from "./ring-pattern.js";

const RATES: readonly SampleRateHz[] = [8_000, 16_000, 24_000, 48_000];
/** Voices speak at two more, which nobody is spoken to in. */
const VOICE_RATES: readonly VoiceRateHz[] = [...RATES, 22_050, 44_100];
const PAIRS = VOICE_RATES.flatMap((fromHz) =>
  RATES.filter((toHz) => toHz !== fromHz).map((toHz) => [fromHz, toHz] as const),
);

/** A tenth of a second to let the filter fill, then one second: whole periods of any whole frequency. */
const SETTLE_SECONDS = 0.1;
const AMPLITUDE = 20_000;

function sine(rateHz: number, frequencyHz: number, seconds: number): Int16Array {
  const step = (2 * Math.PI * frequencyHz) / rateHz;
  return Int16Array.from({ length: Math.round(rateHz * seconds) }, (_, n) =>
    Math.round(AMPLITUDE * Math.sin(step * n)),
  );
}

function resample(fromHz: VoiceRateHz, toHz: SampleRateHz, source: Int16Array): Int16Array {
  const resampler = new Resampler(fromHz, toHz);
  const target = new Int16Array(resampler.outputCount(source.length));
  resampler.process(source, 0, source.length, target, 0);
  return target;
}

interface Measured {
  /** Output amplitude at the input's frequency over the input's. */
  readonly gainDb: number;
  /** Everything else in the output, relative to the input sine. */
  readonly residueDb: number;
  /** Radians. */
  readonly phase: number;
}

/** Splits the output into the sine that went in, and the rest: images, aliases and rounding. */
function measure(fromHz: VoiceRateHz, toHz: SampleRateHz, frequencyHz: number): Measured {
  const output = resample(fromHz, toHz, sine(fromHz, frequencyHz, 1 + SETTLE_SECONDS));
  const first = Math.round(toHz * SETTLE_SECONDS);
  const step = (2 * Math.PI * frequencyHz) / toHz;
  let inPhase = 0;
  let quadrature = 0;
  let power = 0;
  for (let n = 0; n < toHz; n++) {
    const value = output[first + n]!;
    inPhase += value * Math.sin(step * (first + n));
    quadrature += value * Math.cos(step * (first + n));
    power += value * value;
  }
  const amplitude = (2 * Math.hypot(inPhase, quadrature)) / toHz;
  const residue = Math.max(power / toHz - amplitude ** 2 / 2, 0);
  return {
    gainDb: 20 * Math.log10(amplitude / AMPLITUDE),
    residueDb: 10 * Math.log10(residue / (AMPLITUDE ** 2 / 2)),
    phase: Math.atan2(quadrature, inPhase),
  };
}

const decibels = (value: number) => value.toFixed(3);

for (const [fromHz, toHz] of PAIRS) {
  const lowerNyquistHz = Math.min(fromHz, toHz) / 2;

  void t.test(
    `${fromHz} to ${toHz} Hz passes the speech band within 0.01 dB, images below -70 dB`,
    async (t) => {
      let ripple = 0;
      let worstResidue = -Infinity;
      for (const share of [0.013, 0.05, 0.11, 0.25, 0.43, 0.6, 0.71, 0.8, 0.85]) {
        const { gainDb, residueDb } = measure(fromHz, toHz, Math.round(share * lowerNyquistHz));
        ripple = Math.max(ripple, Math.abs(gainDb));
        worstResidue = Math.max(worstResidue, residueDb);
      }
      t.comment(`ripple ±${decibels(ripple)} dB, residue ${decibels(worstResidue)} dB`);
      t.ok(ripple < 0.01, `ripple ±${decibels(ripple)} dB`);
      t.ok(worstResidue < -70, `residue ${decibels(worstResidue)} dB`);
    },
  );

  if (toHz < fromHz) {
    void t.test(`${fromHz} to ${toHz} Hz keeps what is above the band from folding into it`, async (t) => {
      let worst = -Infinity;
      const top = fromHz / 2 / lowerNyquistHz;
      for (const share of [1.15, 1.2, 1.31, 1.47, 1.7, 1.93, 2.3, 2.71, 3.3, 4.1, 5.2, 5.9]) {
        if (share >= top) continue;
        const output = resample(fromHz, toHz, sine(fromHz, Math.round(share * lowerNyquistHz), 1));
        const settled = output.subarray(Math.round(toHz * SETTLE_SECONDS));
        const power = settled.reduce((sum, value) => sum + value * value, 0) / settled.length;
        worst = Math.max(worst, 10 * Math.log10(Math.max(power, 1e-9) / (AMPLITUDE ** 2 / 2)));
      }
      t.comment(`aliases ${decibels(worst)} dB`);
      t.ok(worst < -70, `aliases ${decibels(worst)} dB`);
    });
  }

  void t.test(`${fromHz} to ${toHz} Hz delays by what delayMs says`, async (t) => {
    const { delayMs } = new Resampler(fromHz, toHz);
    // Low enough that a period is longer than the delay.
    const frequencyHz = 100;
    const { phase } = measure(fromHz, toHz, frequencyHz);
    const measuredMs = (-phase / (2 * Math.PI * frequencyHz)) * 1_000;
    t.ok(Math.abs(measuredMs - delayMs) < 0.001, `${measuredMs} ms, not ${delayMs}`);
    t.ok(delayMs <= 2);
  });
}

void t.test("however a stream is cut into pieces, the output is the same to the bit", async (t) => {
  const seed = testSeed();
  const below = seededBelow(seed);
  for (const [fromHz, toHz] of PAIRS) {
    const source = Int16Array.from({ length: 12_000 }, () => below(65_536) - 32_768);
    const whole = resample(fromHz, toHz, source);
    const pieces = new Int16Array(whole.length + 10).fill(0x5a5a);
    const resampler = new Resampler(fromHz, toHz);
    let written = 0;
    for (let read = 0; read < source.length; ) {
      const count = Math.min(below(below(3) === 0 ? 3_000 : 40), source.length - read);
      const expected = resampler.outputCount(count);
      const produced = resampler.process(source, read, count, pieces, written);
      if (produced !== expected) t.fail(`wrote ${produced}, said ${expected}`);
      read += count;
      written += produced;
    }
    t.equal(written, whole.length);
    t.same(pieces.subarray(0, written), whole, `${fromHz} to ${toHz}, LUMENTRA_TEST_SEED=${seed}`);
    t.ok(pieces.subarray(written).every((sample) => sample === 0x5a5a));
  }
});

void t.test("an hour of 20 ms frames gives an hour of frames, not a sample more or less", async (t) => {
  for (const [fromHz, toHz] of PAIRS) {
    const resampler = new Resampler(fromHz, toHz);
    const frame = new Int16Array(fromHz / 50);
    const target = new Int16Array(toHz / 50);
    // The count depends on the position alone; a minute of frames shows that it returns to where it was.
    for (let n = 0; n < 3_000; n++) {
      if (resampler.process(frame, 0, frame.length, target, 0) !== target.length) t.fail(`frame ${n}`);
    }
    t.equal(resampler.outputCount(fromHz * 3_600), toHz * 3_600);
  }
});

void t.test("a constant comes out unchanged, and full scale does not wrap", async (t) => {
  for (const [fromHz, toHz] of PAIRS) {
    const constant = resample(fromHz, toHz, new Int16Array(fromHz / 10).fill(-1_234));
    t.ok(constant.subarray(toHz / 50).every((sample) => sample === -1_234));
    const square = Int16Array.from({ length: fromHz / 10 }, (_, n) => (n % 80 < 40 ? 32_767 : -32_768));
    const output = resample(fromHz, toHz, square);
    // A wrapped overshoot is a jump of the whole range between two samples of the same half period.
    const delay = Math.round((16 * toHz) / Math.min(fromHz, toHz));
    const middle = Math.round((20 * toHz) / fromHz);
    for (let n = 0; n < 10; n++) {
      const at = Math.round(delay + middle + (80 * n * toHz) / fromHz);
      t.ok(output[at]! > 20_000, `${fromHz} to ${toHz}: ${output[at]}`);
    }
    t.ok(Math.max(...output) === 32_767 && Math.min(...output) === -32_768, "it clips");
  }
});

void t.test("the same rate on both sides copies, at once", async (t) => {
  const source = sine(8_000, 440, 0.1);
  t.same(resample(8_000, 8_000, source), source);
  t.equal(new Resampler(8_000, 8_000).delayMs, 0);
});

void t.test("a stream that was reset begins like a new one", async (t) => {
  const source = sine(8_000, 440, 0.1);
  const resampler = new Resampler(8_000, 24_000);
  const target = new Int16Array(3 * source.length);
  resampler.process(source, 0, source.length, target, 0);
  resampler.reset();
  resampler.process(source, 0, source.length, target, 0);
  t.same(target, resample(8_000, 24_000, source));
});

void t.test("a target too small throws before the stream moves on", async (t) => {
  const resampler = new Resampler(8_000, 16_000);
  const source = sine(8_000, 440, 0.02);
  t.throws(() => resampler.process(source, 0, 160, new Int16Array(319), 0));
  t.throws(() => resampler.process(source, 1, 160, new Int16Array(320), 0));
  const target = new Int16Array(320);
  resampler.process(source, 0, 160, target, 0);
  t.same(target, resample(8_000, 16_000, source));
});
