/**
 * The low-pass filter of the resampler, cut into phases: a windowed sinc, computed when a pair of rates is
 * first used.
 *
 * Kaiser window for 72 dB, 16 samples of the lower rate to either side, cut-off (-6 dB) at the lower rate's
 * Nyquist frequency. Relative to that frequency the passband reaches to 0.86 and the stopband begins at
 * 1.14: 3.44 and 4.56 kHz when one side is a telephone line, whose own band ends at 3.4 kHz. Between the two,
 * images and aliases of what lies there remain; in speech on a telephone line that is next to nothing.
 *
 * Measured through the 16-bit resampler, over all pairs of rates (resampler.test.ts holds them to it):
 * passband ripple within ±0.01 dB, images and aliases below -70 dB.
 */

/** 72 rather than 60: the same cost, and images stay below the 16-bit noise of a quiet line. */
const STOPBAND_ATTENUATION_DB = 72;
/** Kaiser's formula for attenuations above 50 dB. */
const KAISER_BETA = 0.1102 * (STOPBAND_ATTENUATION_DB - 8.7);
/** Samples of the lower rate on each side: decides transition width, cost and delay (2 ms at 8 kHz). */
export const FILTER_HALF_WIDTH = 16;

/**
 * The inner loop runs this many sums side by side, since one sum alone waits four cycles for each addition:
 * a third quicker. Phases are filled up with zeros to a multiple of it.
 */
export const TAP_LANES = 4;

export interface PolyphaseFilter {
  /** Output rate over input rate is up / down, in lowest terms. */
  readonly up: number;
  readonly down: number;
  /** Coefficients that each output sample takes; a multiple of TAP_LANES. */
  readonly tapsPerPhase: number;
  /** `up` phases of `tapsPerPhase`, each in the order of the samples it meets, oldest first. */
  readonly coefficients: Float64Array;
}

const filters = new Map<number, PolyphaseFilter>();

/** Filters are kept: there are twenty pairs of rates and sixteen ratios. */
export function polyphaseFilter(fromHz: number, toHz: number): PolyphaseFilter {
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const up = toHz / divisor;
  const down = fromHz / divisor;
  const key = up * 1024 + down;
  const existing = filters.get(key);
  if (existing) return existing;
  const created = designFilter(up, down);
  filters.set(key, created);
  return created;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

function designFilter(up: number, down: number): PolyphaseFilter {
  // One sample of the lower rate is this many steps of the common grid.
  const stepsPerSample = Math.max(up, down);
  const centre = FILTER_HALF_WIDTH * stepsPerSample;
  const tapsPerPhase = Math.ceil((2 * centre + 1) / up / TAP_LANES) * TAP_LANES;
  const coefficients = new Float64Array(up * tapsPerPhase);
  const windowScale = besselI0(KAISER_BETA);
  for (let phase = 0; phase < up; phase++) {
    let sum = 0;
    for (let tap = 0; tap < tapsPerPhase; tap++) {
      const step = phase + tap * up - centre;
      if (step > centre) continue;
      const x = (Math.PI * step) / stepsPerSample;
      const sinc = step === 0 ? 1 : Math.sin(x) / x;
      const window = besselI0(KAISER_BETA * Math.sqrt(1 - (step / centre) ** 2)) / windowScale;
      sum += sinc * window;
      // Tap 0 meets the newest sample; stored oldest first.
      coefficients[phase * tapsPerPhase + tapsPerPhase - 1 - tap] = sinc * window;
    }
    // Every phase passes a constant unchanged, so that silence with an offset does not hum.
    for (let tap = 0; tap < tapsPerPhase; tap++) {
      coefficients[phase * tapsPerPhase + tap] = coefficients[phase * tapsPerPhase + tap]! / sum;
    }
  }
  return { up, down, tapsPerPhase, coefficients };
}
