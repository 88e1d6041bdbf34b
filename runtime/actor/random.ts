/** Randomness, passed in: a call replays from its seed. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/**
 * The same numbers for the same seed, on every machine: sfc32 (Chris Doty-Humphrey's small fast counting
 * generator: 128 bits of state, passes PractRand), its state filled by splitmix32 so that neighbouring seeds
 * give unrelated sequences. Not for secrets.
 */
export function seededRandom(seed: number): Random {
  let splitmix = seed | 0;
  const word = (): number => {
    splitmix = (splitmix + 0x9e3779b9) | 0;
    let z = splitmix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = word();
  let b = word();
  let c = word();
  let counter = 1;
  return {
    next(): number {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      return (sum >>> 0) / 4_294_967_296;
    },
  };
}

/** Not reproducible, not for secrets. */
export const systemRandom: Random = { next: () => Math.random() };
