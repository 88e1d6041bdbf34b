import t from "tap";
import { RecordKind } from "#runtime/media";
import { TOP_UP_MS } from "./playout.js";
import { alonePlayout } from "./playout.fixture.js";

const FIFTH = 1_600;

/** A call that says `seconds` of audio, all of which is there at once; its carrier plays 20 ms at a time. */
function speaking(seconds: number) {
  const { clock, playout, out } = alonePlayout();
  playout.begin({ onStarted() {}, onMark() {}, onFinished() {} }, 1);
  for (let piece = 0; piece < 5 * seconds; piece += 1) playout.audio(new Uint8Array(FIFTH).fill(piece + 1));
  playout.end();
  let playedBytes = 0;
  const sent: number[] = [];
  const play = (ms: number): void => {
    for (let atMs = 0; atMs < ms; atMs += TOP_UP_MS) {
      while (out.read()) {
        if (out.kind === RecordKind.cue) playout.onCueSent(out.u32(), clock.nowMs());
        else if (out.kind === RecordKind.mark) {
          const id = out.u32();
          const mark = playedBytes / 8;
          clock.setTimer(mark - (clock.nowMs() - startedAtMs), () => playout.onMarkEchoed(id, clock.nowMs()));
        } else if (out.kind === RecordKind.audio) {
          playedBytes += out.length;
          sent.push(out.payload[0]!);
        }
      }
      clock.advance(TOP_UP_MS);
      playout.noteEcho(clock.nowMs());
    }
  };
  const startedAtMs = clock.nowMs();
  return { playout, play, sent, playedBytes: () => playedBytes };
}

void t.test("audio is let go of as it plays, and all of it when the reply is over", async (t) => {
  const { playout, play, sent, playedBytes } = speaking(10);
  t.equal(playout.keptBytes, 80_000);
  play(5_000);
  t.ok(playout.keptBytes <= 40_000 + FIFTH, `${playout.keptBytes} are kept in the middle`);
  t.ok(playout.keptBytes >= 40_000 - FIFTH, "what has not been played is");
  play(6_000);
  t.equal(playout.isPlaying, false);
  t.equal(playout.keptBytes, 0);
  t.equal(playedBytes(), 80_000, "all of it was sent");
  t.same(
    sent,
    sent.toSorted((left, right) => left - right),
    "in order",
  );
});

void t.test("a cut lets go of what was not said", async (t) => {
  const { playout, play } = speaking(10);
  play(1_000);
  playout.cut(() => {});
  t.equal(playout.keptBytes, 0);
  play(1_000);
  playout.close();
});
