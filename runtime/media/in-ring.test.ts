import t from "tap";
import { Arena } from "./arena.js";
import { InRingConsumer } from "./in-ring.js";
import { IN_RESERVED, resolveArenaLayout, SLOT_CONTROL_WORDS } from "./layout.js";
import { RecordKind } from "./records.js";
import { NOTHING_UNTOLD, replayOf } from "./untold-audio.js";
import { MULAW_8K } from "./format.js";

const RECORD_COUNT = 8;
/** 0, and starts from which a few records reach and pass 2^31 and 2^32. */
const STARTS = [0, 0x7fff_fffd, 0xffff_fffd];

function open(firstSequence = 0) {
  const arena = Arena.create({ slotCount: 1, inRecordCount: RECORD_COUNT });
  const edge = arena.edgeSide(0);
  edge.reset(firstSequence);
  return { arena, producer: edge.in, consumer: arena.shardSide(0).in, shard: arena.shardSide(0) };
}

const sequenceAfter = (first: number, count: number) => (first + count) >>> 0;

void t.test("every kind of write arrives as it was written, in order", async (t) => {
  const { producer, consumer, shard } = open();
  const source = Uint8Array.from({ length: 32 }, (_, at) => at + 1);
  producer.writeAudio(source, 3, 7, 20.25);
  producer.writeU32Event(RecordKind.cleared, 21, 0);
  producer.writeByteEvent(RecordKind.dtmf, 22, 0x23);
  shard.out.bumpEpoch();
  producer.writeU32Event(RecordKind.markEchoed, 23, 0xfedc_ba98);

  t.equal(consumer.fill, 4);
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.sequence, consumer.epoch], [RecordKind.audio, 0, 0]);
  t.equal(consumer.timestampMs, 20.25);
  t.same([...consumer.payload.subarray(0, consumer.length)], [4, 5, 6, 7, 8, 9, 10]);
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.length], [RecordKind.cleared, 4]);
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.length, consumer.payload[0]], [RecordKind.dtmf, 1, 0x23]);
  t.ok(consumer.read());
  t.same([consumer.kind, consumer.length, consumer.u32()], [RecordKind.markEchoed, 4, 0xfedc_ba98]);
  t.equal(consumer.epoch, 1, "it was written after the actor's cut");
  t.notOk(consumer.read());
  t.equal(consumer.fill, 0);
});

void t.test("audio longer than a record is split, and not a byte is added or lost", async (t) => {
  for (const length of [0, 1, 159, 160, 161, 640]) {
    const { producer, consumer } = open();
    const source = Uint8Array.from({ length: length + 2 }, (_, at) => (at * 7) & 0xff);
    producer.writeAudio(source, 1, length, 5);
    const arrived: number[] = [];
    while (consumer.read()) {
      arrived.push(...consumer.payload.subarray(0, consumer.length));
      t.equal(consumer.timestampMs, 5);
    }
    t.same(arrived, [...source.subarray(1, 1 + length)], `${length} bytes`);
    t.equal(consumer.sequence, Math.max(Math.ceil(length / 160) - 1, 0));
  }
});

void t.test("full to the last record loses nothing; one more loses the oldest alone", async (t) => {
  for (const first of STARTS) {
    for (const extra of [0, 1, 2, RECORD_COUNT, 5 * RECORD_COUNT + 3]) {
      const { arena, producer, consumer } = open(first);
      for (let n = 0; n < RECORD_COUNT + extra; n++) producer.writeU32Event(RecordKind.cueSent, n, n);
      t.equal(consumer.fill, RECORD_COUNT);
      t.equal(arena.stats(0).inDroppedCount, extra, "the edge's metrics know before the shard has looked");
      for (let n = extra; n < RECORD_COUNT + extra; n++) {
        t.ok(consumer.read());
        t.equal(consumer.u32(), n);
        t.equal(consumer.sequence, sequenceAfter(first, n));
      }
      t.notOk(consumer.read());
      t.equal(consumer.droppedCount, extra);
      t.equal(arena.stats(0).inDroppedCount, extra);
    }
  }
});

