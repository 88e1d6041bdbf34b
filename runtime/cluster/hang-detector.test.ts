import t from "tap";
import { HangDetector } from "./hang-detector.js";
import { Heartbeat } from "./heartbeat.js";

const options = { lookEveryMs: 100, hungAfterMs: 1_000, spinningAfterMs: 300, spinningCpuMs: 150 };
/** A system that does not tell. */
const unknown = () => null;

void t.test("a shard that beats is never hung, however late single beats are", (t) => {
  const detector = new HangDetector(options, 0, 0);
  let beat = 0;
  const hungAtMs: number[] = [];
  for (let nowMs = 100; nowMs <= 60_000; nowMs += 100) {
    if (nowMs % 900 === 0) beat++;
    if (detector.look(beat, nowMs, unknown)) hungAtMs.push(nowMs);
  }
  t.same(hungAtMs, []);
  t.end();
});

void t.test("a shard that stays silent is hung after the bound, not before", (t) => {
  const detector = new HangDetector(options, 7, 0);
  const hungAtMs: number[] = [];
  for (let nowMs = 100; nowMs <= 1_000; nowMs += 100)
    if (detector.look(7, nowMs, unknown)) hungAtMs.push(nowMs);
  t.same(hungAtMs, [1_000]);
  t.end();
});

void t.test("time in which the main thread itself stood still does not count", (t) => {
  const detector = new HangDetector(options, 7, 0);
  t.notOk(detector.look(7, 60_000, unknown), "the whole process was stopped for a minute");
  t.notOk(detector.look(7, 60_100, unknown));
  t.notOk(detector.look(8, 60_200, unknown), "and the shard came back");
  let hungAtMs = 0;
  for (let nowMs = 60_300; hungAtMs === 0; nowMs += 100)
    if (detector.look(8, nowMs, unknown)) hungAtMs = nowMs;
  t.equal(hungAtMs, 61_200);
  t.end();
});

void t.test("a silent shard is found even when every look is late", (t) => {
  const detector = new HangDetector(options, 7, 0);
  let looks = 1;
  while (!detector.look(7, looks * 5_000, unknown)) looks++;
  t.equal(looks, 5, "each late look counts as two");
  t.end();
});

void t.test("a beat is seen from the other side, and its age survives the wrap of the word", (t) => {
  const shardSide = new Heartbeat();
  const mainSide = new Heartbeat(shardSide.buffer);
  shardSide.beat(5_000.7);
  t.equal(mainSide.ageMs(5_250.2), 250);
  t.equal(mainSide.ageMs(4_999), 0, "clocks are read one after the other: never negative");
  const wrapMs = 2 ** 31;
  shardSide.beat(wrapMs - 100);
  t.equal(mainSide.ageMs(wrapMs + 150), 250);
  const before = mainSide.lastBeat();
  shardSide.beat(wrapMs + 151);
  t.not(mainSide.lastBeat(), before);
  t.end();
});
