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
    return true;
  });
  journal.record({ kind: "eagerDiscarded", turn: 1 });
  isBroken = true;
  t.throws(() => journal.record({ kind: "eagerDiscarded", turn: 2 }));
  isBroken = false;
  t.equal(journal.record({ kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 1 }), true);
  t.match(written, [{ sequence: 0 }, { kind: "callEnded", sequence: 1 }]);
  t.equal(journal.record({ kind: "eagerDiscarded", turn: 3 }), false, "nothing follows the end");
});

/**
 * A shard whose node does not read drops events at a bound (runtime/cluster/shard-outbox.ts O2), and the numbers went on
 * over those that were dropped. What came after the gap was refused by the store, so that a node that stood still for some
 * seconds cost every busy call the rest of its journal and its end.
 */
void t.test("an event that was dropped takes no number", async (t) => {
  const written: JournalEvent[] = [];
  let isFull = false;
  const journal = new JournalWriter("call-1", 1, 0, new VirtualClock(), (event) => {
    if (!isFull) written.push(event);
    return !isFull;
  });
  journal.record({ kind: "eagerDiscarded", turn: 1 });
  isFull = true;
  t.equal(journal.record({ kind: "eagerDiscarded", turn: 2 }), true);
  isFull = false;
  journal.record({ kind: "eagerDiscarded", turn: 3 });
  journal.record({ kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 1 });
  t.match(written, [
    { turn: 1, sequence: 0 },
    { turn: 3, sequence: 1 },
    { kind: "callEnded", sequence: 2 },
  ]);
  t.equal(written.length, 3);
});