void t.test("reading one, writing one goes round every position and past 2^32", async (t) => {
  for (const first of STARTS) {
    for (let waiting = 0; waiting < RECORD_COUNT; waiting++) {
      const { producer, consumer } = open(first);
      for (let n = 0; n < waiting; n++) producer.writeU32Event(RecordKind.mark, n, n);
      for (let n = 0; n < 3 * RECORD_COUNT; n++) {
        producer.writeU32Event(RecordKind.mark, n, waiting + n);
        t.ok(consumer.read());
        t.equal(consumer.u32(), n);
        t.equal(consumer.sequence, sequenceAfter(first, n));
        t.equal(consumer.fill, waiting);
      }
      t.equal(consumer.droppedCount, 0);
    }
  }
});

void t.test("a record the producer has begun to overwrite is no longer read", async (t) => {
  const { arena, producer, consumer } = open();
  for (let n = 0; n < RECORD_COUNT; n++) producer.writeU32Event(RecordKind.mark, n, n);
  // The producer stops between reserving and writing the ninth record.
  const { firstSlotWord } = resolveArenaLayout({ slotCount: 1, inRecordCount: RECORD_COUNT });
  new Int32Array(arena.buffer)[firstSlotWord + IN_RESERVED] = RECORD_COUNT + 1;
  t.equal(consumer.fill, RECORD_COUNT - 1);
  t.ok(consumer.read());
  t.equal(consumer.u32(), 1);
  t.equal(consumer.droppedCount, 1);
  for (let n = 2; n < RECORD_COUNT; n++) t.ok(consumer.read());
  t.notOk(consumer.read(), "the ninth is reserved, not published");
});

void t.test("a record overwritten while it is copied is thrown away and counted", async (t) => {
  const { arena, producer } = open();
  let writesDuringCopy = 0;
  let copies = 0;
  let written = 0;
  const write = () => producer.writeU32Event(RecordKind.mark, written, written++);
  class OvertakenConsumer extends InRingConsumer {
    protected override copyFrom(...copied: Parameters<InRingConsumer["copyFrom"]>): void {
      copies++;
      super.copyFrom(...copied);
      for (let n = 0; n < writesDuringCopy; n++) write();
    }
  }
  const { firstSlotWord } = resolveArenaLayout({ slotCount: 1, inRecordCount: RECORD_COUNT });
  const views = { i32: new Int32Array(arena.buffer), f64: new Float64Array(arena.buffer) };
  const consumer = new OvertakenConsumer(
    views,
    firstSlotWord,
    firstSlotWord + SLOT_CONTROL_WORDS,
    RECORD_COUNT,
  );

  for (let n = 0; n < RECORD_COUNT - 1; n++) write();
  writesDuringCopy = 1;
  t.ok(consumer.read(), "the ring is full now, the copy was not touched");
  t.same([consumer.u32(), copies, consumer.droppedCount], [0, 1, 0]);

  copies = 0;
  writesDuringCopy = 2;
  t.notOk(consumer.read(), "each copy is overtaken; the attempts are bounded");
  t.equal(copies, 8);
  t.equal(written, 1 + consumer.droppedCount + consumer.fill, "nothing is counted twice or not at all");

  writesDuringCopy = 0;
  const oldest = written - consumer.fill;
  t.ok(consumer.read());
  t.equal(consumer.u32(), oldest);
  let readCount = 2;
  while (consumer.read()) readCount++;
  t.equal(readCount + consumer.droppedCount, written);
});

void t.test("the next owner gets what nobody has read, and of what was read what is untold", async (t) => {
  const { producer, consumer } = open();
  for (let n = 0; n < RECORD_COUNT; n += 1) producer.writeAudio(new Uint8Array(160).fill(n), 0, 160, n * 20);
  for (let n = 0; n < RECORD_COUNT - 1; n += 1) consumer.read();
  const of = (untold: Parameters<typeof producer.held>[0]): number[] =>
    producer.held(untold).map(({ payload }) => payload[0]!);
  t.same(of(NOTHING_UNTOLD), [7]);
  const untold = { fromMs: 20, toldMs: 60, untilMs: 100, againMs: 120 };
  t.same(of(untold), [2, 3, 4, 6, 7], "from, until the agent spoke; and again");
  t.same(replayOf(producer.held(untold), untold, MULAW_8K), { toldMs: 40, earlierMs: 60 });
});
