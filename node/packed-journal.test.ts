import t from "tap";
import { seededRandom } from "#runtime/actor";
import type { JournalEvent } from "#actors/journal";
import { JOURNAL_KINDS, randomJournalEvent } from "../actors/journal/journal.fixture.js";
import { EVENTS_PER_CALL_MAX, JournalStore } from "./journal-store.js";
import { BLOCK_EVENTS, PackedJournal } from "./packed-journal.js";

const callId = "7f512aa4-3fc6-4c06-b23e-90cfb165ecb0";

void t.test("what is read is what was appended, of every kind, wherever blocks end", async (t) => {
  const seed = Number(process.env["SEED"] ?? 20_260_101);
  const random = seededRandom(seed);
  const journal = new PackedJournal();
  const events: JournalEvent[] = [];
  for (const kind of [...JOURNAL_KINDS, ...JOURNAL_KINDS]) {
    for (let i = 0; i < 3; i++) {
      const event = { ...randomJournalEvent(random, kind), callId };
      events.push(event);
      journal.append(event);
    }
    t.strictSame(journal.events(), events, `SEED=${seed}`);
    if (kind === "dtmf") journal.pack();
  }
  t.equal(journal.count, events.length);
  journal.pack();
  journal.pack();
  t.strictSame(journal.events(), events);
});

/** One turn of somebody who talks: what he said, what he got, when. */
function turn(turn: number, sequence: number): JournalEvent[] {
  const random = seededRandom(turn + 1);
  const atMs = 36_434_950 + turn * 4_000;
  const at = (ms: number): number => atMs + ms + Math.floor(random.next() * 1e6) / 1e6;
  const head = { callId, epoch: 1_795_305_812_697, atUnixMs: 1_795_305_816_407 + turn * 4_000 };
  const words = Array.from({ length: 8 }, () => Math.floor(random.next() * 1e6).toString(36)).join(" ");
  const ledger = {
    speechEndAtMs: at(0),
    sttInterimAtMs: at(100),
    sttFinalAtMs: at(110),
    llmStartAtMs: at(111),
    eagerStartAtMs: null,
    llmFirstTokenAtMs: at(311),
    ttsFirstAudioAtMs: at(351),
    committedAtMs: at(110),
    firstByteSentAtMs: at(352),
    voiceToVoiceMs: random.next() * 400,
  };
  const pii = { intended: words, heard: words };
  const said = { said: `please say ${words}` };
  return [
    { ...head, sequence, atMs: at(110), kind: "callerTurn", turn, throughAtMs: at(0), pii: said },
    {
      ...head,
      sequence: sequence + 1,
      atMs: at(352),
      kind: "agentProgress",
      turn,
      source: "model",
      whole: true,
      pii,
    },
    {
      ...head,
      sequence: sequence + 2,
      atMs: at(3_000),
      kind: "agentTurn",
      turn,
      source: "model",
      cut: null,
      ledger,
      pii,
    },
  ];
}

void t.test(
  "an hour of talk takes less than a quarter of its text, and grows by no more than that",
  async (t) => {
    const journal = new PackedJournal();
    let textBytes = 0;
    for (let i = 0; i < 16 * 20; i++) {
      for (const event of turn(i, i * 3)) {
        textBytes += JSON.stringify(event).length;
        journal.append(event);
      }
    }
    t.equal(journal.count % BLOCK_EVENTS, 0, "nothing is left over: the comparison is of all of it");
    t.ok(journal.packedBytes < textBytes / 4, `${journal.packedBytes} of ${textBytes} bytes`);
  },
);

void t.test(
  "a journal at its bound keeps its beginning and its end, says so, and is not whole",
  async (t) => {
    const store = new JournalStore(2);
    const random = seededRandom(3);
    const write = (kind: JournalEvent["kind"], sequence: number): void =>
      store.append({ ...randomJournalEvent(random, kind), callId, sequence });
    write("callStarted", 0);
    for (let i = 1; i < EVENTS_PER_CALL_MAX; i++) write("eagerDiscarded", i);
    t.equal(store.whole(callId)?.length, EVENTS_PER_CALL_MAX);
    write("callerTurn", EVENTS_PER_CALL_MAX);
    t.equal(store.whole(callId), null);
    t.equal(store.droppedCount, 1);
    t.equal(store.nextSequence(callId), EVENTS_PER_CALL_MAX + 1);
    t.notOk(store.isComplete(callId));
    write("callEnded", EVENTS_PER_CALL_MAX + 1);
    t.ok(store.isComplete(callId));
    t.match(store.ends(callId), { first: { kind: "callStarted" }, last: { kind: "callEnded" } });
    t.equal(store.get("CA1")?.length, EVENTS_PER_CALL_MAX + 1, "by the carrier's id as well");
    t.equal(store.liveCount, 0);
  },
);

void t.test("what a call's shard still had to say when the call was let go joins its journal", async (t) => {
  const store = new JournalStore(2);
  const random = seededRandom(4);
  const event = (kind: JournalEvent["kind"], sequence: number): JournalEvent => ({
    ...randomJournalEvent(random, kind),
    callId,
    sequence,
  });
  const events = [event("callStarted", 0), event("callerTurn", 1), event("callEnded", 2)];
  for (const one of events.slice(0, 2)) store.append(one);
  store.release(callId);
  store.release(callId);
  store.append(events[2]!);
  t.strictSame(store.get(callId), events);
  t.equal(store.liveCount, 0);
  store.release("unheard-of");
  t.equal(store.ends("unheard-of"), null);
  t.strictSame(store.get("unheard-of"), []);
});
