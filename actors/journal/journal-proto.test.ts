import t from "tap";
import { type AppendJournalRequest__Output, type JournalEvent__Output, packageDefinition } from "#proto";
import { seededRandom } from "#runtime/actor";
import { journalEventFromProto, journalEventToProto } from "#actors/journal";
import { JOURNAL_KINDS, randomJournalEvent } from "./journal.fixture.js";
import type { JournalEvent } from "./journal.js";

const service = packageDefinition["lumentra.control.v1.JournalService"]!;
if ("format" in service) throw new Error("JournalService is no service");
const append = service["AppendJournal"]!;

/** Through the bytes that a node would send. */
function overTheWire(events: readonly JournalEvent[]): readonly JournalEvent__Output[] {
  const bytes = append.requestSerialize({ events: events.map(journalEventToProto) });
  return (append.requestDeserialize(bytes) as AppendJournalRequest__Output).events;
}

function sample(kind: JournalEvent["kind"]): JournalEvent__Output {
  return overTheWire([randomJournalEvent(seededRandom(1), kind)])[0]!;
}

void t.test("every kind of event comes out of its bytes as it went in, null fields included", async (t) => {
  const seed = Number(process.env["SEED"] ?? 20_260_101);
  const random = seededRandom(seed);
  for (const kind of JOURNAL_KINDS) {
    const events = Array.from({ length: 200 }, () => randomJournalEvent(random, kind));
    const read = overTheWire(events).map(journalEventFromProto);
    t.strictSame(read, events, `${kind} (SEED=${seed})`);
  }
});

void t.test("instants keep their fraction and large numbers their last digit", async (t) => {
  const event: JournalEvent = {
    ...randomJournalEvent(seededRandom(2), "callResumed"),
    sequence: Number.MAX_SAFE_INTEGER,
    epoch: 1_790_000_000_001,
    atMs: 123_456.789_012_3,
    atUnixMs: 1_789_999_999_999.999_8,
  };
  t.strictSame(journalEventFromProto(overTheWire([event])[0]!), event);
});

void t.test("an ending that a later version invented is still an ending", async (t) => {
  const message = sample("callEnded");
  const event = journalEventFromProto({
    ...message,
    callEnded: { ...message.callEnded!, outcome: "transferred", code: "" },
  });
  t.match(event, { kind: "callEnded", outcome: { kind: "transferred" } });
});

void t.test("what is not a whole event is refused, and the refusal quotes no words", async (t) => {
  const turn = sample("agentTurn");
  const broken: readonly (readonly [string, JournalEvent__Output])[] = [
    ["no call", { ...turn, callId: "" }],
    ["no time", { ...turn, time: null }],
    ["a sequence that is no number", { ...turn, sequence: Number.NaN }],
    ["a negative epoch", { ...turn, epoch: -1 }],
    ["an endless instant", { ...turn, atMs: Number.POSITIVE_INFINITY }],
    ["no fact", { ...without(turn, "fact"), agentTurn: null }],
    ["a fact of a later version", { ...turn, fact: "transferred" as never }],
    ["a fact without its body", { ...turn, agentTurn: null }],
    ["no words", { ...turn, agentTurn: { ...turn.agentTurn!, pii: null } }],
    ["no ledger", { ...turn, agentTurn: { ...turn.agentTurn!, ledger: null } }],
    ["no source", { ...turn, agentTurn: { ...turn.agentTurn!, source: "AGENT_TURN_SOURCE_UNSPECIFIED" } }],
    ["an unknown cut", { ...turn, agentTurn: { ...turn.agentTurn!, cut: 17 as never } }],
  ];
  for (const [what, message] of broken) {
    t.throws(() => journalEventFromProto(message), { code: "JOURNAL_EVENT_INVALID" }, what);
  }
  const said = { intended: "my card number is", heard: "" };
  try {
    journalEventFromProto({ ...turn, time: null, agentTurn: { ...turn.agentTurn!, pii: said } });
    t.fail("it was read");
  } catch (error) {
    t.notMatch(String(error), /card/);
  }
});

function without<Value extends object, Key extends keyof Value>(value: Value, key: Key): Omit<Value, Key> {
  const { [key]: _dropped, ...rest } = value;
  return rest;
}
