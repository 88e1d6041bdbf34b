/**
 * Found by the simulator: marks came back late, so that the caller began to speak while the last words of a reply, long
 * heard, still counted as playing. They were paused; then the last mark came, the reply was over, and the pause stayed in
 * the ring: the edge sent nothing of the next reply, which was then told as played out and heard. The pause belongs to
 * the reply that it holds, so it ends where the reply ends.
 */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { Arena, MULAW_8K, RecordKind } from "#runtime/media";
import { EchoGuard } from "#actors/speech";
import { Playout, type PlayoutEvents } from "./playout.js";

const SECOND = new Uint8Array(8_000).fill(0x9f);

void t.test("a reply that ends while it is paused leaves no pause to the next one", async (t) => {
  const arena = Arena.create({ slotCount: 1 });
  const edge = arena.edgeSide(0);
  let finished = 0;
  const playout = new Playout({
    clock: new VirtualClock(),
    ring: arena.shardSide(0).out,
    format: MULAW_8K,
    echoGuard: new EchoGuard(),
    wakeEdge: () => {},
    guard: (body) => body(),
  });
  const events: PlayoutEvents = { onStarted() {}, onMark() {}, onFinished: () => (finished += 1) };
  const marks: number[] = [];
  const send = (): number => {
    let bytes = 0;
    while (!edge.out.paused && edge.out.read()) {
      if (edge.out.kind === RecordKind.mark) marks.push(edge.out.u32());
      else if (edge.out.kind === RecordKind.audio) bytes += edge.out.length;
    }
    return bytes;
  };

  playout.begin(events, 1);
  playout.audio(SECOND);
  playout.end();
  t.equal(send(), SECOND.length);
  playout.pause();
  t.equal(edge.out.paused, true);
  playout.onMarkEchoed(marks.at(-1)!, 1_001_500);
  t.equal(finished, 1);

  playout.begin(events, 1);
  playout.audio(SECOND);
  playout.end();
  t.equal(send(), SECOND.length, "all of the next reply leaves");
  playout.close();
});
