/** Calls that go on elsewhere: their lease moves, and the old owner writes nothing more. */
import t, { type Test } from "tap";
import { type ClusterOptions, startCluster } from "./cluster.fixture.js";
import { HUNG_UP, said } from "./node.fixture.js";
import { openStores, until } from "./planes.fixture.js";

const stores = await openStores(t);

const cluster = async (t: Test, caps: ClusterOptions["caps"] = {}, count = 1) =>
  (await startCluster(t, stores, { caps, count }))!;

void t.test("a resumed call moves, its old owner is told and can write nothing more", async (t) => {
  const { node, ready, operator } = await cluster(t, {}, 2);
  const [a, b] = [await node("node-a", { at: 0 }), await node("node-b", { at: 1 })];
  await ready("node-a", "node-b");
  const call = await a.begin("CA1");
  await a.append(call, said(1));
  const moved = await b.place({ carrierCallId: "CA1", resume: true, callId: call.callId });
  t.match(moved, { callId: call.callId, nodeId: "node-b", resumed: true });
  t.ok(moved.epoch > call.epoch);
  t.equal(
    (await a.hears(({ leaseLost }) => leaseLost?.callId === call.callId)).leaseLost?.epoch,
    moved.epoch,
  );

  const { events, more } = await b.rpc.call("JournalService", "ReadJournal", { callId: call.callId });
  t.same([events.length, more], [2, false]);
  const resumed = await b.confirm(call.callId, moved.epoch);
  resumed.nextSequence = events.length;
  t.equal(
    (await b.append(resumed, { kind: "callResumed", nodeId: "node-b", gapMs: 800, reason: "legLost" }))
      .errorCode,
    "",
  );
  t.equal((await a.append(call, said(2))).errorCode, "CALL_LEASE_LOST");
  t.equal((await b.append(resumed, HUNG_UP)).errorCode, "");
  t.match((await operator.call("CallService", "GetCall", { callId: call.callId })).call, {
    nodeId: "node-b",
    resumes: 1,
    outcome: "callerHungUp",
  });
  // The old owner's release releases nothing; its lease is gone.
  t.equal(await a.release(call), false);
  t.equal(await b.release(resumed), true);
});

void t.test("a redirect that is repeated at another node resumes nothing a second time", async (t) => {
  const { node, ready } = await cluster(t);
  const nodes = [await node("node-a"), await node("node-b"), await node("node-c")] as const;
  const [a, b, c] = nodes;
  await ready("node-a", "node-b", "node-c");
  const call = await a.begin("CA1");
  await a.append(call, said(1));
  const again = { carrierCallId: "CA1", resume: true, callId: call.callId, resumeAfterEpoch: call.epoch };
  const moved = await b.place(again);
  t.match(moved, { nodeId: "node-b", resumed: true });
  t.same(await c.place(again), moved, "while its media is on its way");
  const resumed = await b.confirm(call.callId, moved.epoch);
  t.match(await c.place(again), { nodeId: "node-b", epoch: moved.epoch }, "and when it has come");
  resumed.nextSequence = 2;
  const event = { kind: "callResumed", nodeId: "node-b", gapMs: 800, reason: "legLost" } as const;
  t.equal((await b.append(resumed, event)).errorCode, "", "it owns the call still");
  const next = await c.place({ ...again, resumeAfterEpoch: moved.epoch });
  t.match(next, { nodeId: "node-c", callId: call.callId });
  t.ok(next.epoch > moved.epoch, "what follows its own media is another matter");
});

void t.test(
  "a call that placement has forgotten is resumed by its journal, above every epoch that wrote",
  async (t) => {
    const { node, ready, loseMemory } = await cluster(t);
    const [a, b] = [await node("node-a"), await node("node-b")];
    await ready("node-a", "node-b");
    const call = await a.begin("CA1");
    // A clock that ran ahead: the epoch in the journal is an hour from now.
    const ahead = { ...call, epoch: call.epoch + 3_600_000 };
    t.equal((await a.append(ahead, said(1))).errorCode, "");
    a.held.clear();
    await loseMemory();
    await ready("node-a", "node-b");
    const moved = await b.place({ carrierCallId: "CA1", resume: true, callId: call.callId });
    t.match(moved, { callId: call.callId, nodeId: "node-b" });
    t.ok(moved.epoch > ahead.epoch);
  },
);

void t.test("a webhook that is repeated because its node died finds another node", async (t) => {
  const { node, ready, operator } = await cluster(t);
  const [a, b] = [await node("node-a"), await node("node-b")];
  await ready("node-a", "node-b");
  const first = await a.place({ carrierCallId: "CA1" });
  t.equal(first.nodeId, "node-a");
  a.kill();
  await until("the node to be lost", async () => {
    const { node: seen } = await operator.call("NodeService", "GetNode", { nodeId: "node-a" });
    return seen?.state === "NODE_STATE_LOST";
  });
  await until("another place", async () => (await b.place({ carrierCallId: "CA1" })).nodeId === "node-b");
  t.equal((await b.place({ carrierCallId: "CA1" })).callId, first.callId);
});
