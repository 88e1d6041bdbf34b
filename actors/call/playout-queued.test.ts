/**
 * What may come while nothing of a reply has left was taken for its start: the mark behind what another owner had sent,
 * when the voice that says the rest is slow; and the end of a pause, when the caller coughs meanwhile. The cue, which
 * tells of the first byte, then counted for nothing: no progress was told (whoever had to go on next said it all again),
 * the latency ledger stayed empty, and the echo guard never learned that something might be playing.
 */
import t from "tap";
import { FRAME_MS, RecordKind } from "#runtime/media";
import { alonePlayout } from "./playout.fixture.js";

/** Loud: a square wave. */
const SECOND = Uint8Array.from({ length: 8_000 }, (_, at) => (at % 8 < 4 ? 0x10 : 0x90));

function begun(queuedWords: number | null) {
  const { clock, playout, echoGuard, out } = alonePlayout();
  const started: number[] = [];
  const marks: number[] = [];
  let cue = 0;
  /** As the edge: marks leave at once, the cue is told with the first audio behind it. */
  const send = (): void => {
    while (out.read()) {
      if (out.kind === RecordKind.mark) marks.push(out.u32());
      if (out.kind === RecordKind.cue) cue = out.u32();
      if (out.kind !== RecordKind.audio || cue === 0) continue;
      playout.onCueSent(cue, clock.nowMs());
      cue = 0;
    }
  };
  playout.begin({ onStarted: (atMs) => started.push(atMs), onMark() {}, onFinished() {} }, 1, queuedWords);
  playout.text("three four");
  send();
  return { clock, echoGuard, playout, started, marks, send };
}

for (const comes of ["before", "after"] as const) {
  void t.test(
    `the mark of what was queued comes back ${comes} the reply's first byte has left`,
    async (t) => {
      const { clock, echoGuard, playout, started, marks, send } = begun(2);
      const echoQueued = (): void => playout.onMarkEchoed(marks[0]!, clock.nowMs());
      if (comes === "before") echoQueued();
      clock.advance(1_000);
      t.same(started, []);
      t.ok(playout.positionMs(clock.nowMs()) <= 0, "nothing of it was heard");

      const leftAtMs = clock.nowMs();
      playout.audio(SECOND);
      send();
      t.same(started, [leftAtMs]);
      clock.advance(200);
      if (comes === "after") echoQueued();
      clock.advance(200);
      t.equal(playout.positionMs(clock.nowMs()), comes === "before" ? 400 : 200);
      playout.noteEcho(clock.nowMs());
      t.ok(echoGuard.isEcho(-50, clock.nowMs()), "its echo may come");
      playout.close();
    },
  );
}

void t.test("a pause that ends before the reply's first byte has left is not its start", async (t) => {
  const { clock, echoGuard, playout, started, send } = begun(null);
  playout.pause();
  clock.advance(400);
  playout.resume();
  clock.advance(400);
  playout.audio(SECOND);
  t.equal(playout.positionMs(clock.nowMs()), 0);

  const leftAtMs = clock.nowMs();
  send();
  t.same(started, [leftAtMs]);
  clock.advance(100);
  t.equal(playout.positionMs(clock.nowMs()), 100);
  playout.noteEcho(clock.nowMs());
  t.ok(echoGuard.isEcho(-50, clock.nowMs()), "its echo may come");
  playout.close();
});

void t.test("what was queued may play until the cut has reached the carrier, and no longer", async (t) => {
  const { clock, echoGuard, playout } = begun(2);
  /** As each frame of the caller's asks. */
  const mayBeEchoAfter = (frames: number): boolean => {
    for (let frame = 0; frame < frames; frame += 1) {
      clock.advance(FRAME_MS);
      playout.noteEcho(clock.nowMs());
    }
    return echoGuard.isEcho(-30, clock.nowMs());
  };
  t.ok(mayBeEchoAfter(10));
  playout.cut(() => {});
  t.ok(mayBeEchoAfter(2));
  playout.onCleared(clock.nowMs());
  t.notOk(mayBeEchoAfter(100), "a quiet caller is heard again");
  playout.close();
});
