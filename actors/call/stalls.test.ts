/**
 * The story: a node that had just started took 200 calls within four seconds, and callers who had said "please say bravo
 * alfa alfa alfa" were answered "bravo alfa", and the rest of their sentence as another turn. Threads had stood still for
 * most of a second; then the sentence and the silence after it came in one burst, that silence counted as time the
 * recogniser had had, and an interim was committed although the recogniser had been given the rest in the same instant.
 * So it is asked here of whole calls with whatever may stand still, standing still.
 */
import t from "tap";
import { type LineFaults, LineFixture } from "./line.fixture.js";

const SENTENCE = "Please say bravo whiskey alfa alfa";
const REPLY = "Bravo whiskey alfa alfa.";
const SEEDS = 40;
/** Within what is waited for words that are missing. */
const STT_LATE_MS = 500;

const STALLS = {
  nothing: {},
  "the shard": { shardMs: [900, 2_000] },
  "the edge": { edgeMs: [900, 2_000] },
  "the carrier's audio": { uplinkMs: [900, 2_000] },
  "the shard and the edge": { shardMs: [600, 1_500], edgeMs: [600, 1_500] },
} as const satisfies Record<string, LineFaults>;

for (const [name, faults] of Object.entries(STALLS)) {
  void t.test(`stalled: ${name}. A sentence is one turn, whole`, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const line = new LineFixture({ seed, faults, sttLateMs: STT_LATE_MS, reply: () => ({ text: REPLY }) });
      line.runToSilence(1, 500);
      line.say(SENTENCE);
      line.runToSilence(2, 1_500);
      const said = line.call.facts("callerTurn").map((turn) => turn.pii.said);
      t.same(said, [SENTENCE], `seed ${seed}`);
    }
  });
}
