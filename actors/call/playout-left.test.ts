/**
 * A call's owner took its own writing for the caller's hearing: when the edge stood still (a main thread that hangs, an
 * edge that was not told), a reply lay in the ring, two seconds after it should have been over it counted as played, and
 * history and journal told words as heard of which not one had left. The grace of the last mark is for carriers that
 * return none, so it begins when the ring is empty. The same with a word's mark that found no room: without it the clock
 * ran on over audio that nobody had taken. And with a pause that became a cut: what it held back had not left, while the
 * clock ran on from the last mark that had come back. And with a leg that was lost while the shard stood still: what would
 * have been played until it looked was told as heard, and whoever went on with the call left it out.
 */
import t from "tap";
import { RecordKind } from "#runtime/media";
import { MARK_GRACE_MS, type PlayoutEvents, TOP_UP_MS } from "./playout.js";
import { alonePlayout } from "./playout.fixture.js";

const SECOND = new Uint8Array(8_000).fill(0x9f);

function setUp(outRecordCount = 128) {
  const { clock, playout, out } = alonePlayout(outRecordCount);
  const seen = { finished: 0, bytes: 0, cues: [] as number[], marks: [] as number[] };
  const events: PlayoutEvents = { onStarted() {}, onMark() {}, onFinished: () => (seen.finished += 1) };
  /** The edge takes so many records, and no carrier returns a mark. */
  const take = (count = Number.POSITIVE_INFINITY): void => {
    for (let taken = 0; taken < count && out.read(); taken += 1) {
      if (out.kind === RecordKind.audio) seen.bytes += out.length;
      if (out.kind === RecordKind.cue) seen.cues.push(out.u32());
      if (out.kind === RecordKind.mark) seen.marks.push(out.u32());
    }
  };
  playout.begin(events, 1);
  playout.text("one two three four");
  playout.words(
    ["one", "two", "three", "four"].map((word, index) => ({
      word,
      startMs: index * 250,
      endMs: (index + 1) * 250,
    })),
  );
  return { clock, playout, seen, take, events };
}

void t.test("a reply that lies in the ring is not over, however long", async (t) => {
  const { clock, playout, seen, take } = setUp();
  playout.audio(SECOND);
  playout.end();
  clock.advance(60_000);
  t.equal(seen.finished, 0);
  t.equal(playout.heardText(clock.nowMs()), "");

  take();
  t.equal(seen.bytes, SECOND.length);
  clock.advance(MARK_GRACE_MS);
  t.equal(seen.finished, 0, "it has only just left");
  clock.advance(2_000);
  t.equal(seen.finished, 1, "and a carrier that returns no marks does not hold the call up");
  t.equal(clock.timerCount, 0);
});

void t.test("no word counts as heard that stands behind a mark without room", async (t) => {
  const { clock, playout, seen, take } = setUp(16);
  playout.audio(SECOND);
  playout.end();
  take(4);
  playout.onCueSent(seen.cues[0]!, clock.nowMs());
  // It fills up once more, then the edge takes nothing.
  clock.advance(5_000);
  const takenMs = seen.bytes / 8;
  const heard = playout.heardText(clock.nowMs()).split(" ").filter(Boolean);
  t.ok(heard.length * 250 <= takenMs, `${heard.join(" ")} of ${takenMs} ms`);

  for (let looks = 0; looks < 50; looks += 1) {
    take();
    clock.advance(200);
  }
  t.equal(seen.bytes, SECOND.length, "all of it leaves in the end");
  playout.close();
});

void t.test("what a pause held back is not told as heard when the reply is cut", async (t) => {
  const { clock, playout, seen, take } = setUp();
  playout.audio(SECOND);
  // A voice that tells the times of its words behind their audio: no mark stands between these.
  playout.audio(SECOND);
  playout.text(" five six seven eight");
  const late = ["five", "six", "seven", "eight"];
  playout.words(
    late.map((word, index) => ({ word, startMs: 1_000 + index * 250, endMs: 1_250 + index * 250 })),
  );
  playout.end();
  // The edge sends on to the next mark, and no further; the carrier plays it.
  while (seen.marks.length < 4) take(1);
  playout.onCueSent(seen.cues[0]!, clock.nowMs());
  playout.pause();
  clock.advance(1_000);
  playout.onMarkEchoed(seen.marks[3]!, clock.nowMs());
  t.equal(playout.confirmedText, "one two three four");

  clock.advance(600);
  let told: string | null = null;
  playout.cut((words) => (told = words));
  take();
  playout.onCleared(clock.nowMs());
  t.equal(told, "one two three four");
  t.equal(seen.bytes, SECOND.length);
  playout.close();
});

void t.test("nothing is told as heard after the leg was lost, however late that is seen", async (t) => {
  const toldWhenSeenAfter = (ms: number): string | null => {
    const { clock, playout, seen, take } = setUp();
    playout.audio(SECOND);
    // As above: no mark stands between these words.
    playout.audio(SECOND);
    playout.text(" five six seven eight");
    const late = ["five", "six", "seven", "eight"];
    playout.words(
      late.map((word, index) => ({ word, startMs: 1_000 + index * 250, endMs: 1_250 + index * 250 })),
    );
    playout.end();
    take();
    playout.onCueSent(seen.cues[0]!, clock.nowMs());
    clock.advance(1_000);
    playout.onMarkEchoed(seen.marks[3]!, clock.nowMs());
    clock.advance(300);
    playout.onLegEnded(clock.nowMs());
    clock.advance(ms);
    let told: string | null = null;
    playout.cut((words) => (told = words));
    playout.close();
    return told;
  };
  t.equal(toldWhenSeenAfter(0), "one two three four five");
  t.equal(toldWhenSeenAfter(600), "one two three four five");
});

void t.test("a reply begun while the ring is full says where it begins, before its first byte", async (t) => {
  const { clock, playout, seen, take, events } = setUp(32);
  playout.audio(SECOND);
  playout.cut(() => {});
  playout.begin(events, 2);
  playout.audio(SECOND);
  playout.end();
  t.same([seen.cues, seen.bytes], [[], 0], "the edge stands still");

  take(1);
  clock.advance(TOP_UP_MS);
  take(1);
  t.equal(seen.cues.length, 1);
  t.equal(seen.bytes, 0);
  clock.advance(TOP_UP_MS);
  for (let looks = 0; looks < 10; looks += 1) {
    take();
    clock.advance(TOP_UP_MS);
  }
  t.equal(seen.bytes, SECOND.length);
  t.equal(seen.cues.length, 1);
  playout.close();
});
