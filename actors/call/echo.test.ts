/**
 * The claim: our own echo, 20 dB down and up to 300 ms later, never cuts us and never becomes a caller's
 * turn, and callers are heard all the same. Proven on virtual time, since on the wire a busy machine does to
 * the phone what it does to us. It did once: the phone put echo of the wrong instant into its frames, the
 * recogniser misheard two words of three, and three words that were "not ours" cut.
 */
import t, { type Test } from "tap";
import { seededRandom } from "#runtime/actor";
import { type LineFaults, LineFixture } from "./line.fixture.js";

const STORY =
  "Our practice has looked after families in this town for more than twenty years. Three dentists offer " +
  "cleanings, fillings, crowns and whitening, and children are always welcome with us.";
const QUESTION = "Please tell me a story.";
const OPTIONS =
  "We have Monday at nine, Tuesday at ten or Friday at noon, and all of these are with doctor Lee.";
const DELAYS_MS = Array.from({ length: 16 }, (_, index) => index * 20);

const LATE = {
  nothing: {},
  shard: { shardMs: [20, 400] },
  edge: { edgeMs: [20, 380] },
  "edge, and the caller hears gaps": { edgeMs: [300, 900] },
  "carrier's audio": { uplinkMs: [20, 600] },
  "our audio": { downlinkMs: [20, 380] },
  "our audio, and the caller hears gaps": { downlinkMs: [300, 1_500] },
  marks: { markMs: [0, 250] },
  "marks and our audio": { markMs: [100, 400], downlinkMs: [20, 1_000] },
  everything: {
    shardMs: [20, 400],
    edgeMs: [20, 700],
    uplinkMs: [20, 600],
    downlinkMs: [20, 700],
    markMs: [0, 250],
  },
} as const satisfies Record<string, LineFaults>;

interface Asked {
  readonly line: LineFixture;
  readonly seed: number;
  /** For the name of an assertion: how to see it again. */
  readonly how: string;
}

/** One call per delay and seed, in which the greeting was heard and QUESTION was said. */
function* asked(faults: LineFaults, rounds: number, reply = STORY): Generator<Asked> {
  for (const delayMs of DELAYS_MS) {
    for (let round = 0; round < rounds; round += 1) {
      const seed = delayMs * 1_000 + round;
      const echo = { gainDb: -20, delayMs };
      const answers = (_request: unknown, index: number) => ({ text: index === 0 ? reply : "All right." });
      const line = new LineFixture({ seed, echo, faults, reply: answers });
      line.runToSilence(1, 1_000);
      line.say(QUESTION);
      yield { line, seed, how: `echo after ${delayMs} ms, seed ${seed}` };
    }
  }
}

/** Our answer sounds, and goes on for `ms`. A gap may have spoiled any word of it. */
function hearAnswer({ line }: Asked, ms: number): void {
  const before = line.heard.length;
  line.runUntil(() => line.heard.length > before);
  line.run(ms);
}

function outcomeOf({ call }: LineFixture) {
  return {
    cuts: call.facts("bargeIn").length,
    said: call.facts("callerTurn").map((turn) => turn.pii.said),
    heard: call.heardByJournal(),
  };
}

/**
 * One cut, and his words are the next turn. With gaps in our audio scraps of our words may stand before them, and of what
 * still played when he was heard, behind: in one call of six with everything late.
 */
function isHeard(t: Test, line: LineFixture, words: string, late: keyof typeof LATE, how: string): void {
  const { cuts, said } = outcomeOf(line);
  t.equal(cuts, 1, how);
  t.equal(said.length, 2, `${how}: one turn more`);
  if (late === "nothing") t.equal(said[1], words, how);
  else t.ok(said[1]?.includes(words), `${how}: "${said[1]}"`);
}

for (const [name, faults] of Object.entries(LATE)) {
  void t.test(`late: ${name}. Our echo neither cuts nor becomes a turn`, async (t) => {
    for (const { line, how } of asked(faults, name === "everything" ? 6 : 2)) {
      line.runToSilence(2, 2_500);
      t.same(outcomeOf(line), { cuts: 0, said: [QUESTION], heard: ["Hello there.", STORY] }, how);
      t.equal(line.call.facts("bargeInRejected").length, 0, `${how}: nor pauses`);
    }
  });
}

for (const name of ["nothing", "everything"] as const) {
  void t.test(`late: ${name}. A caller who talks over the echo is heard, without our words`, async (t) => {
    for (const call of asked(LATE[name], 2)) {
      const { line, seed, how } = call;
      hearAnswer(call, seededRandom(seed).next() * 3_000);
      line.say("Stop right there please.");
      line.runToSilence(3, 1_500);
      isHeard(t, line, "Stop right there please.", name, how);
    }
  });

  void t.test(`late: ${name}. A caller who picks what we have just offered is heard`, async (t) => {
    for (const call of asked(LATE[name], 1, OPTIONS)) {
      const { line, how } = call;
      hearAnswer(call, 3_000);
      line.say("Tuesday at ten");
      line.runToSilence(3, 1_500);
      isHeard(t, line, "Tuesday at ten", name, how);
    }
  });
}

void t.test("a caller as faint as our echo is heard by his words", async (t) => {
  for (const call of asked(LATE.nothing, 1)) {
    const { line, how } = call;
    hearAnswer(call, 500);
    line.say("Hello hello stop right there please I want to ask you something else now", -14);
    line.runToSilence(3, 1_500);
    t.ok(outcomeOf(line).cuts > 0, how);
  }
});
