import t from "tap";
import { DtmfCollector } from "./index.js";

function press(collector: DtmfCollector, keys: string, fromMs: number, everyMs = 300): string | null {
  let answer: string | null = null;
  for (const [index, key] of keys.split("").entries()) answer = collector.push(key, fromMs + index * everyMs);
  return answer;
}

void t.test("the terminator ends the answer at once and is not part of it", async (t) => {
  const collector = new DtmfCollector();
  t.equal(press(collector, "1234", 0), null);
  t.equal(collector.digits, "1234");
  t.equal(collector.push("#", 1_200), "1234");
  t.equal(collector.digits, "");
  t.equal(collector.push("#", 1_300), "", "alone it is an empty answer");
});

void t.test("silence after the last key ends the answer, silence between keys does not", async (t) => {
  const collector = new DtmfCollector({ interDigitMs: 2_000 });
  t.equal(collector.dueAtMs, null);
  collector.push("2", 1_000);
  t.equal(collector.dueAtMs, 3_000);
  collector.push("0", 2_900);
  t.equal(collector.poll(3_000), null, "the second key moved it on");
  t.equal(collector.poll(4_899), null);
  t.equal(collector.poll(4_900), "20");
  t.equal(collector.poll(9_000), null, "an answer is given once");
  t.equal(collector.dueAtMs, null);
});

void t.test("an answer never grows past its bound", async (t) => {
  const collector = new DtmfCollector();
  t.equal(press(collector, "1".repeat(32), 0), "1".repeat(32));
  t.equal(collector.digits, "");
  const short = new DtmfCollector({ maxDigits: 4 });
  t.equal(press(short, "2468", 0), "2468", "a known length needs no terminator");
});

void t.test("with no terminator the hash is a digit", async (t) => {
  const collector = new DtmfCollector({ terminator: null });
  press(collector, "*21#", 0);
  t.equal(collector.poll(10_000), "*21#");
});

void t.test("what is no key of a phone is ignored, and what was pressed can be forgotten", async (t) => {
  const collector = new DtmfCollector();
  for (const key of ["", "12", "x", "a", " ", "é"]) t.equal(collector.push(key, 0), null);
  t.equal(collector.dueAtMs, null);
  press(collector, "12", 0);
  collector.clear();
  t.equal(collector.poll(10_000), null);
});
