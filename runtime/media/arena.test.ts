import t from "tap";
import { LumentraError } from "#runtime/errors";
import { Arena } from "./arena.js";
import {
  DEFAULT_BYTES_PER_SLOT,
  HEADER_BYTES_PER_SLOT,
  HEADER_IN_RECORD_COUNT,
  HEADER_MAGIC,
  HEADER_OUT_RECORD_COUNT,
  HEADER_RECORD_BYTES,
  HEADER_SLOT_COUNT,
  HEADER_TOTAL_BYTES,
  HEADER_VERSION,
} from "./layout.js";
import { LegEnd, RecordKind } from "./records.js";

const silence = new Uint8Array(160).fill(0xff);

void t.test("memory is a constant per slot, within the budget of 56 KiB by default", async (t) => {
  const small = Arena.create({ slotCount: 1 });
  const large = Arena.create({ slotCount: 65 });
  t.equal(small.bytesPerSlot, DEFAULT_BYTES_PER_SLOT);
  t.equal(large.buffer.byteLength - small.buffer.byteLength, 64 * DEFAULT_BYTES_PER_SLOT);
  t.ok(DEFAULT_BYTES_PER_SLOT <= 56 * 1024);
});

void t.test("attaching finds the shape that was created", async (t) => {
  const arena = Arena.create({ slotCount: 3, inRecordCount: 4, outRecordCount: 8 });
  const attached = Arena.attach(arena.buffer);
  t.equal(attached.slotCount, 3);
  t.equal(attached.bytesPerSlot, arena.bytesPerSlot);
  arena.edgeSide(2).in.writeByteEvent(RecordKind.dtmf, 12.5, 0x35);
  const { in: audioIn, out } = attached.shardSide(2);
  t.equal(audioIn.read(), true);
  t.equal(audioIn.kind, RecordKind.dtmf);
  t.equal(audioIn.payload[0], 0x35);
  t.equal(out.tryWriteAudio(new Uint8Array(9 * 160), 0, 9 * 160, 0), 8 * 160);
});

void t.test("attaching refuses a buffer that is not an arena of this version and shape", async (t) => {
  const good = Arena.create({ slotCount: 2 });
  const corrupt = (word: number, value: number) => () => {
    const copy = new SharedArrayBuffer(good.buffer.byteLength);
    new Uint8Array(copy).set(new Uint8Array(good.buffer));
    new Int32Array(copy)[word] = value;
    return Arena.attach(copy);
  };
  const faults: Record<string, () => Arena> = {
    empty: () => Arena.attach(new SharedArrayBuffer(0)),
    odd: () => Arena.attach(new SharedArrayBuffer(129)),
    zeros: () => Arena.attach(new SharedArrayBuffer(good.buffer.byteLength)),
    magic: corrupt(HEADER_MAGIC, 1),
    version: corrupt(HEADER_VERSION, 2),
    slotCount: corrupt(HEADER_SLOT_COUNT, 3),
    negativeSlotCount: corrupt(HEADER_SLOT_COUNT, -1),
    inRecordCount: corrupt(HEADER_IN_RECORD_COUNT, 127),
    outRecordCount: corrupt(HEADER_OUT_RECORD_COUNT, 1),
    recordBytes: corrupt(HEADER_RECORD_BYTES, 160),
    bytesPerSlot: corrupt(HEADER_BYTES_PER_SLOT, 0),
    totalBytes: corrupt(HEADER_TOTAL_BYTES, 0),
  };
  for (const [name, attach] of Object.entries(faults)) {
    try {
      attach();
      t.fail(`${name} was accepted`);
    } catch (error) {
      t.ok(error instanceof LumentraError && error.code === "ARENA_HEADER_INVALID", name);
    }
  }
});

void t.test("a layout that cannot be is refused when it is created", async (t) => {
  for (const layout of [
    { slotCount: 0 },
    { slotCount: 1.5 },
    { slotCount: 1_000_000 },
    { slotCount: 1, inRecordCount: 100 },
    { slotCount: 1, outRecordCount: 1 },
  ]) {
    t.throws(() => Arena.create(layout), { name: "AssertionError" });
  }
  const arena = Arena.create({ slotCount: 2 });
  t.throws(() => arena.edgeSide(2));
  t.throws(() => arena.shardSide(-1));
  t.throws(() => arena.stats(0.5));
});

void t.test("a side of a slot is one object, however often it is asked for", async (t) => {
  const arena = Arena.create({ slotCount: 2 });
  t.equal(arena.edgeSide(1), arena.edgeSide(1));
  t.equal(arena.shardSide(1), arena.shardSide(1));
  t.not(arena.edgeSide(0), arena.edgeSide(1));
});

void t.test(
  "a call on a slot that was reset sees no record, epoch, pause or counter of the last",
  async (t) => {
    const arena = Arena.create({ slotCount: 2, inRecordCount: 4, outRecordCount: 4 });
    const edge = arena.edgeSide(0);
    const shard = arena.shardSide(0);
    const neighbour = arena.edgeSide(1);
    neighbour.in.writeAudio(silence, 0, 160, 1);
    for (let n = 0; n < 7; n++) edge.in.writeAudio(silence, 0, 160, n);
    shard.in.read();
    for (let n = 0; n < 3; n++) shard.out.tryWriteAudio(silence, 0, 160, n);
    edge.out.read();
    shard.out.bumpEpoch();
    edge.out.read();
    for (let n = 0; n < 9; n++) shard.out.tryWriteU32(RecordKind.mark, n, n);
    shard.out.setPaused(true);
    const used = arena.stats(0);
    for (const [name, value] of Object.entries(used)) t.ok(value, `${name} had a value to lose`);

    for (const first of [0, 0xffff_fffe]) {
      edge.reset(first);
      t.same(arena.stats(0), {
        inFillRecords: 0,
        inWrittenCount: first,
        inDroppedCount: 0,
        outFillRecords: 0,
        outWrittenCount: first,
        outSkippedCount: 0,
        outRefusedCount: 0,
        epoch: 0,
        paused: false,
      });
      t.equal(shard.in.read(), false);
      t.equal(shard.in.fill, 0);
      t.equal(shard.in.droppedCount, 0);
      t.equal(edge.out.read(), false);
      t.equal(edge.out.paused, false);
      t.equal(edge.out.epoch, 0);
      t.equal(edge.out.skippedCount, 0);
      t.equal(shard.out.epoch, 0);

      edge.in.writeByteEvent(RecordKind.legEnded, 3, LegEnd.stopped);
      t.equal(shard.in.read(), true);
      t.equal(shard.in.kind, RecordKind.legEnded);
      t.equal(shard.in.sequence, first);
      t.equal(shard.out.tryWriteU32(RecordKind.cue, 77, 4), true);
      t.equal(edge.out.read(), true);
      t.equal(edge.out.u32(), 77);
      t.equal(edge.out.sequence, first);
      t.equal(shard.out.tryWriteAudio(new Uint8Array(800), 0, 800, 5), 640, "all four records are free");
    }
    t.equal(arena.stats(1).inFillRecords, 1, "the neighbour's call goes on");
  },
);
