/**
 * Both rings against a model of them: a seeded run of writes, reads, bumps and resets in one thread, every
 * record verified byte by byte. The slots before and after the one at work, and the bytes around what is
 * written, are canaries.
 */
import t from "tap";
import { Arena } from "./arena.js";
import { RECORD_PAYLOAD_BYTES, resolveArenaLayout } from "./layout.js";
import { fillPattern, isPattern, patternTimestampMs, seededBelow, testSeed } from "./ring-pattern.js";

const RUN_COUNT = 60;
const STEPS_PER_RUN = 2_000;
const CANARY = 0xa5;

interface Run {
  readonly arena: Arena;
  readonly below: (bound: number) => number;
  readonly seed: number;
  readonly recordCount: number;
  readonly firstSequence: number;
}

function openRun(seed: number): Run {
  const below = seededBelow(seed);
  const recordCount = 2 << below(6);
  const arena = Arena.create({ slotCount: 3, inRecordCount: recordCount, outRecordCount: recordCount });
  const firstSequence = [0, 0x8000_0000, 0x1_0000_0000][below(3)]! - below(2 * recordCount);
  arena.edgeSide(1).reset(firstSequence);
  const { firstSlotWord } = resolveArenaLayout({ slotCount: 3 });
  const bytes = new Uint8Array(arena.buffer);
  const slotBytes = (slot: number) => firstSlotWord * 4 + slot * arena.bytesPerSlot;
  bytes.fill(CANARY, slotBytes(0), slotBytes(1));
  bytes.fill(CANARY, slotBytes(2));
  return { arena, below, seed, recordCount, firstSequence };
}

/** The slots on both sides are as they were. */
function canariesLive({ arena }: Run): boolean {
  const { firstSlotWord } = resolveArenaLayout({ slotCount: 3 });
  const bytes = new Uint8Array(arena.buffer, firstSlotWord * 4);
  return bytes.every((byte, at) => (at / arena.bytesPerSlot) >>> 0 === 1 || byte === CANARY);
}

/** A source with canaries around record n; the record must not change it, nor read beyond (see the model). */
const source = new Uint8Array(RECORD_PAYLOAD_BYTES + 32);
function sourceOf(seed: number, n: number): number {
  source.fill(CANARY);
  return fillPattern(seed, n, source, 16);
}

/** The in-ring as an array that shifts when it is full. Returns what went wrong, or null. */
function runInRing(run: Run): string | null {
  const { below, seed, recordCount, firstSequence } = run;
  const producer = run.arena.edgeSide(1).in;
  const consumer = run.arena.shardSide(1).in;
  const model: number[] = [];
  let written = 0;
  let dropped = 0;
  for (let step = 0; step < STEPS_PER_RUN; step++) {
    for (let burst = below(below(4) === 0 ? 2 * recordCount : 3); burst > 0; burst--) {
      const length = sourceOf(seed, written);
      producer.writeAudio(source, 16, length, patternTimestampMs(written));
      model.push(written++);
      if (model.length > recordCount) dropped += model.shift() === undefined ? 0 : 1;
    }
    if (consumer.fill !== model.length) return `step ${step}: fill ${consumer.fill}, not ${model.length}`;
    for (let burst = below(below(4) === 0 ? 2 * recordCount : 3); burst > 0; burst--) {
      const n = model.shift();
      if (consumer.read() !== (n !== undefined)) return `step ${step}: read() is not ${n !== undefined}`;
      if (n === undefined) break;
      if (consumer.sequence !== (firstSequence + n) >>> 0)
        return `step ${step}: sequence ${consumer.sequence}`;
      if (consumer.timestampMs !== patternTimestampMs(n)) return `step ${step}: time ${consumer.timestampMs}`;
      if (!isPattern(seed, n, consumer.payload, consumer.length))
        return `step ${step}: payload of record ${n}`;
      if (consumer.droppedCount !== dropped) return `step ${step}: dropped ${consumer.droppedCount}`;
    }
  }
  return canariesLive(run) ? null : "a canary died";
}

/** The out-ring as an array of records with epochs. Returns what went wrong, or null. */
function runOutRing(run: Run): string | null {
  const { below, seed, recordCount, firstSequence } = run;
  const producer = run.arena.shardSide(1).out;
  const consumer = run.arena.edgeSide(1).out;
  const model: { n: number; epoch: number }[] = [];
  let written = 0;
  let epoch = 0;
  let skipped = 0;
  for (let step = 0; step < STEPS_PER_RUN; step++) {
    for (let burst = below(below(4) === 0 ? 2 * recordCount : 3); burst > 0; burst--) {
      const length = sourceOf(seed, written);
      const accepted = producer.tryWriteAudio(source, 16, length, patternTimestampMs(written));
      if (accepted !== (model.length < recordCount ? length : 0)) return `step ${step}: accepted ${accepted}`;
      if (accepted > 0) model.push({ n: written++, epoch });
    }
    if (consumer.fill !== model.length) return `step ${step}: fill ${consumer.fill}, not ${model.length}`;
    if (below(20) === 0 && producer.bumpEpoch() !== ++epoch) return `step ${step}: epoch ${producer.epoch}`;
    for (let burst = below(below(4) === 0 ? 2 * recordCount : 3); burst > 0; burst--) {
      while (model.length > 0 && model[0]!.epoch !== epoch) skipped += model.shift() === undefined ? 0 : 1;
      const record = model.shift();
      if (consumer.read() !== (record !== undefined)) return `step ${step}: read() is not ${!!record}`;
      if (record === undefined) break;
      const { n } = record;
      if (consumer.sequence !== (firstSequence + n) >>> 0)
        return `step ${step}: sequence ${consumer.sequence}`;
      if (consumer.timestampMs !== patternTimestampMs(n)) return `step ${step}: time ${consumer.timestampMs}`;
      if (!isPattern(seed, n, consumer.payload, consumer.length))
        return `step ${step}: payload of record ${n}`;
      if (consumer.skippedCount !== skipped) return `step ${step}: skipped ${consumer.skippedCount}`;
    }
  }
  return canariesLive(run) ? null : "a canary died";
}

for (const [name, runRing] of [
  ["in-ring", runInRing],
  ["out-ring", runOutRing],
] as const) {
  void t.test(`the ${name} does what its model does, whatever the order of events`, async (t) => {
    const base = testSeed();
    for (let run = 0; run < RUN_COUNT; run++) {
      const seed = (base + run) | 0;
      t.equal(runRing(openRun(seed)), null, `run again with LUMENTRA_TEST_SEED=${seed}`);
    }
  });
}
