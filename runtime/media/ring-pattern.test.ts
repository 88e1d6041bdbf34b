import t from "tap";
import { fillPattern, isPattern, patternLength, seededBelow } from "./ring-pattern.js";

void t.test("the verifier accepts what the generator wrote and nothing else", async (t) => {
  const bytes = new Uint8Array(200);
  const wrong: string[] = [];
  const expect = (accepted: boolean, expected: boolean, what: string) => {
    if (accepted !== expected) wrong.push(what);
  };
  for (let n = 0; n < 500; n++) {
    const length = fillPattern(7, n, bytes, 0);
    expect(isPattern(7, n, bytes, length), true, `record ${n}`);
    expect(isPattern(7, n + 1, bytes, length), false, `another record's number at ${n}`);
    expect(isPattern(8, n, bytes, length), false, `another seed at ${n}`);
    expect(isPattern(7, n, bytes, length - 1), false, `a byte short at ${n}`);
    const flipped = n % length;
    bytes[flipped] = bytes[flipped]! ^ (1 << (n & 7));
    expect(isPattern(7, n, bytes, length), false, `one bit flipped at ${n}`);
  }
  t.same(wrong, []);
});

void t.test("lengths cover the whole range of a record", async (t) => {
  const seen = new Set<number>();
  for (let n = 0; n < 50_000; n++) seen.add(patternLength(3, n));
  t.equal(seen.size, 160);
  t.equal(Math.min(...seen), 1);
  t.equal(Math.max(...seen), 160);
});

void t.test("a seed gives the same choices each time, another seed others", async (t) => {
  const draw = (seed: number) => {
    const below = seededBelow(seed);
    return Array.from({ length: 20 }, () => below(1_000));
  };
  t.same(draw(5), draw(5));
  t.notSame(draw(5), draw(6));
});
