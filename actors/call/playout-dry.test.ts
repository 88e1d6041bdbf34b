/**
 * Found by the simulator: a shard that stood still for a second left the ring of a reply empty in the middle of it. When
 * the rest came, audio before its words' times, so that the marks stood where the words were thought to end, the clock had
 * run on: a caller who interrupted right then was told to have heard a word that was only about to leave. A voice that is
 * slow between two clauses does the same.
 */
import t from "tap";
import { RecordKind } from "#runtime/media";
import { alonePlayout } from "./playout.fixture.js";

const WORD_MS = 240;
const GAP_MS = 2_000;

for (const echo of ["before", "after"] as const) {
  void t.test(`what comes after a gap has not played during it; marks came ${echo} it`, async (t) => {
    const { clock, playout, out } = alonePlayout();
    const marks: number[] = [];
    const send = (): void => {
      while (out.read()) {
        if (out.kind === RecordKind.cue) playout.onCueSent(out.u32(), clock.nowMs());
        if (out.kind === RecordKind.mark) marks.push(out.u32());
      }
    };
    const say = (words: readonly string[], timesComeFirst: boolean): void => {
      const times = words.map((word, at) => ({ word, startMs: at * WORD_MS, endMs: (at + 1) * WORD_MS }));
      playout.text(`${words.join(" ")} `);
      if (timesComeFirst) playout.words(times);
      playout.audio(new Uint8Array(words.length * WORD_MS * 8).fill(0x9f));
      if (!timesComeFirst) playout.words(times);
      playout.segmentEnd();
      send();
    };

    playout.begin({ onStarted() {}, onMark() {}, onFinished() {} }, 1);
    say(["So,", "then."], true);
    const playedAtMs = clock.nowMs() + 2 * WORD_MS;
    const echoed = marks.slice();
    const echoMarks = (): void => echoed.forEach((mark) => playout.onMarkEchoed(mark, playedAtMs));
    if (echo === "before") echoMarks();
    clock.advance(GAP_MS);
    t.equal(playout.heardText(clock.nowMs()), echo === "before" ? "So, then." : "");
    say(["Congratulations,", "unforgettable", "anniversaries", "everywhere."], false);
    if (echo === "after") echoMarks();
    clock.advance(WORD_MS / 2);
    t.equal(playout.heardText(clock.nowMs()), "So, then.");
    clock.advance(WORD_MS);
    t.equal(playout.heardText(clock.nowMs()), "So, then. Congratulations,");
    playout.close();
  });
}
