/** A directory that lost its memory is told everything again: nothing is lost, nothing is owned twice. */
import t, { type Test } from "tap";
import { startCluster } from "./cluster.fixture.js";
import { type HeldCall, said } from "./node.fixture.js";
import { openStores, type DirectoryKind, until } from "./planes.fixture.js";

const stores = await openStores(t);

const cluster = (t: Test, kind: DirectoryKind, overrides = {}) =>
  startCluster(t, stores, { kind, count: 2, overrides });

for (const kind of ["memory", "redis"] as const) {
  void t.test(
    `the directory loses its memory under live calls: none is lost, none is placed twice (${kind})`,
    async (t) => {
      const opened = await cluster(t, kind);
      if (opened === null) return;
      const { node, loseMemory, counts, operator } = opened;
      const [a, b] = [
        await node("node-a", { at: 0, capacityCalls: 20 }),
        await node("node-b", { at: 1, capacityCalls: 20 }),
      ];
      const calls: HeldCall[] = [];
      // The other one drained: a node that asks keeps its calls only while it is hardly fuller than the others.
      await operator.call("NodeService", "DrainNode", { nodeId: "node-a" });
      for (let i = 0; i < 4; i++) calls.push(await b.begin(`CA-b${i}`));
      await operator.call("NodeService", "UndrainNode", { nodeId: "node-a" });
      await operator.call("NodeService", "DrainNode", { nodeId: "node-b" });
      for (let i = 0; i < 4; i++) calls.push(await a.begin(`CA-a${i}`));
      const leaving = await a.place({ carrierCallId: "CA-waiting" });
      t.ok(leaving.callId);
      await loseMemory();

      await until("every lease to be known again", async () => (await counts()).tenantCalls === 8);
      for (const call of calls) {
        const { lease } = await operator.call("PlacementService", "LookUpCall", { callId: call.callId });
        t.match(lease, {
          epoch: call.epoch,
          nodeId: call.carrierCallId.startsWith("CA-a") ? "node-a" : "node-b",
        });
      }
      // Repeated webhooks of live calls find them, and no slot is given twice.
      await until("placement to answer again", async () => {
        const again = await a.place({ carrierCallId: "CA-b0" }).catch(() => null);
        return again?.callId === calls[0]!.callId;
      });
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) => a.place({ carrierCallId: `CA-new${i}` })),
      );
      const placed = answers.filter(({ refusal }) => refusal === "PLACEMENT_REFUSAL_UNSPECIFIED");
      t.equal(placed.length, 16, "the slots left on node-a: node-b is drained still");
      t.same(await counts(), { tenantCalls: 24, resellerCalls: 24 });
      for (const call of calls)
        t.equal((await (call.carrierCallId.startsWith("CA-a") ? a : b).append(call, said(1))).errorCode, "");
      for (const call of calls) await (call.carrierCallId.startsWith("CA-a") ? a : b).release(call);
      for (const { callId, epoch } of placed)
        await a.rpc.call("PlacementService", "ReleaseCall", { callId, epoch });
      t.same(await counts(), { tenantCalls: 0, resellerCalls: 0 });
    },
  );
}

void t.test("a call whose owner died while the directory had no memory is found by its row", async (t) => {
  const opened = await cluster(t, "memory", { reconcileMs: 300 });
  if (opened === null) return;
  const { node, loseMemory, operator, planes } = opened;
  const a = await node("node-a");
  const call = await a.begin("CA1");
  a.kill();
  await loseMemory();
  await until("the call to be ended", async () => {
    const { call: row } = await operator.call("CallService", "GetCall", { callId: call.callId });
    return row?.state === "CALL_STATE_ENDED" && row.outcome === "nodeLost";
  });
  t.ok(planes.some(({ plane }) => plane.sweeper.stats.callsReconciled > 0));
});
