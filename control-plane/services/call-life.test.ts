/** A call's life as its node and its reseller's operators see it, over two control planes. */
import t from "tap";
import { HUNG_UP, said } from "./node.fixture.js";
import {
  openStores,
  RESELLER,
  Watched,
  openDirectories,
  resellerKey,
  seed,
  startPlanes,
  until,
} from "./planes.fixture.js";

const stores = await openStores(t);

for (const kind of ["memory", "redis"] as const) {
  void t.test(`a call is placed, told, watched from elsewhere, hung up and over (${kind})`, async (t) => {
    const store = await stores.fresh();
    await seed(store);
    const directories = await openDirectories(t, kind, 2);
    if (directories === null) return;
    const { planes, operatorKey, node } = await startPlanes(t, { store, ...directories });
    const a = await node("node-a", { at: 0 });
    const there = planes[1]!.client(await resellerKey(store, RESELLER, ["calls.read", "calls.operate"]));
    const operator = planes[1]!.client(operatorKey);

    const all = new Watched(there.watch("CallService", "WatchCalls", {}));
    await until("the watcher to have the live calls", () => all.heard.some(({ synced }) => synced));
    const call = await a.begin("CA-life");
    await until("the watcher to hear of the call", () =>
      all.heard.some(({ call: told }) => told?.id === call.callId),
    );
    const { lease } = await operator.call("PlacementService", "LookUpCall", { callId: call.callId });
    t.match(lease, { nodeId: "node-a", epoch: call.epoch, tenantId: "dentist", live: true });

    const events = new Watched(there.watch("CallService", "WatchCall", { callId: call.callId }));
    await until("the first event", () => events.heard.length === 1);
    t.match(await a.append(call, said(1, "Do you have parking?"), said(2, "Hello?")), {
      errorCode: "",
      nextSequence: 3,
    });
    await until("what was said", () => events.heard.length === 3);

    await there.call("CallService", "HangUpCall", { callId: call.callId });
    t.match(await a.hears(({ hangUp }) => hangUp?.callId === call.callId), {
      hangUp: { reason: "operator" },
    });
    t.equal((await a.append(call, HUNG_UP)).errorCode, "");
    t.equal(await events.ends(), "ended");
    t.same(
      events.heard.map(({ event }) => event?.sequence),
      [0, 1, 2, 3],
    );
    t.equal(await a.release(call), true);
    t.equal(await a.release(call), false, "once");

    await until("the watcher to hear of the end", () => all.heard.at(-1)?.call?.state === "CALL_STATE_ENDED");
    all.cancel();
    t.match((await there.call("CallService", "GetCall", { callId: call.callId })).call, {
      tenantId: "dentist",
      resellerId: RESELLER,
      state: "CALL_STATE_ENDED",
      outcome: "callerHungUp",
      callerTurns: 2,
      nodeId: "node-a",
    });
    const { turns } = await there.call("CallService", "GetTranscript", { callId: call.callId });
    t.same(
      turns.map(({ pii }) => pii?.text),
      ["Do you have parking?", "Hello?"],
    );
    const { calls } = await there.call("CallService", "ListCalls", {
      tenantId: "dentist",
      state: "CALL_STATE_ENDED",
    });
    t.same(
      calls.map(({ id }) => id),
      [call.callId],
    );
    await t.rejects(there.call("CallService", "HangUpCall", { callId: call.callId }), { code: "CALL_ENDED" });
    await t.rejects(a.place({ carrierCallId: "CA-life", resume: true, callId: call.callId }), {
      code: "CALL_ENDED",
    });
    await t.rejects(operator.call("PlacementService", "LookUpCall", { callId: call.callId }), {
      code: "NOT_FOUND",
    });
    await a.goodbye();
    t.same((await operator.call("NodeService", "ListNodes", {})).nodes, []);
  });
}

void t.test("what is another reseller's is not there, for reading, watching and hanging up", async (t) => {
  const store = await stores.fresh();
  await seed(store);
  const { directories } = (await openDirectories(t, "memory", 1))!;
  const { planes, node } = await startPlanes(t, { store, directories });
  const a = await node("node-a");
  const [ours, theirs] = [await a.begin("CA-ours", "dentist"), await a.begin("CA-theirs", "florist")];
  const rpc = planes[0]!.client(await resellerKey(store, RESELLER, ["calls.read", "calls.operate"]));
  const { callId } = theirs;
  await t.rejects(rpc.call("CallService", "GetCall", { callId }), { code: "NOT_FOUND" });
  await t.rejects(rpc.call("CallService", "GetTranscript", { callId }), { code: "NOT_FOUND" });
  await t.rejects(rpc.call("CallService", "HangUpCall", { callId }), { code: "NOT_FOUND" });
  t.equal(await new Watched(rpc.watch("CallService", "WatchCall", { callId })).ends(), "NOT_FOUND");

  const all = new Watched(rpc.watch("CallService", "WatchCalls", {}));
  const florist = new Watched(rpc.watch("CallService", "WatchCalls", { tenantId: "florist" }));
  await until("both to have the live calls", () =>
    [all, florist].every(({ heard }) => heard.some(({ synced }) => synced)),
  );
  await a.append(theirs, said(1));
  await a.append(ours, said(1));
  await until("ours to be told", () => all.heard.some(({ call }) => call?.callerTurns === 1));
  t.same(new Set(all.heard.flatMap(({ call }) => call?.id ?? [])), new Set([ours.callId]));
  t.same(
    florist.heard.flatMap(({ call }) => call?.id ?? []),
    [],
  );
  all.cancel();
  florist.cancel();
});
