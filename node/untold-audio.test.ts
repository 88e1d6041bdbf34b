/** What of the caller's audio a journal tells, and what the next owner has to listen to again. */
import t from "tap";
import type { JournalEvent, JournalFact } from "#actors/journal";
import { untoldAudio } from "./untold-audio.js";

const EPOCH = 3;
const CUT_BY_MS = 800;
const NEVER = Number.POSITIVE_INFINITY;

type Told = readonly [atMs: number, fact: object, epoch?: number];

function journalOf(...facts: readonly Told[]): JournalEvent[] {
  return facts.map(([atMs, fact, epoch = EPOCH], sequence): JournalEvent => {
    const base = { callId: "call-1", sequence, epoch, atMs, atUnixMs: atMs };
    return { ...base, ...(fact as JournalFact) };
  });
}

const started = { kind: "callStarted" };
const greets = { kind: "agentProgress", source: "greeting", turn: 0 };
const greeted = { kind: "agentTurn", source: "greeting", turn: 0, cut: null };
const progress = (throughAtMs: number | null, isOpen = false) => ({
  kind: "callerProgress",
  turn: 1,
  throughAtMs,
  isOpen,
});
const replies = { kind: "agentProgress", source: "model", turn: 1 };
const replied = { kind: "agentTurn", source: "model", turn: 1, cut: null };

void t.test("behind the last word that is told everything is untold", async (t) => {
  const untold = untoldAudio(
    journalOf([0, started], [10, greets], [900, greeted], [3_000, progress(2_000)]),
    EPOCH,
  );
  t.match(untold, { toldMs: 2_000, untilMs: NEVER, againMs: 2_000 });
  t.ok(untold.fromMs < 2_000, "and a little before, so that no word is begun in its middle");
});

void t.test("a journal that tells no position tells when it was written", async (t) => {
  for (const throughAtMs of [null, undefined]) {
    const journal = journalOf([0, started], [3_000, progress(throughAtMs as null)]);
    t.match(untoldAudio(journal, EPOCH), { toldMs: 3_000, againMs: 3_000 });
  }
});

void t.test("what came while the agent spoke is left out, what came before and after is not", async (t) => {
  const told = [
    [0, started],
    [10, greets],
    [900, greeted],
    [3_000, progress(2_000)],
  ] as const;
  const speaking = [...told, [3_500, replies], [4_000, replies]] as const;
  t.match(untoldAudio(journalOf(...speaking), EPOCH), { toldMs: 2_000, untilMs: 3_500, againMs: NEVER });
  const played = [...speaking, [5_000, replied]] as const;
  t.match(untoldAudio(journalOf(...played), EPOCH), { untilMs: 3_500, againMs: 5_000 });
  const cut = [...speaking, [5_000, { ...replied, cut: "bargeIn" }], [5_100, { kind: "bargeIn" }]] as const;
  t.match(untoldAudio(journalOf(...cut), EPOCH), { untilMs: 3_500, againMs: 5_100 - CUT_BY_MS });
});

void t.test("words that came over the reply move what is told, and not when it began", async (t) => {
  const journal = journalOf(
    [0, started],
    [3_000, progress(2_000)],
    [3_500, replies],
    [4_000, progress(2_800, true)],
  );
  t.match(untoldAudio(journal, EPOCH), { toldMs: 2_800, untilMs: 3_500 });
  // The last of them ended as the reply began: there is nothing between the two.
  const ends = journalOf([0, started], [3_500, replies], [4_000, progress(3_600, true)], [4_200, replies]);
  t.match(untoldAudio(ends, EPOCH), { toldMs: 3_600, untilMs: 3_600, againMs: NEVER });
});

void t.test("instants of other legs and machines say nothing of this one", async (t) => {
  const resumed = { kind: "callResumed", reason: "legLost" };
  const journal = journalOf([50_000, progress(49_000), 2], [1_000, resumed], [1_010, replies]);
  t.match(untoldAudio(journal, EPOCH), { toldMs: 1_000, untilMs: 1_010, againMs: NEVER });
  t.match(untoldAudio(journalOf([50_000, progress(49_000), 2]), EPOCH), { fromMs: NEVER, againMs: NEVER });
});

void t.test(
  "an owner that dies before it has heard anything leaves as much to the next as it got",
  async (t) => {
    const crashed = { kind: "callResumed", reason: "actorCrashed" };
    const journal = journalOf([0, started], [3_000, progress(2_000)], [3_200, crashed]);
    t.match(untoldAudio(journal, EPOCH), { toldMs: 2_000, untilMs: NEVER, againMs: 2_000 });
  },
);
