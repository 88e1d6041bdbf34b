/**
 * eSpeak's 22.05 kHz down to 8 kHz, with the top of the band cleared for the tones: one windowed-sinc
 * low-pass at 2.4 kHz does both, evaluated only where an output sample falls.
 */
import { ESPEAK_RATE_HZ } from "./espeak.js";
import { LOWEST_TONE_HZ } from "./signal.js";

/** 8000 / 22050 = 160 / 441: output sample n falls at input position n * 441 / 160, one of 160 phases. */
const PHASES = 160;
const STEP = 441;
/** Half-way down at 2.4 kHz. */
const CUTOFF_HZ = 2400;
/** Kaiser's beta for 70 dB. */
const BETA = 6.8;
/** Taps on either side: 70 dB are reached 200 Hz above the cutoff, where the lowest tone is. */
const HALF_TAPS = Math.ceil(
  (70 - 8) / (4.57 * ((2 * (LOWEST_TONE_HZ - CUTOFF_HZ) * Math.PI) / ESPEAK_RATE_HZ)),
);
const TAPS = 2 * HALF_TAPS + 1;

let phaseTaps: Float64Array | null = null;

export function toNarrowband(input: Int16Array): Float64Array {
  phaseTaps ??= designPhases();
  const output = new Float64Array(Math.floor((input.length * PHASES) / STEP));
  for (let n = 0; n < output.length; n++) {
    const position = n * STEP;
    const centre = Math.floor(position / PHASES);
    const taps = (position % PHASES) * TAPS;
    const from = Math.max(0, HALF_TAPS - centre);
    const to = Math.min(TAPS, input.length - centre + HALF_TAPS);
    let sum = 0;
    for (let i = from; i < to; i++) sum += input[centre - HALF_TAPS + i]! * phaseTaps[taps + i]!;
    output[n] = sum;
  }
  return output;
}

function designPhases(): Float64Array {
  const taps = new Float64Array(PHASES * TAPS);
  const cutoff = (2 * CUTOFF_HZ) / ESPEAK_RATE_HZ;
  for (let phase = 0; phase < PHASES; phase++) {
    for (let i = 0; i < TAPS; i++) {
      const x = i - HALF_TAPS - phase / PHASES;
      const edge = Math.max(0, 1 - (x / (HALF_TAPS + 1)) ** 2);
      taps[phase * TAPS + i] = cutoff * sinc(cutoff * x) * (bessel(BETA * Math.sqrt(edge)) / bessel(BETA));
    }
  }
  return taps;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind, order zero. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
