import t from "tap";
import { Arena, RecordKind } from "#runtime/media";
import { HeldAudio } from "./held-audio.js";

/** Bytes that tell where in the reply they stand. */
const piece = (from: number, length: number) => Uint8Array.from({ length }, (_, at) => (from + at) % 251);

function ring(outRecordCount: number) {
  const arena = Arena.create({ slotCount: 1, outRecordCount });
  const { out } = arena.edgeSide(0);
  const taken: number[] = [];
  const take = (): void => {
    while (out.read()) if (out.kind === RecordKind.audio) taken.push(...out.payload.subarray(0, out.length));
  };
  return { producer: arena.shardSide(0).out, taken, take };
}

void t.test("a ring that takes a part gets the rest next, each byte once, across pieces", async (t) => {
  const { producer, taken, take } = ring(4);
  const held = new HeldAudio();
  const lengths = [1_000, 7, 160, 333];
  let appended = 0;
  for (const length of lengths) {
    held.push(piece(appended, length));
    appended += length;
  }
  t.equal(held.writeTo(producer, held.nextBytes, 0), 640, "four records");
  t.equal(held.writeTo(producer, held.nextBytes, 0), 0, "and then none");
  for (let turns = 0; !held.isAllWritten && turns < 100; turns += 1) {
    take();
    held.writeTo(producer, held.nextBytes, 0);
  }
  take();
  t.equal(held.writtenBytes, 1_500);
  t.same(taken, [...piece(0, 1_500)]);
});

void t.test("only whole pieces that were played are let go of; their bytes still count", async (t) => {
  const { producer } = ring(128);
  const held = new HeldAudio();
  for (let at = 0; at < 4; at += 1) {
    held.push(piece(0, 100));
    held.writeTo(producer, 100, 0);
  }
  held.letGo(199);
  t.equal(held.keptBytes, 300, "half a piece is a piece");
  held.letGo(200);
  held.letGo(150);
  t.equal(held.keptBytes, 200);
  t.equal(held.appendedBytes, 400);
  t.ok(held.isAllWritten);
  held.push(piece(0, 50));
  t.equal(held.nextBytes, 50, "what comes later stands behind what has gone");
  t.equal(held.writeTo(producer, 50, 0), 50);
});

void t.test("when its reply is over its audio goes, what is known of it stays, until the next", async (t) => {
  const { producer, taken, take } = ring(128);
  const held = new HeldAudio();
  held.push(piece(0, 100));
  held.push(piece(100, 200));
  held.writeTo(producer, 100, 0);
  held.writeTo(producer, 20, 0);
  held.letGo(100);
  held.release();
  t.same([held.keptBytes, held.appendedBytes, held.writtenBytes], [0, 300, 120]);
  held.letGo(300); // a mark of it comes back
  held.reset();
  t.ok(held.isAllWritten);
  take();
  taken.length = 0;
  held.push(piece(7, 80));
  t.equal(held.writeTo(producer, held.nextBytes, 0), 80);
  take();
  t.same(taken, [...piece(7, 80)]);
  held.letGo(80);
  t.equal(held.keptBytes, 0);
});
