import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import { createMetrics } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { JournalGate } from "./journal-gate.js";
import { JournalStore } from "./journal-store.js";

const CALL = { callId: "call-1", epoch: 1, startedAtUnixMs: 0 };

function gate(t: Test) {
  const clock = new VirtualClock();
  const metrics = createMetrics({ thread: "main" });
  t.teardown(() => metrics.close());
  const journals = new JournalStore();
  const sent: JournalEvent[] = [];
  const journal = new JournalGate({ clock, metrics, journals, onJournal: (event) => sent.push(event) });
  const writes = (fields: object, tenure = 0): void =>
    journal.take(
      {
        kind: "dtmf",
        pii: { digit: "1" },
        callId: CALL.callId,
        atMs: 0,
        atUnixMs: 0,
        ...fields,
      } as JournalEvent,
      tenure,
    );
  const counted = async (name: string): Promise<number> => {
    const line = (await metrics.registry.metrics()).split("\n").find((found) => found.startsWith(name));
    return Number(line?.split(" ").at(-1) ?? 0);
  };
  return { journal, journals, sent, writes, counted };
}

void t.test("a former owner's words and an earlier actor's go nowhere, and are counted", async (t) => {
  const { journal, journals, sent, writes, counted } = gate(t);
  writes({ epoch: 1, sequence: 0 });
  journal.fence(CALL.callId, 3);
  writes({ epoch: 2, sequence: 1 });
  writes({ epoch: 3, sequence: 1 });
  journal.fenceTenure(CALL.callId, 3, 1);
  writes({ epoch: 3, sequence: 2 });
  writes({ epoch: 3, sequence: 2 }, 1);
  const written = [
    { epoch: 1, sequence: 0 },
    { epoch: 3, sequence: 1 },
    { epoch: 3, sequence: 2 },
  ];
  t.match(sent, written);
  t.match(journals.get(CALL.callId), written, "both get the same");
  t.equal(await counted('lumentra_journal_events_total{result="fenced"'), 2);
});

/**
 * Found by the simulator: a call's shard died, its next actor here went on; then its socket was cut, and the call came back to
 * this node under a new lease. Its actor was the first of that, and all that it wrote was refused as an earlier one's.
 */
void t.test("a call that comes back under another lease counts its actors anew", async (t) => {
  const { journal, sent, writes, counted } = gate(t);
  writes({ epoch: 3, sequence: 0 });
  journal.fenceTenure(CALL.callId, 3, 1);
  writes({ epoch: 3, sequence: 1 }, 1);
  journal.fence(CALL.callId, 4);
  writes({ epoch: 4, sequence: 2 });
  writes({ epoch: 3, sequence: 2 }, 1);
  journal.fenceTenure(CALL.callId, 4, 1);
  writes({ epoch: 4, sequence: 3 });
  writes({ epoch: 4, sequence: 3 }, 1);
  t.match(sent, [
    { epoch: 3, sequence: 0 },
    { epoch: 3, sequence: 1 },
    { epoch: 4, sequence: 2 },
    { epoch: 4, sequence: 3 },
  ]);
  t.equal(await counted('lumentra_journal_events_total{result="fenced"'), 2);
});

void t.test("a call is ended once, whoever writes it, and counted by who does", async (t) => {
  const { journal, sent, writes, counted } = gate(t);
  const ended = 'lumentra_calls_ended_total{outcome="shardLost"';
  writes({ epoch: 1, sequence: 0 });
  journal.complete(CALL, { kind: "shardLost" });
  t.match(sent.at(-1), { kind: "callEnded", sequence: 1, outcome: { kind: "shardLost" } });
  journal.complete(CALL, { kind: "shardLost" });
  t.equal(sent.length, 2);
  t.equal(await counted(ended), 1);
  journal.writeEnd({ ...CALL, callId: "call-2" }, { kind: "shardLost" });
  t.equal(sent.length, 3, "another call's");
  t.equal(await counted(ended), 1, "which was counted before");
});

void t.test("an end of ours is refused like any other when the call is another owner's", async (t) => {
  const { journal, sent } = gate(t);
  journal.fence(CALL.callId, 2);
  journal.complete(CALL, { kind: "legLost" });
  t.equal(sent.length, 0);
});

/**
 * Found by the simulator: a shard stood still for 1.8 s, the leg of a call was cut meanwhile, and the call was ended as there was
 * no slot to go on in. Then the shard moved again, and its actor wrote on behind the end, under the end's own sequence.
 */
void t.test("what an actor writes of a call that was ended in its stead goes nowhere", async (t) => {
  const { journal, sent, writes, counted } = gate(t);
  writes({ epoch: 1, sequence: 0 });
  journal.complete(CALL, { kind: "legLost" });
  writes({ epoch: 1, sequence: 1 });
  writes({ epoch: 1, sequence: 2, kind: "legLost" });
  t.match(sent, [{ sequence: 0 }, { sequence: 1, kind: "callEnded" }]);
  t.equal(await counted('lumentra_journal_events_total{result="fenced"'), 2);
});
