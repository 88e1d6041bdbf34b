import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { HangDetector } from "./hang-detector.js";
import { Heartbeat } from "./heartbeat.js";
import { resolveShardPoolOptions } from "./options.js";

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

/** Looks every 100 ms at a silent shard that runs so much between two looks; when it is taken for hung. */
function hungAtMs(ranMs: number, isRunnable: boolean, mayRun = false): number | null {
  const detector = new HangDetector(options, 7, 0);
  for (let look = 1; look <= 100; look++) {
    const cpu = { ranMs: 5_000 + look * ranMs, isRunnable };
    if (detector.look(7, look * 100, () => cpu, mayRun)) return look * 100;
  }
  return null;
}

void t.test(
  "silence means what the thread did in it: a loop, a wait for a processor, or nothing at all",
  (t) => {
    t.equal(hungAtMs(100, true), 300, "it ran and got nowhere: after spinningAfterMs");
    t.equal(hungAtMs(50, true), 500, "of a processor that it shares: of its own time");
    t.equal(hungAtMs(0, false), 1_000, "blocked: after hungAfterMs");
    t.equal(hungAtMs(0, true), null, "starved: never");
    t.ok(hungAtMs(3, true)! > 6_000, "as good as starved: when it has run enough");
    t.equal(hungAtMs(100, true, true), 1_000, "it has a reason to run long");
    t.end();
  },
);

void t.test("another call's turn is a sign of life, as a beat is; and who runs is told", (t) => {
  const shardSide = new Heartbeat();
  const mainSide = new Heartbeat(shardSide.buffer);
  shardSide.beat(1_000);
  const before = mainSide.progress();
  shardSide.enter(42);
  t.not(mainSide.progress(), before);
  t.equal(mainSide.runs(), 42);
  shardSide.leave();
  t.equal(mainSide.runs(), 0);
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

/**
 * A callback of 300 ms, as often as it came, was taken for a loop: all calls of its shard were moved, which kept their callers
 * waiting longer than the callback did.
 */
void t.test("by default a callback of 300 ms is waited for, and a loop is told within 400", (t) => {
  const { watchdog } = resolveShardPoolOptions({
    shardCount: 1,
    slotsPerShard: 1,
    entry: new URL("file:///none.js"),
    boot: {},
    clock: new VirtualClock(),
    log: silentLogger,
  } as unknown as Parameters<typeof resolveShardPoolOptions>[0]);
  const { lookEveryMs, spinningAfterMs } = watchdog;
  /** From when on it spins to when it is told; null: it was never. */
  const toldAfterMs = (spinsAtMs: number, spinsForMs: number): number | null => {
    const detector = new HangDetector({ ...watchdog, spinningCpuMs: 0.6 * spinningAfterMs }, 0, 0);
    for (let nowMs = lookEveryMs; nowMs <= 2_000; nowMs += lookEveryMs) {
      const ranMs = Math.min(Math.max(nowMs - spinsAtMs, 0), spinsForMs);
      const isSpinning = nowMs > spinsAtMs && nowMs <= spinsAtMs + spinsForMs;
      const progress = isSpinning ? spinsAtMs : nowMs;
      if (detector.look(progress, nowMs, () => ({ ranMs, isRunnable: isSpinning }))) return nowMs - spinsAtMs;
    }
    return null;
  };
  for (let phaseMs = 0; phaseMs < lookEveryMs; phaseMs += 5) {
    t.equal(toldAfterMs(500 + phaseMs, 300), null, `${phaseMs} ms before a look`);
    const toldMs = toldAfterMs(500 + phaseMs, 10_000)!;
    t.ok(toldMs >= 300 && toldMs <= 400, `${toldMs} ms`);
  }
  t.end();
});
