/** Journals over the wire: what is acknowledged is there once and in order, and what may not be written is not. */
import { Client } from "pg";
import t, { type Test } from "tap";
import { journalEventToProto } from "#actors/journal";
import { HUNG_UP, type HeldCall, type TestNode, eventsOf, said, started } from "./node.fixture.js";
import { openStores, openDirectories, seed, startPlanes, until } from "./planes.fixture.js";

const stores = await openStores(t);

async function oneNode(t: Test) {
  const store = await stores.fresh();
  await seed(store);
  const { directories } = (await openDirectories(t, "memory", 1))!;
  const planes = await startPlanes(t, { store: store, directories });
  const a = await planes.node("node-a");
  return { store, ...planes, a };
}

async function sequencesOf(node: TestNode, callId: string): Promise<number[]> {
  const sequences: number[] = [];
  for (;;) {
    const { events, more } = await node.rpc.call("JournalService", "ReadJournal", {
      callId,
      fromSequence: sequences.length,
    });
    sequences.push(...events.map(({ sequence }) => sequence));
    if (!more) return sequences;
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

void t.test(
  "repeats are acknowledged again, gaps and old leases are refused, and the stream goes on",
  async (t) => {
    const { a } = await oneNode(t);
    const call = await a.begin("CA1");
    const { callId, epoch } = call;
    const events = eventsOf(call, 0, [started(call, "node-a"), said(1), said(2), said(3)]);
    t.match(await a.send(callId, epoch, events.slice(1, 3)), { errorCode: "", nextSequence: 3 });
    t.match(await a.send(callId, epoch, events.slice(0, 2)), { errorCode: "", nextSequence: 3 }, "a repeat");
    t.match(
      await a.send(callId, epoch, events.slice(1)),
      { errorCode: "", nextSequence: 4 },
      "half a repeat",
    );
    t.match(await a.send(callId, epoch, eventsOf(call, 6, [said(6)])), {
      errorCode: "JOURNAL_GAP",
      nextSequence: 4,
    });

    const newer = { callId, epoch: epoch + 1 };
    t.match(await a.send(callId, epoch + 1, eventsOf(newer, 4, [said(4)])), {
      errorCode: "",
      nextSequence: 5,
    });
    t.match(await a.send(callId, epoch, eventsOf(call, 5, [said(5)])), { errorCode: "CALL_LEASE_LOST" });
    t.match(await a.send(callId, epoch + 1, eventsOf(newer, 5, [HUNG_UP])), {
      errorCode: "",
      nextSequence: 6,
    });
    t.match(await a.send(callId, epoch + 1, eventsOf(newer, 6, [said(6)])), { errorCode: "CALL_ENDED" });
    t.match(
      await a.send(callId, epoch + 1, eventsOf(newer, 5, [HUNG_UP])),
      { errorCode: "" },
      "a repeat of the end",
    );
    t.same(await sequencesOf(a, callId), upTo(6));

    const other = await a.begin("CA2");
    t.match(await a.append(other, said(1)), { errorCode: "", nextSequence: 2 });
  },
);

void t.test("a batch that is not as it must be is set aside, by itself", async (t) => {
  const { a } = await oneNode(t);
  const call = await a.begin("CA1");
  const { callId, epoch } = call;
  const refused = { errorCode: "JOURNAL_EVENT_INVALID" };
  t.match(await a.send(callId, epoch, []), refused, "empty");
  const [one, two] = [eventsOf(call, 1, [said(1)]), eventsOf(call, 3, [said(3)])];
  t.match(await a.send(callId, epoch, [...one, ...two]), refused, "a gap inside");
  t.match(await a.send("another-call", epoch, one), refused, "of another call");
  t.match(
    await a.send("another-call", epoch, eventsOf({ callId: "another-call", epoch }, 0, [said(1)])),
    refused,
    "no beginning",
  );
  const facts = Array.from({ length: 501 }, (_, i) => said(i));
  t.match(await a.send(callId, epoch, eventsOf(call, 1, facts)), refused, "too long");
  t.match(await a.append(call, said(1)), { errorCode: "", nextSequence: 2 });
});

void t.test("batches sent without waiting are stored in order, call by call, and all answered", async (t) => {
  const { a } = await oneNode(t);
  const calls: HeldCall[] = [];
  for (let i = 0; i < 8; i++) calls.push(await a.begin(`CA${i}`));
  const acks = await Promise.all(
    Array.from({ length: 60 }, (_, i) => i).flatMap((i) =>
      calls.map((call) => a.append(call, said(2 * i), said(2 * i + 1))),
    ),
  );
  t.same(new Set(acks.map(({ errorCode }) => errorCode)), new Set([""]));
  for (const { callId } of calls) t.same(await sequencesOf(a, callId), upTo(121));
  t.equal(new Set(a.acks.map(({ batchId }) => batchId)).size, a.acks.length, "each once");
  await a.endJournal();
});

void t.test("a long journal is read in parts", async (t) => {
  const { a } = await oneNode(t);
  const call = await a.begin("CA1");
  for (let i = 0; i < 4; i++) await a.append(call, ...Array.from({ length: 400 }, (_, n) => said(n)));
  const { events, more } = await a.rpc.call("JournalService", "ReadJournal", { callId: call.callId });
  t.same([events.length, more], [1_000, true]);
  t.same(await sequencesOf(a, call.callId), upTo(1_601));
  await t.rejects(a.rpc.call("JournalService", "ReadJournal", { callId: "nobody's" }), { code: "NOT_FOUND" });
});

void t.test("a node that sends more than is stored is held back, not forgotten", async (t) => {
  const { a } = await oneNode(t);
  const call = await a.begin("CA1");
  // Nothing of the call is stored while somebody holds its row.
  const owner = new Client({ connectionString: stores.ownerUrl });
  await owner.connect();
  await owner.query(`BEGIN; SET LOCAL lumentra.scope = 'system'; SELECT FROM lumentra.calls FOR UPDATE`);
  const batches = 3_000;
  const acked: number[] = [];
  let taken = 0;
  const stream = a.rpc.connect("JournalService", "AppendJournal");
  stream.on("data", ({ batchId, errorCode }) => acked.push(errorCode === "" ? batchId : -1));
  stream.on("error", () => {}); // the test ends before it
  for (let i = 1; i <= batches; i++) {
    const events = eventsOf(call, i, [said(i, "x".repeat(2_000))]).map(journalEventToProto);
    stream.write({ batchId: i, callId: call.callId, epoch: call.epoch, events }, () => taken++);
  }
  let before = -1;
  await until("the transport to take no more", async () => {
    if (taken > 0 && taken === before) return true;
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return false;
  });
  t.ok(taken < batches / 2, `${taken} of ${batches} were taken`);
  t.same(acked, []);
  await owner.query("ROLLBACK");
  await owner.end();
  await until("all to be acknowledged", () => acked.length === batches);
  t.same(
    acked,
    Array.from({ length: batches }, (_, i) => i + 1),
  );
  t.same((await sequencesOf(a, call.callId)).length, batches + 1);
  stream.end();
});

void t.test(
  "Postgres is restarted while journals are appended: what was acknowledged is there once",
  async (t) => {
    const { a, planes, operatorKey } = await oneNode(t);
    const calls: HeldCall[] = [];
    for (let i = 0; i < 6; i++) calls.push(await a.begin(`CA${i}`));
    const acknowledged = new Map(calls.map(({ callId }) => [callId, 1]));
    const codes = new Set<string>();
    const run = { isOver: false };
    // As a node's spool does it: in order, again from where the answer says.
    const write = async (call: HeldCall): Promise<void> => {
      while (!run.isOver || acknowledged.get(call.callId)! < 40) {
        const from = acknowledged.get(call.callId)!;
        const { errorCode, nextSequence } = await a.send(
          call.callId,
          call.epoch,
          eventsOf(call, from, [said(from), said(from + 1)]),
        );
        codes.add(errorCode);
        if (errorCode === "") acknowledged.set(call.callId, nextSequence);
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const writing = Promise.all(calls.map(write));
    await until("some to be there", () => [...acknowledged.values()].every((count) => count > 10));
    await stores.restart();
    await until("more to be there", () => [...acknowledged.values()].every((count) => count > 30));
    run.isOver = true;
    await writing;
    t.same([...codes].sort(), ["", "STORE_UNAVAILABLE"], "it was away, and the stream outlived it");
    for (const { callId } of calls) t.same(await sequencesOf(a, callId), upTo(acknowledged.get(callId)!));
    const { calls: rows } = await planes[0]!
      .client(operatorKey)
      .call("CallService", "ListCalls", { state: "CALL_STATE_LIVE" });
    t.equal(rows.length, 6);
  },
);
