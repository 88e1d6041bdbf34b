import t from "tap";
import { decodeInto, encodeInto, silenceByte } from "./codec.js";
import type { AudioEncoding } from "./format.js";
import { seededBelow, testSeed } from "./ring-pattern.js";

/**
 * The positive half of a law as ITU-T G.711 tabulates it: 128 intervals, by their lower decision value and
 * the value at the decoder output. Segments are given as [first decision value, step, first output value].
 */
type Segment = readonly [first: number, step: number, count: number];
interface Interval {
  readonly from: number;
  readonly output: number;
}

/** Table 2a, in units of 1/8159: decision values 0, 1, 3, … 31, 35, … 95, 103, … ; the outputs lie midway. */
const MULAW_SEGMENTS: readonly Segment[] = [
  [1, 2, 15],
  [31, 4, 16],
  [95, 8, 16],
  [223, 16, 16],
  [479, 32, 16],
  [991, 64, 16],
  [2015, 128, 16],
  [4063, 256, 16],
];
/** Table 1a, in units of 1/4096: decision values 0, 2, … 64, 68, … 128, 136, … ; the outputs lie midway. */
const ALAW_SEGMENTS: readonly Segment[] = [
  [0, 2, 32],
  [64, 4, 16],
  [128, 8, 16],
  [256, 16, 16],
  [512, 32, 16],
  [1024, 64, 16],
  [2048, 128, 16],
];

function intervalsOf(segments: readonly Segment[]): Interval[] {
  return segments.flatMap(([first, step, count]) =>
    Array.from({ length: count }, (_, n) => ({
      from: first + n * step,
      output: first + n * step + step / 2,
    })),
  );
}

/** µ-law's first interval is half as wide and its output is zero. */
const mulawIntervals: Interval[] = [{ from: 0, output: 0 }, ...intervalsOf(MULAW_SEGMENTS)];
const alawIntervals = intervalsOf(ALAW_SEGMENTS);

/** All samples, or all codes, through one call. */
function encodeAll(encoding: AudioEncoding): Uint8Array {
  const samples = Int16Array.from({ length: 65_536 }, (_, n) => n - 32_768);
  const codes = new Uint8Array(65_536);
  encodeInto(encoding, samples, 0, samples.length, codes, 0);
  return codes;
}
function decodeAll(encoding: AudioEncoding): Int16Array {
  const codes = Uint8Array.from({ length: 256 }, (_, n) => n);
  const samples = new Int16Array(256);
  decodeInto(encoding, codes, 0, 256, samples, 0);
  return samples;
}

/** The number of the interval that holds the magnitude: the last one that begins at or below it. */
function intervalAt(intervals: readonly Interval[], magnitude: number): number {
  return intervals.findLastIndex(({ from }) => from <= magnitude);
}

void t.test("the tables of the recommendation are as it prints them", async (t) => {
  t.equal(mulawIntervals.length, 128);
  t.equal(alawIntervals.length, 128);
  t.same(mulawIntervals[127], { from: 7903, output: 8031 });
  t.same(mulawIntervals[16], { from: 31, output: 33 });
  t.same(alawIntervals[127], { from: 3968, output: 4032 });
  t.same(alawIntervals[0], { from: 0, output: 1 });
});

void t.test("µ-law encodes all 65,536 samples by the decision values of G.711", async (t) => {
  const codes = encodeAll("mulaw");
  const wrong: number[] = [];
  for (let sample = -32_768; sample < 32_768; sample++) {
    // 14 bits in ones' complement, as G.191 has it; the character signal of interval n is ~n, sign bit first.
    const magnitude = (sample < 0 ? ~sample : sample) >> 2;
    const expected = (sample < 0 ? 0x7f : 0xff) - intervalAt(mulawIntervals, magnitude);
    if (codes[sample + 32_768] !== expected) wrong.push(sample);
  }
  t.same(wrong, []);
});

void t.test("A-law encodes all 65,536 samples by the decision values of G.711", async (t) => {
  const codes = encodeAll("alaw");
  const wrong: number[] = [];
  for (let sample = -32_768; sample < 32_768; sample++) {
    const magnitude = ((sample < 0 ? ~sample : sample) >> 4) * 2;
    const expected = ((sample < 0 ? 0 : 0x80) | intervalAt(alawIntervals, magnitude)) ^ 0x55;
    if (codes[sample + 32_768] !== expected) wrong.push(sample);
  }
  t.same(wrong, []);
});

void t.test("each code decodes to the value at the decoder output of G.711", async (t) => {
  const mulaw = decodeAll("mulaw");
  const alaw = decodeAll("alaw");
  for (let n = 0; n < 128; n++) {
    t.equal(mulaw[0xff - n], mulawIntervals[n]!.output * 4);
    t.equal(mulaw[0x7f - n], 0 - mulawIntervals[n]!.output * 4);
    t.equal(alaw[(0x80 | n) ^ 0x55], alawIntervals[n]!.output * 8);
    t.equal(alaw[n ^ 0x55], -alawIntervals[n]!.output * 8);
  }
});

