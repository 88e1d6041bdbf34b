import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";
import { VoiceActivity } from "#actors/speech";
import { AudioInstants } from "./audio-instants.js";
import { CallerTurn } from "./caller-turn.js";
import { History } from "./history.js";
import { JournalWriter } from "./journal-writer.js";
import { Listener } from "./listener.js";

function begun() {
  const events: JournalEvent[] = [];
  const history = new History("");
  const callerTurn = new CallerTurn({
    vad: new VoiceActivity(MULAW_8K),
    listener: new Listener(),
    instants: new AudioInstants(),
    history,
    journal: new JournalWriter("call", 1, 0, new VirtualClock(), (event) => {
      events.push(event);
      return true;
    }),
  });
  const told = () =>
    events.map((event) =>
      event.kind === "callerTurn" || event.kind === "callerProgress"
        ? `${event.kind} ${event.turn} ${event.pii.said}`
        : event.kind,
    );
  return { callerTurn, history, told };
}

void t.test("a turn is told as progress while it waits for its answer, then recorded once", async (t) => {
  const { callerTurn, history, told } = begun();
  const said = callerTurn.take("book a table");
  callerTurn.recordProgress(said);
  t.ok(callerTurn.record(said));
  t.notOk(callerTurn.record(said), "a tool ran, then the answer began");
  callerTurn.recordProgress(said);
  t.same(told(), ["callerProgress 1 book a table", "callerTurn 1 book a table"]);
  t.match(history.messages("").at(-1), { role: "user", content: "book a table" });
  t.equal(callerTurn.number, 1);
});

void t.test(
  "words whose answer is not wanted join those that follow, unless they are recorded",
  async (t) => {
    const { callerTurn, told } = begun();
    callerTurn.carry(callerTurn.take("book a table"));
    t.ok(callerTurn.isAnswerOwed);
    t.equal(callerTurn.withCarried("for two"), "book a table for two");
    const said = callerTurn.take("for two");
    t.notOk(callerTurn.isAnswerOwed);
    callerTurn.record(said);
    callerTurn.carry(said);
    t.equal(callerTurn.take("please"), "please", "a tool ran for the first: they are in the history");
    t.same(told(), ["callerTurn 1 book a table for two"]);
  },
);

void t.test("at the end of the call all that no turn has taken is one", async (t) => {
  const ends: Readonly<Record<string, (callerTurn: CallerTurn) => void>> = {
    "callerTurn 1 yes please": (callerTurn) => callerTurn.recordLast(callerTurn.take("yes"), "please"),
    "callerTurn 1 no thanks": (callerTurn) => {
      callerTurn.carry(callerTurn.take("no"));
      callerTurn.recordLast(null, "thanks");
    },
    "callerTurn 2 bye": (callerTurn) => {
      const said = callerTurn.take("well");
      callerTurn.record(said);
      callerTurn.recordLast(said, "bye");
    },
  };
  for (const [last, end] of Object.entries(ends)) {
    const { callerTurn, told } = begun();
    end(callerTurn);
    t.equal(told().at(-1), last);
  }
  const { callerTurn, told } = begun();
  callerTurn.recordLast(null, "");
  t.same(told(), [], "nothing was said");
});

void t.test("what another owner took is owed, and recorded unless it had done so", async (t) => {
  for (const owed of ["book a table", ""]) {
    const { callerTurn, told } = begun();
    callerTurn.takeUp(4, 0, null);
    callerTurn.owe(owed);
    callerTurn.recordProgress(owed);
    callerTurn.record(owed);
    const asked = ["callerProgress 5 book a table", "callerTurn 5 book a table"];
    t.same(told(), owed === "" ? [] : asked);
  }
});
