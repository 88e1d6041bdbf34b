/** Placement by a control plane whose stream is not up: questions that nobody else can answer. */
import t, { type Test } from "tap";
import { SystemClock } from "#runtime/actor";
import { RpcClient } from "#runtime/rpc";
import { createLogger } from "#runtime/telemetry";
import { FakeControlPlane } from "./control-plane.fixture.js";
import { LocalPlacement } from "./placement.js";
import { RemotePlacement } from "./remote-placement.js";

const NODE = "node-b";
const CALL = {
  carrier: "twilio",
  carrierCallId: "CA1",
  tenantId: "acme",
  tenantCap: 10,
  pii: { from: "+15550000001", to: "+15550000002" },
};

async function start(t: Test) {
  const plane = new FakeControlPlane();
  await plane.start();
  t.teardown(() => plane.stop());
  plane.nodes.set(NODE, { mediaUrl: "ws://here", stream: null, draining: false });
  const clock = new SystemClock();
  const rpc = new RpcClient({ target: plane.target, security: { insecure: false } });
  t.teardown(() => rpc.close());
  const local = new LocalPlacement(clock);
  const placement = new RemotePlacement({
    local,
    rpc,
    isUp: () => false,
    nodeId: NODE,
    region: NODE,
    clock,
    onLeaseLost: () => {},
    onUnknown: () => {},
    log: createLogger({ level: "silent", name: "test" }),
  });
  return { plane, local, placement };
}

void t.test("another node's call goes on here although the stream is down", async (t) => {
  const { plane, placement } = await start(t);
  const resume = { callId: "c1", afterEpoch: 5 };
  t.match(await placement.place({ ...CALL, resume }), { kind: "here", callId: "c1", resumed: true });
  t.match(plane.leases.get("c1"), { nodeId: NODE });
  const given = plane.leases.get("c1")!.epoch;
  t.match(await placement.claim("c1"), { callId: "c1", epoch: given, tenantId: "acme" });
});

void t.test("it is asked for again while no control plane answers", async (t) => {
  const { plane, placement } = await start(t);
  plane.stop();
  const placed = placement.place({ ...CALL, resume: { callId: "c1", afterEpoch: 5 } });
  const claimed = placement.claim("c2");
  const pii = CALL.pii;
  plane.leases.set("c2", { ...CALL, callId: "c2", epoch: 7, nodeId: NODE, pii, live: false });
  await plane.start();
  t.match(await placed, { kind: "here", callId: "c1" });
  t.match(await claimed, { callId: "c2", epoch: 7 });
});

void t.test("what the node knows itself waits for nobody", async (t) => {
  const { plane, placement } = await start(t);
  const first = placement.place({ ...CALL, resume: null });
  t.match(first, { kind: "here", path: "local" }, "a new call, at once");
  const { callId, epoch } = first as { callId: string; epoch: number };
  t.match(placement.place({ ...CALL, resume: { callId, afterEpoch: epoch } }), { kind: "here", callId });
  t.equal(plane.leases.size, 0);
});
