/**
 * Found by the simulator: marks came back late, so that the caller began to speak while the last words of a reply, long
 * heard, still counted as playing. They were paused; then the last mark came, the reply was over, and the pause stayed in
 * the ring: the edge sent nothing of the next reply, which was then told as played out and heard. The pause belongs to
 * the reply that it holds, so it ends where the reply ends.
 */
import t from "tap";
import { RecordKind } from "#runtime/media";
import type { PlayoutEvents } from "./playout.js";
import { alonePlayout } from "./playout.fixture.js";

const SECOND = new Uint8Array(8_000).fill(0x9f);

void t.test("a reply that ends while it is paused leaves no pause to the next one", async (t) => {
  const { playout, out } = alonePlayout();
  let finished = 0;
  const events: PlayoutEvents = { onStarted() {}, onMark() {}, onFinished: () => (finished += 1) };
  const marks: number[] = [];
  const send = (): number => {
    let bytes = 0;
    while (!out.paused && out.read()) {
      if (out.kind === RecordKind.mark) marks.push(out.u32());
      else if (out.kind === RecordKind.audio) bytes += out.length;
    }
    return bytes;
  };

  playout.begin(events, 1);
  playout.audio(SECOND);
  playout.end();
  t.equal(send(), SECOND.length);
  playout.pause();
  t.equal(out.paused, true);
  playout.onMarkEchoed(marks.at(-1)!, 1_001_500);
  t.equal(finished, 1);

  playout.begin(events, 1);
  playout.audio(SECOND);
  playout.end();
  t.equal(send(), SECOND.length, "all of the next reply leaves");
  playout.close();
});