void t.test(
  "a code survives being decoded and encoded again; only µ-law's negative zero is folded",
  async (t) => {
    for (const encoding of ["mulaw", "alaw"] as const) {
      const samples = decodeAll(encoding);
      const codes = new Uint8Array(256);
      encodeInto(encoding, samples, 0, 256, codes, 0);
      const changed = [...codes.keys()].filter((code) => codes[code] !== code);
      t.same(changed, encoding === "mulaw" ? [0x7f] : []);
    }
  },
);

void t.test(
  "16-bit audio keeps every sample in either byte order, and the order is the wire's",
  async (t) => {
    const samples = Int16Array.from({ length: 65_536 }, (_, n) => n - 32_768);
    for (const encoding of ["l16le", "l16be"] as const) {
      const bytes = new Uint8Array(131_072);
      t.equal(encodeInto(encoding, samples, 0, 65_536, bytes, 0), 131_072);
      const view = new DataView(bytes.buffer);
      const wrong = [...samples.keys()].filter(
        (n) => view.getInt16(2 * n, encoding === "l16le") !== samples[n],
      );
      t.same(wrong, []);
      const decoded = new Int16Array(65_536);
      t.equal(decodeInto(encoding, bytes, 0, 131_072, decoded, 0), 65_536);
      t.same(decoded, samples);
    }
  },
);

void t.test("an odd last byte of 16-bit audio is left out", async (t) => {
  const target = new Int16Array(2);
  t.equal(decodeInto("l16be", Uint8Array.of(1, 2, 3), 0, 3, target, 0), 1);
  t.same([...target], [0x0102, 0]);
});

void t.test("only the range asked for is read and written", async (t) => {
  const seed = testSeed();
  const below = seededBelow(seed);
  for (const encoding of ["mulaw", "alaw", "l16le", "l16be"] as const) {
    for (let run = 0; run < 50; run++) {
      const [before, count, after] = [below(9), below(200), below(9)];
      const samples = Int16Array.from({ length: before + count + after }, () => below(65_536) - 32_768);
      const width = encoding.startsWith("l16") ? 2 : 1;
      const bytes = new Uint8Array(7 + count * width + after).fill(0x5a);
      t.equal(encodeInto(encoding, samples, before, count, bytes, 7), count * width);
      t.ok(bytes.subarray(0, 7).every((byte) => byte === 0x5a));
      t.ok(bytes.subarray(7 + count * width).every((byte) => byte === 0x5a));
      const decoded = new Int16Array(before + count + after).fill(0x5a5a);
      t.equal(decodeInto(encoding, bytes, 7, count * width, decoded, before), count);
      t.ok(decoded.subarray(0, before).every((sample) => sample === 0x5a5a));
      t.ok(decoded.subarray(before + count).every((sample) => sample === 0x5a5a));
      const again = new Uint8Array(count * width);
      encodeInto(encoding, decoded, before, count, again, 0);
      const told = `${encoding}, run again with LUMENTRA_TEST_SEED=${seed}`;
      t.same(again.map(foldZero(encoding)), bytes.slice(7, 7 + count * width).map(foldZero(encoding)), told);
    }
  }
});

const foldZero = (encoding: AudioEncoding) => (code: number) =>
  encoding === "mulaw" && code === 0x7f ? 0xff : code;

void t.test("a range outside the array throws before anything is written", async (t) => {
  const target = new Int16Array(4);
  t.throws(() => decodeInto("mulaw", new Uint8Array(5), 0, 5, target, 0));
  t.throws(() => decodeInto("mulaw", new Uint8Array(3), 1, 3, target, 0));
  t.throws(() => encodeInto("l16le", new Int16Array(4), 0, 4, new Uint8Array(7), 0));
  t.throws(() => encodeInto("alaw", new Int16Array(4), -1, 2, new Uint8Array(7), 0));
  t.same([...target], [0, 0, 0, 0]);
});

void t.test("silence decodes to the quietest sample there is", async (t) => {
  const quietest = { mulaw: 0, alaw: 8, l16le: 0, l16be: 0 };
  for (const encoding of ["mulaw", "alaw", "l16le", "l16be"] as const) {
    const target = new Int16Array(1);
    decodeInto(encoding, new Uint8Array(2).fill(silenceByte(encoding)), 0, 2, new Int16Array(2), 0);
    decodeInto(
      encoding,
      new Uint8Array(2).fill(silenceByte(encoding)),
      0,
      encoding.startsWith("l16") ? 2 : 1,
      target,
      0,
    );
    t.equal(target[0], quietest[encoding]);
  }
});
