/** Rings and bell between two real threads. Each side verifies by itself; the seed is in every message. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { Arena } from "./arena.js";
import type { ArenaLayout } from "./layout.js";
import { testSeed } from "./ring-pattern.js";
import {
  BELL_SLOT_COUNT,
  CONTROL_WORDS,
  type ThreadReport,
  type ThreadRole,
  type ThreadTask,
} from "./ring-threads.fixture.js";

// A few seconds on an idle machine; two threads that wait for each other suffer doubly on a busy one.
t.setTimeout(240_000);

/** Sequences begin so shortly before 2^32 that every run passes it. */
const FIRST_SEQUENCE = 0xffff_ff00;

function startThread(task: ThreadTask): Worker {
  const url = new URL("./ring-threads.fixture.js", import.meta.url);
  return new Worker(url, { workerData: task, execArgv: [] });
}

/** Rejects if the thread throws or ends without a report. */
async function reportOf(worker: Worker): Promise<ThreadReport> {
  const ended = once(worker, "exit").then(([code]) => assert.fail(`the thread ended with ${code}`));
  const [report] = (await Promise.race([once(worker, "message"), ended])) as [ThreadReport];
  return report;
}

interface Pair {
  readonly seed: number;
  readonly arena: Arena;
  readonly writer: ThreadReport;
  readonly reader: ThreadReport;
}

async function runPair(
  writer: ThreadRole,
  reader: ThreadRole,
  count: number,
  layout: ArenaLayout,
): Promise<Pair> {
  const seed = testSeed();
  const arena = Arena.create(layout);
  arena.edgeSide(0).reset(FIRST_SEQUENCE);
  const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
  const task = { buffer: arena.buffer, control, seed, count, firstSequence: FIRST_SEQUENCE };
  const workers = [startThread({ ...task, role: writer }), startThread({ ...task, role: reader })] as const;
  try {
    const reports = [reportOf(workers[0]), reportOf(workers[1])] as const;
    // A reader that found a fault reads no more, and its writer would wait for room for ever.
    const first = await Promise.race(reports);
    if (first.fault !== null) return { seed, arena, writer: first, reader: first };
    const [written, read] = await Promise.all(reports);
    return { seed, arena, writer: written, reader: read };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const replay = (seed: number) => `run again with LUMENTRA_TEST_SEED=${seed}`;

void t.test(
  "ten million records pass the out-ring between two threads, each whole and in order",
  async (t) => {
    const count = 10_000_000;
    const { seed, arena, writer, reader } = await runPair("writeOut", "readOut", count, { slotCount: 1 });
    t.equal(reader.fault, null, replay(seed));
    t.equal(reader.count, count, replay(seed));
    t.equal(reader.checksum, writer.checksum, replay(seed));
    t.equal(arena.stats(0).outFillRecords, 0);
  },
);

for (const outRecordCount of [2, 4]) {
  void t.test(`an out-ring of ${outRecordCount} records, always full or empty, loses none`, async (t) => {
    const count = 200_000;
    const layout = { slotCount: 1, outRecordCount };
    const { seed, writer, reader } = await runPair("writeOut", "readOut", count, layout);
    t.equal(reader.fault, null, replay(seed));
    t.equal(reader.checksum, writer.checksum, replay(seed));
  });
}

void t.test(
  "whatever the instant of a cut, nothing older is read after it and nothing newer is lost",
  async (t) => {
    const count = 1_000_000;
    const layout = { slotCount: 1, outRecordCount: 32 };
    const { seed, reader } = await runPair("writeOutWithBumps", "readOutWithBumps", count, layout);
    t.equal(reader.fault, null, replay(seed));
    t.equal(reader.count + reader.lostCount, count, replay(seed));
    t.ok(reader.count > 0 && reader.lostCount > 0, "some were read and some forgotten");
  },
);

for (const inRecordCount of [2, 8, 128]) {
  void t.test(
    `an in-ring of ${inRecordCount} overrun by its writer: no record is half seen, each loss counted`,
    async (t) => {
      const count = 1_000_000;
      const layout = { slotCount: 1, inRecordCount };
      const { seed, arena, writer, reader } = await runPair("writeIn", "readIn", count, layout);
      t.equal(reader.fault, null, replay(seed));
      t.equal(reader.count + reader.lostCount, writer.count, replay(seed));
      t.ok(reader.count > 1 && reader.lostCount > 0, "some were read and some lost");
      t.equal(arena.stats(0).inDroppedCount, reader.lostCount);
    },
  );
}

void t.test("no ring is lost between two threads, though only wake-ups make the other drain", async (t) => {
  const count = 300_000;
  const layout = { slotCount: BELL_SLOT_COUNT, inRecordCount: 2, outRecordCount: 2 };
  const { seed, writer, reader } = await runPair("ringBell", "drainBell", count, layout);
  t.equal(writer.fault, null, replay(seed));
  t.ok(writer.count < count, `${writer.count} wake-ups for ${count} rings`);
  t.ok(reader.count <= count);
});
