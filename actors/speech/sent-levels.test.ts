import t from "tap";
import { FRAME_MS } from "#runtime/media";
import { SILENCE_DB } from "./frame-meter.js";
import { SentLevels } from "./sent-levels.js";

/** More frames than are remembered. */
const FRAMES = 1_000;
/** What a level is rounded to, either way. */
const STEP_DB = 1 / 256;

function levelOf(frame: number): number {
  return -60 + (frame % 37) * 1.37;
}

void t.test(
  "what played is told by when it played, as far back as is remembered, and silence before that",
  (t) => {
    const sent = new SentLevels();
    for (let frame = 0; frame < FRAMES; frame += 1) sent.note(levelOf(frame), frame * FRAME_MS);
    const into = new Float64Array(300);
    sent.before((FRAMES - 1) * FRAME_MS, into);
    for (let delay = 0; delay < 256; delay += 1) {
      const off = Math.abs(into[delay]! - levelOf(FRAMES - 1 - delay));
      if (off > STEP_DB) t.fail(`${delay} frames before: off by ${off} dB`);
    }
    t.ok(into.subarray(256).every((levelDb) => levelDb === SILENCE_DB));
    t.end();
  },
);

void t.test("the loudest of some frames is theirs, not one of five seconds ago in the same place", (t) => {
  const sent = new SentLevels();
  sent.note(-5, 10 * FRAME_MS);
  sent.note(-30, (10 + 256 + 3) * FRAME_MS);
  t.ok(Math.abs(sent.loudestBefore((10 + 256 + 3) * FRAME_MS, 20) + 30) <= STEP_DB);
  t.equal(sent.loudestBefore((10 + 256 + 30) * FRAME_MS, 20), SILENCE_DB, "nothing played then");
  t.end();
});

void t.test("of what plays twice at one time the louder counts", (t) => {
  const sent = new SentLevels();
  for (const levelDb of [-40, -20, -35]) sent.note(levelDb, 60 * FRAME_MS);
  t.ok(Math.abs(sent.loudestBefore(60 * FRAME_MS, 0) + 20) <= STEP_DB);
  t.end();
});
