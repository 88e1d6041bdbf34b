/**
 * G.711, both laws, by table: one load per sample either way. Encoders follow the ITU's reference software
 * (G.191) bit by bit, at the decision values and for negative numbers too.
 *
 * µ-law sees 14 bits of a sample and A-law 12, so their encoding tables have 16 Ki and 4 Ki entries: they
 * stay in the second-level cache, where a table of all 65,536 samples would not.
 */

/** Segment of a magnitude: the position of its leading bit. */
function leadingBit(value: number): number {
  return 31 - Math.clz32(value);
}

/** `magnitude` in 14-bit units, 0 to 8191. */
function mulawOf(magnitude: number, negative: boolean): number {
  // The bias makes segment boundaries powers of two: 33 is the first, 8191 the last.
  const biased = Math.min(magnitude + 33, 8191);
  const segment = leadingBit(biased) - 5;
  const step = (biased >>> (segment + 1)) & 0xf;
  return ~((negative ? 0x80 : 0) | (segment << 4) | step) & 0xff;
}

/** `magnitude` in 12-bit units, 0 to 2047. */
function alawOf(magnitude: number, negative: boolean): number {
  const segment = magnitude < 32 ? magnitude >>> 4 : leadingBit(magnitude) - 3;
  const step = segment < 2 ? magnitude & 0xf : (magnitude >>> (segment - 1)) & 0xf;
  // Even bits are inverted on the line.
  return ((negative ? 0 : 0x80) | (segment << 4) | step) ^ 0x55;
}

function encodeTable(bits: number, encode: (magnitude: number, negative: boolean) => number): Uint8Array {
  const table = new Uint8Array(1 << bits);
  for (let index = 0; index < table.length; index++) {
    const value = (index << (32 - bits)) >> (32 - bits);
    table[index] = encode(value < 0 ? ~value : value, value < 0);
  }
  return table;
}

function mulawToLinear(code: number): number {
  const inverted = ~code & 0xff;
  const segment = (inverted >>> 4) & 7;
  const magnitude = ((((inverted & 0xf) << 1) + 33) << segment) - 33;
  return (inverted & 0x80 ? -magnitude : magnitude) * 4;
}

function alawToLinear(code: number): number {
  const plain = code ^ 0x55;
  const segment = (plain >>> 4) & 7;
  const half = ((plain & 0xf) << 1) + 1;
  const magnitude = segment === 0 ? half : (half + 32) << (segment - 1);
  return (plain & 0x80 ? magnitude : -magnitude) * 8;
}

/** Sample of each code, 16 bits. */
export const mulawSamples: Readonly<Int16Array> = Int16Array.from({ length: 256 }, (_, code) =>
  mulawToLinear(code),
);
/** Sample of each code, 16 bits. */
export const alawSamples: Readonly<Int16Array> = Int16Array.from({ length: 256 }, (_, code) =>
  alawToLinear(code),
);

const mulawCodes = encodeTable(14, mulawOf);
const alawCodes = encodeTable(12, alawOf);

export function encodeMulaw(sample: number): number {
  return mulawCodes[(sample >> 2) & 0x3fff]!;
}

export function encodeAlaw(sample: number): number {
  return alawCodes[(sample >> 4) & 0xfff]!;
}
