/** White noise on a line, for tests and for the simulated phone. */
import type { Random } from "#runtime/actor";

/**
 * Adds noise in place, `snrDb` below the RMS of the samples that are not silent, to all of them: a noisy
 * line is noisy in the pauses too. Silence alone stays silent: there is nothing to be relative to.
 */
export function mixNoise(samples: Int16Array, snrDb: number, random: Random): void {
  addNoise(samples, activeRms(samples) * 10 ** (-snrDb / 20), random);
}

/** Adds Gaussian noise of this RMS (in sample units) in place, clipping at full scale. */
export function addNoise(samples: Int16Array, rms: number, random: Random): void {
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i]! + Math.round(rms * gaussian(random));
    samples[i] = value > 32767 ? 32767 : value < -32768 ? -32768 : value;
  }
}

/** RMS over 10 ms pieces that hold anything but silence. */
function activeRms(samples: Int16Array): number {
  const piece = 80;
  let energy = 0;
  let count = 0;
  for (let from = 0; from < samples.length; from += piece) {
    const to = Math.min(from + piece, samples.length);
    let pieceEnergy = 0;
    for (let i = from; i < to; i++) pieceEnergy += samples[i]! * samples[i]!;
    // −70 dBFS: below the codec's own noise.
    if (pieceEnergy < (to - from) * 100) continue;
    energy += pieceEnergy;
    count += to - from;
  }
  return count === 0 ? 0 : Math.sqrt(energy / count);
}

/** Normally distributed, of variance 1, by Box and Muller. */
export function gaussian(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}
