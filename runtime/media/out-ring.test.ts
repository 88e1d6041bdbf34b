import t from "tap";
import { Arena } from "./arena.js";
import { OUT_EPOCH, resolveArenaLayout } from "./layout.js";
import { RecordKind } from "./records.js";

const RECORD_COUNT = 8;
const STARTS = [0, 0x7fff_fffd, 0xffff_fffd];

function open(firstSequence = 0) {
  const arena = Arena.create({ slotCount: 1, outRecordCount: RECORD_COUNT });
  const edge = arena.edgeSide(0);
  edge.reset(firstSequence);
  return { arena, producer: arena.shardSide(0).out, consumer: edge.out };
}

const bytes = Uint8Array.from({ length: 4_000 }, (_, at) => (at * 11) & 0xff);

void t.test("audio, marks and cues arrive as they were written, in order", async (t) => {
  const { producer, consumer } = open();
  t.equal(producer.tryWriteU32(RecordKind.cue, 9, 1.5), true);
  t.equal(producer.tryWriteAudio(bytes, 5, 200, 2.5), 200);
  t.equal(producer.tryWriteU32(RecordKind.mark, 0xffff_ffff, 3.5), true);
  t.equal(consumer.fill, 4);

  t.ok(consumer.read());
  t.same([consumer.kind, consumer.u32(), consumer.timestampMs], [RecordKind.cue, 9, 1.5]);
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.length, consumer.sequence], [RecordKind.audio, 160, 1]);
  t.same(consumer.payload, bytes.subarray(5, 165));
  t.ok(consumer.read());
  t.same(consumer.payload.subarray(0, consumer.length), bytes.subarray(165, 205));
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.u32()], [RecordKind.mark, 0xffff_ffff]);
  t.notOk(consumer.read());
});

void t.test("a full ring refuses with a number, takes what fits in whole records, and counts", async (t) => {
  for (const first of STARTS) {
    const { arena, producer, consumer } = open(first);
    t.equal(producer.tryWriteAudio(bytes, 0, 0, 0), 0, "nothing asked, nothing taken");
    t.equal(arena.stats(0).outRefusedCount, 0);
    t.equal(producer.tryWriteAudio(bytes, 0, 4_000, 0), RECORD_COUNT * 160);
    t.equal(arena.stats(0).outRefusedCount, 1);
    t.equal(producer.tryWriteAudio(bytes, 0, 1, 0), 0);
    t.equal(producer.tryWriteU32(RecordKind.mark, 1, 0), false);
    t.equal(arena.stats(0).outRefusedCount, 3);
    t.ok(consumer.read());
    t.ok(consumer.read());
    t.equal(producer.tryWriteAudio(bytes, 1_280, 161, 0), 161, "two records, the second of one byte");
    t.equal(arena.stats(0).outRefusedCount, 3);
    const arrived: number[] = [];
    while (consumer.read()) arrived.push(...consumer.payload.subarray(0, consumer.length));
    t.same(arrived, [...bytes.subarray(320, 1_441)], "what was refused left no trace");
  }
});

void t.test("writing one, reading one goes round every position and past 2^32", async (t) => {
  for (const first of STARTS) {
    for (let waiting = 0; waiting < RECORD_COUNT; waiting++) {
      const { producer, consumer } = open(first);
      for (let n = 0; n < waiting; n++) producer.tryWriteU32(RecordKind.mark, n, n);
      for (let n = 0; n < 3 * RECORD_COUNT; n++) {
        t.ok(producer.tryWriteU32(RecordKind.mark, waiting + n, n));
        t.equal(consumer.fill, waiting + 1);
        t.ok(consumer.read());
        t.equal(consumer.u32(), n);
        t.equal(consumer.sequence, (first + n) >>> 0);
      }
    }
  }
});

void t.test("bumping the epoch forgets what is queued, and only that", async (t) => {
  for (const first of STARTS) {
    const { producer, consumer, arena } = open(first);
    producer.tryWriteAudio(bytes, 0, 3 * 160, 0);
    producer.tryWriteU32(RecordKind.mark, 1, 0);
    t.ok(consumer.read());
    t.same([consumer.epoch, consumer.recordEpoch], [0, 0]);
    t.equal(producer.bumpEpoch(), 1);
    t.equal(producer.epoch, 1);
    t.equal(consumer.epoch, 1);
    producer.tryWriteU32(RecordKind.cue, 2, 0);
    producer.tryWriteAudio(bytes, 0, 160, 0);
    t.ok(consumer.read());
    t.equal(consumer.skippedCount, 3);
    t.same([consumer.u32(), consumer.recordEpoch], [2, 1]);
    t.ok(consumer.read());
    t.equal(consumer.kind, RecordKind.audio);
    t.notOk(consumer.read());
    t.equal(arena.stats(0).outSkippedCount, 3);
  }
});

void t.test("what waits is the audio of the current epoch that was not taken", async (t) => {
  for (const first of STARTS) {
    const { producer, consumer } = open(first);
    t.equal(producer.waitingBytes, 0);
    producer.tryWriteAudio(bytes, 0, 400, 0);
    producer.tryWriteU32(RecordKind.mark, 7, 0);
    producer.tryWriteAudio(bytes, 0, 20, 0);
    t.equal(producer.waitingBytes, 420);
    consumer.read();
    t.equal(producer.waitingBytes, 260);
    producer.bumpEpoch();
    t.equal(producer.waitingBytes, 0);
    producer.tryWriteAudio(bytes, 0, 30, 0);
    t.equal(producer.waitingBytes, 30);
    while (consumer.read());
    t.equal(producer.waitingBytes, 0);
  }
});

void t.test("a full ring that is forgotten has room again once the edge has looked", async (t) => {
  const { producer, consumer } = open();
  producer.tryWriteAudio(bytes, 0, RECORD_COUNT * 160, 0);
  producer.bumpEpoch();
  t.equal(producer.tryWriteAudio(bytes, 0, 160, 0), 0);
  t.notOk(consumer.read());
  t.equal(producer.tryWriteAudio(bytes, 0, RECORD_COUNT * 160, 0), RECORD_COUNT * 160);
  let readCount = 0;
  while (consumer.read()) readCount++;
  t.equal(readCount, RECORD_COUNT);
});

void t.test("each bump is a new epoch, also past 2^31 and 2^32", async (t) => {
  for (const first of STARTS) {
    const { producer, consumer, arena } = open();
    const { firstSlotWord } = resolveArenaLayout({ slotCount: 1, outRecordCount: RECORD_COUNT });
    new Int32Array(arena.buffer)[firstSlotWord + OUT_EPOCH] = first;
    for (let n = 1; n <= 10; n++) {
      const epoch = (first + n) >>> 0;
      producer.tryWriteU32(RecordKind.mark, 0, 0);
      t.equal(producer.bumpEpoch(), epoch);
      producer.tryWriteU32(RecordKind.mark, n, 0);
      t.ok(consumer.read());
      t.equal(consumer.u32(), n);
      t.equal(consumer.recordEpoch, epoch);
      t.equal(consumer.epoch, epoch);
    }
    t.equal(consumer.skippedCount, 10);
  }
});

void t.test("pause is a request: seen at once by the edge, and the ring goes on beneath it", async (t) => {
  const { producer, consumer, arena } = open();
  t.equal(consumer.paused, false);
  producer.setPaused(true);
  t.equal(consumer.paused, true);
  t.equal(arena.stats(0).paused, true);
  producer.tryWriteU32(RecordKind.mark, 1, 0);
  t.ok(consumer.read());
  producer.setPaused(false);
  t.equal(consumer.paused, false);
});
