/** What is left when a node or a control plane is gone: nothing leaks, nothing is owned twice. */
import t, { type Test } from "tap";
import { startCluster } from "./cluster.fixture.js";
import { HUNG_UP, type HeldCall, said } from "./node.fixture.js";
import { openStores, type DirectoryKind, Watched, until } from "./planes.fixture.js";

const stores = await openStores(t);

const cluster = (t: Test, kind: DirectoryKind, overrides = {}) =>
  startCluster(t, stores, { kind, count: 2, overrides });

for (const kind of ["memory", "redis"] as const) {
  void t.test(
    `a killed node's calls are suspended, and ended when nobody resumes them (${kind})`,
    async (t) => {
      const opened = await cluster(t, kind);
      if (opened === null) return;
      const { node, operator, counts, planes } = opened;
      const [a, b] = [await node("node-a", { at: 0 }), await node("node-b", { at: 1 })];
      const calls: HeldCall[] = [];
      for (let i = 0; i < 4; i++) calls.push(await a.begin(`CA${i}`));
      const placed = await a.place({ carrierCallId: "CA-never-confirmed" });
      t.same(await counts(), { tenantCalls: 5, resellerCalls: 5 });
      const all = new Watched(operator.watch("CallService", "WatchCalls", {}));
      const one = new Watched(operator.watch("CallService", "WatchCall", { callId: calls[3]!.callId }));
      a.kill();

      const stateOf = async ({ callId }: HeldCall) =>
        (await operator.call("CallService", "GetCall", { callId })).call?.state;
      await until(
        "the first call to be suspended",
        async () => (await stateOf(calls[0]!)) === "CALL_STATE_SUSPENDED",
      );
      const { callId } = calls[0]!;
      const moved = await b.place({ carrierCallId: "CA0", resume: true, callId });
      t.match(moved, { callId, nodeId: "node-b", resumed: true });
      const resumed = await b.confirm(callId, moved.epoch);
      resumed.nextSequence = 1;
      t.equal(
        (await b.append(resumed, { kind: "callResumed", nodeId: "node-b", gapMs: 2_500, reason: "legLost" }))
          .errorCode,
        "",
      );

      for (const call of calls.slice(1))
        await until("the others to be ended", async () => (await stateOf(call)) === "CALL_STATE_ENDED");
      t.equal(await stateOf(calls[0]!), "CALL_STATE_LIVE");
      t.equal(await one.ends(), "ended", "a watcher of a lost call is let go");
      await until("the watcher of all to know", () =>
        calls
          .slice(1)
          .every((call) =>
            all.heard.some(({ call: told }) => told?.id === call.callId && told.outcome === "nodeLost"),
          ),
      );
      all.cancel();
      const { callId: reserved, epoch } = placed;
      await b.rpc.call("PlacementService", "ReleaseCall", { callId: reserved, epoch });
      t.same(await counts(), { tenantCalls: 1, resellerCalls: 1 });
      const found = planes
        .map(({ plane }) => plane.sweeper.stats.leasesExpired)
        .reduce((sum, count) => sum + count);
      t.equal(found, 4, "each was found by one control plane");
    },
  );
}

void t.test("a dead node's spool still completes the journal of a call that nobody resumed", async (t) => {
  const opened = await cluster(t, "memory");
  if (opened === null) return;
  const { node, operator } = opened;
  const a = await node("node-a");
  const call = await a.begin("CA1");
  a.kill();
  const row = async () => (await operator.call("CallService", "GetCall", { callId: call.callId })).call;
  await until("the call to be ended", async () => (await row())?.outcome === "nodeLost");
  const again = await node("node-a");
  t.match(await again.append(call, said(1), HUNG_UP), { errorCode: "", nextSequence: 3 });
  t.match(await row(), { state: "CALL_STATE_ENDED", outcome: "callerHungUp", callerTurns: 1 });
});

void t.test("a control plane that stops sends its nodes to another, and their calls go on", async (t) => {
  const opened = await cluster(t, "memory");
  if (opened === null) return;
  const { node, planes, operator } = opened;
  const a = await node("node-a", { at: 0 });
  const call = await a.begin("CA1");
  await planes[0]!.stop();
  t.equal(await a.closed, "CONTROL_PLANE_UNREACHABLE");
  const again = await node("node-a", { at: 1, credential: a.credential });
  again.held.set(call.callId, call);
  t.equal((await again.append(call, said(1))).errorCode, "");
  const { lease } = await operator.call("PlacementService", "LookUpCall", { callId: call.callId });
  t.match(lease, { epoch: call.epoch, nodeId: "node-a" });
  await operator.call("CallService", "HangUpCall", { callId: call.callId });
  t.ok(again.heard.some(({ hangUp }) => hangUp?.callId === call.callId));
});

void t.test("a suspended call is hung up by its row, and resumed no more", async (t) => {
  const opened = await cluster(t, "memory", { resumeGraceMs: 60_000 });
  if (opened === null) return;
  const { node, operator } = opened;
  const [a, b] = [await node("node-a"), await node("node-b")];
  const call = await a.begin("CA1");
  a.kill();
  const row = async () => (await operator.call("CallService", "GetCall", { callId: call.callId })).call;
  await until("the call to be suspended", async () => (await row())?.state === "CALL_STATE_SUSPENDED");
  await operator.call("CallService", "HangUpCall", { callId: call.callId });
  t.match(await row(), { state: "CALL_STATE_ENDED", outcome: "operatorHungUp" });
  await t.rejects(b.place({ carrierCallId: "CA1", resume: true, callId: call.callId }), {
    code: "CALL_ENDED",
  });
});
