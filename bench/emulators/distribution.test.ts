import t from "tap";
import { seededRandom } from "#runtime/actor";
import { around, drawMs, exactly } from "./distribution.js";

void t.test("draws lie within their bounds, half of them on either side of the median", (t) => {
  const seed = 42;
  const random = seededRandom(seed);
  const draws = Array.from({ length: 10_000 }, () => drawMs({ medianMs: 200, jitterMs: 50 }, random));
  t.ok(
    draws.every((ms) => ms >= 150 && ms <= 250),
    `seed ${seed}`,
  );
  const below = draws.filter((ms) => ms < 200).length;
  t.ok(below > 4_800 && below < 5_200, `seed ${seed}: ${below} of 10000 below the median`);
  const near = draws.filter((ms) => Math.abs(ms - 200) < 25).length;
  t.ok(near > 6_000, `seed ${seed}: most draws are near the median (${near})`);
  t.end();
});

void t.test("the same seed draws the same, no jitter draws the median, nothing is below 0", (t) => {
  const first = seededRandom(7);
  const second = seededRandom(7);
  for (let draw = 0; draw < 100; draw++) t.equal(drawMs(around(100), first), drawMs(around(100), second));
  t.equal(drawMs(exactly(40), first), 40);
  t.same(around(150), { medianMs: 150, jitterMs: 15 });
  for (let draw = 0; draw < 100; draw++) t.ok(drawMs({ medianMs: 1, jitterMs: 50 }, first) >= 0);
  t.end();
});
