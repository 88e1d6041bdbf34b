/** The suites that need no node, run tiny: they keep compiling, and their own checks keep holding. */
import t from "tap";
import { suites } from "./index.js";
import { quantile, threeFigures, timeBatches } from "./stopwatch.js";

for (const [name, run] of Object.entries({ rings: suites.rings, codec: suites.codec })) {
  void t.test(`${name} run tiny gives a time for every row`, async (t) => {
    const result = await run({ seconds: 0.2, json: true });
    t.equal(result.name, name);
    for (const row of result.rows) {
      const ns = row["nsPerRecord"] ?? row["nsPerFrame"];
      t.ok(typeof ns === "number" && Number.isFinite(ns) && ns > 0, `${row["what"]}: ${ns} ns`);
    }
    t.ok(result.rows.length > 10);
    t.equal(new Set(result.rows.map((row) => row["what"])).size, result.rows.length, "no row comes twice");
    t.match(result.notes.at(-1), /^digest \d+$/);
    t.comment(result.notes.join("; "));
  });
}

void t.test("the stopwatch counts every operation it divides by", async (t) => {
  let done = 0;
  let batches = 0;
  const { medianNs, bestNs, digest } = timeBatches(0.02, (count) => {
    done += count;
    batches++;
    let sum = 0;
    for (let n = 0; n < count; n++) sum = (sum + 1) | 0;
    return sum;
  });
  t.equal(digest, done | 0, "each batch's result is in the digest");
  t.ok(batches > 1 && bestNs > 0 && bestNs <= medianNs);
});

void t.test("an operation ten times the work takes about ten times as long", async (t) => {
  const spin = (turns: number) => (count: number) => {
    let state = 1;
    for (let n = 0; n < count * turns; n++) state = Math.imul(state ^ n, 0x85ebca6b);
    return state;
  };
  const ratio = timeBatches(0.1, spin(1_000)).bestNs / timeBatches(0.1, spin(100)).bestNs;
  t.ok(ratio > 4 && ratio < 25, `${ratio}`);
});

void t.test("quantiles and figures are what their names say", async (t) => {
  t.equal(quantile([1, 2, 3, 4], 0.5), 3);
  t.equal(quantile([1, 2, 3, 4], 0.99), 4);
  t.equal(quantile([1, 2, 3, 4], 1), 4);
  t.equal(quantile([7], 0), 7);
  t.equal(threeFigures(12_345), 12_300);
  t.equal(threeFigures(0.012_345), 0.0123);
});
