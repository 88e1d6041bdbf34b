/**
 * Found by the simulator: a shard that could not hand on an event threw out of `record`, the call crashed, and its end was
 * written with a number too high. The store takes no journal with a gap, so the call never ended there.
 */
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import type { JournalEvent } from "#actors/journal";
import { JournalWriter } from "./journal-writer.js";

void t.test("an event that could not be handed on takes no number", async (t) => {
  const written: JournalEvent[] = [];
  let isBroken = false;
  const journal = new JournalWriter("call-1", 1, 0, new VirtualClock(), (event) => {
    if (isBroken) throw new Error("the way out is broken");
    written.push(event);
  });
  journal.record({ kind: "eagerDiscarded", turn: 1 });
  isBroken = true;
  t.throws(() => journal.record({ kind: "eagerDiscarded", turn: 2 }));
  isBroken = false;
  t.equal(journal.record({ kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 1 }), true);
  t.match(written, [{ sequence: 0 }, { kind: "callEnded", sequence: 1 }]);
  t.equal(journal.record({ kind: "eagerDiscarded", turn: 3 }), false, "nothing follows the end");
});
