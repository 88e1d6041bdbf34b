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

/**
 * In a soak a caller who had said "alfa alfa alfa alfa" was answered with three of them. Nothing of ours takes words for one
 * because they are the same: however late, whoever stands still, wherever in a frame they begin. What an edge that stood
 * still for longer than the carrier has audio makes of the answer is a gap, and the word it falls into goes on after it.
 */
const IN_A_ROW = "Please say alfa alfa alfa alfa";
const SEEDS_IN_A_ROW = 12;

for (const [name, faults] of Object.entries(STALLS)) {
  void t.test(`stalled: ${name}. The same word four times is four words, said and heard`, async (t) => {
    for (let seed = 1; seed <= SEEDS_IN_A_ROW; seed += 1) {
      const sttLateMs = (seed % 3) * 250;
      const reply = (): { text: string } => ({ text: "Alfa alfa alfa alfa." });
      const line = new LineFixture({ seed, faults, sttLateMs, reply });
      line.runToSilence(1, 500);
      const before = line.heard.length;
      line.say(IN_A_ROW, 0, (seed * 61) % 160);
      line.runToSilence(2, 1_500);
      t.same(
        line.call.facts("callerTurn").map((turn) => turn.pii.said),
        [IN_A_ROW],
        `seed ${seed}`,
      );
      const heard = line.heard.slice(before).map((word) => word.toLowerCase().replace(/\W/g, ""));
      t.same(heard, ["alfa", "alfa", "alfa", "alfa"], `seed ${seed}`);
    }
  });
}
