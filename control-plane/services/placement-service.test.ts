/** Placement over the wire: caps, repeats, drain, region, suspension. */
import t, { type Test } from "tap";
import { type ClusterOptions, startCluster } from "./cluster.fixture.js";
import { TestNode, said } from "./node.fixture.js";
import {
  openStores,
  BOOTSTRAP_TOKEN,
  configOf,
  openDirectories,
  seed,
  startPlanes,
  until,
} from "./planes.fixture.js";

const stores = await openStores(t);

const cluster = async (t: Test, caps: ClusterOptions["caps"] = {}, count = 1) =>
  (await startCluster(t, stores, { caps, count }))!;

for (const kind of ["memory", "redis"] as const) {
  void t.test(
    `of 200 offered at once to two control planes, 50 are placed at a cap of 50 (${kind})`,
    async (t) => {
      const store = await stores.fresh();
      await seed(store, { tenant: 50 });
      const opened = await openDirectories(t, kind, 2);
      if (opened === null) return;
      const { node } = await startPlanes(t, { store, ...opened });
      const [a, b] = [await node("node-a", { at: 0 }), await node("node-b", { at: 1 })];
      const place = (carrierCallId: string, at: TestNode) => at.place({ carrierCallId });
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, i) => place(`CA${i}`, i % 2 ? a : b)),
      );
      const placed = answers.filter(({ refusal }) => refusal === "PLACEMENT_REFUSAL_UNSPECIFIED");
      t.equal(placed.length, 50);
      t.equal(new Set(placed.map(({ callId }) => callId)).size, 50);
      t.equal(answers.filter(({ refusal }) => refusal === "PLACEMENT_REFUSAL_TENANT_CAP").length, 150);
      t.same(await opened.directories[0]!.counts("dentist", "acme"), { tenantCalls: 50, resellerCalls: 50 });
      // A place that is given back is there for the next, and for one only.
      const { callId, epoch } = placed[0]!;
      await a.rpc.call("PlacementService", "ReleaseCall", { callId, epoch });
      t.equal((await place("CA-next", a)).refusal, "PLACEMENT_REFUSAL_UNSPECIFIED");
      t.equal((await place("CA-over", a)).refusal, "PLACEMENT_REFUSAL_TENANT_CAP");
    },
  );
}

/**
 * A node that was welcomed asked for its first call before its first report was stored, and its caller was refused:
 * "no capacity", by a node that had all of it. Seen where the machine was busy, at a cluster's very first call.
 */
void t.test("a node gets its first call right after the welcome, before any report", async (t) => {
  const { node } = await cluster(t);
  const a = await node("node-a", { helloOnly: true });
  t.match(await a.place({ carrierCallId: "CA1" }), {
    refusal: "PLACEMENT_REFUSAL_UNSPECIFIED",
    nodeId: "node-a",
  });
});

void t.test("the reseller's cap holds over its tenants, and is nobody else's", async (t) => {
  const { node } = await cluster(t, { reseller: 3 });
  const a = await node("node-a");
  const refusals: string[] = [];
  for (const [index, tenantId] of ["dentist", "plumber", "dentist", "plumber", "florist"].entries())
    refusals.push((await a.place({ carrierCallId: `CA${index}`, tenantId })).refusal);
  const placed = "PLACEMENT_REFUSAL_UNSPECIFIED";
  t.same(refusals, [placed, placed, placed, "PLACEMENT_REFUSAL_RESELLER_CAP", placed]);
});

void t.test("a changed cap and a suspension are in force with the change", async (t) => {
  const { node, store } = await cluster(t, { tenant: 1 });
  const a = await node("node-a");
  const refusal = async (carrierCallId: string): Promise<string> =>
    (await a.place({ carrierCallId })).refusal;
  const change = (changes: { suspended?: boolean; config?: ReturnType<typeof configOf> }): Promise<unknown> =>
    store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
      const tenant = await tx.tenants.get("dentist");
      return tx.tenants.update("dentist", tenant!.etag, changes);
    });
  t.equal(await refusal("CA1"), "PLACEMENT_REFUSAL_UNSPECIFIED");
  t.equal(await refusal("CA2"), "PLACEMENT_REFUSAL_TENANT_CAP");
  await change({ config: configOf(2) });
  await until("the new cap", async () => (await refusal("CA2")) === "PLACEMENT_REFUSAL_UNSPECIFIED");
  await change({ suspended: true });
  await until("the suspension", async () => (await refusal("CA3")) === "PLACEMENT_REFUSAL_SUSPENDED");
  await t.rejects(a.place({ carrierCallId: "CA4", tenantId: "nobody" }), { code: "NOT_FOUND" });
  await t.rejects(a.place({ carrierCallId: "" }), { code: "REQUEST_INVALID" });
});

void t.test("a repeated webhook gets the same answer, whichever node it comes to", async (t) => {
  const { node, ready } = await cluster(t);
  const [a, b] = [await node("node-a"), await node("node-b")];
  await ready("node-a", "node-b");
  const first = await a.place({ carrierCallId: "CA1" });
  t.match(first, { nodeId: "node-a", mediaUrl: "wss://node-a.example", resumed: false });
  t.same(await b.place({ carrierCallId: "CA1" }), first);
  await t.rejects(b.confirm(first.callId, first.epoch), { code: "CALL_LEASE_LOST" });
  t.match(await a.confirm(first.callId), { epoch: first.epoch }, "epoch 0 is the one in force");
  await t.rejects(a.confirm("no-such-call"), { code: "NOT_FOUND" });
});

void t.test(
  "a drained node gets no calls, keeps its own, and is drained still when it comes back",
  async (t) => {
    const { node, operator, store, ready } = await cluster(t);
    const [a, b] = [await node("node-a"), await node("node-b")];
    await ready("node-a", "node-b");
    const call = await a.begin("CA1");
    t.match((await operator.call("NodeService", "DrainNode", { nodeId: "node-a" })).node, {
      state: "NODE_STATE_DRAINING",
    });
    await a.hears(({ drain }) => drain?.draining === true);
    for (let i = 0; i < 10; i++)
      t.equal((await a.place({ carrierCallId: `CA-drained-${i}` })).nodeId, "node-b");
    t.equal((await a.append(call, said(1))).errorCode, "");

    const again = await node("node-a");
    t.equal((await again.hears(({ welcome }) => Boolean(welcome))).welcome?.draining, true);
    t.equal(await a.closed, "NODE_REPLACED");
    await operator.call("NodeService", "UndrainNode", { nodeId: "node-a" });
    await again.hears(({ drain }) => drain?.draining === false);
    await ready("node-a");
    let tries = 0;
    await until("calls again", async () => {
      const { nodeId } = await again.place({ carrierCallId: `CA-undrained-${tries++}` });
      return nodeId === "node-a";
    });
    const { rows } = await store.transaction({ kind: "operator" }, "operator:test", (tx) =>
      tx.audit.list({ resourceKind: "node", resourceId: "node-a" }, { size: 10, after: null }),
    );
    t.same(
      rows.map(({ changes }) => changes),
      [{ draining: false }, { draining: true }],
    );
    t.match(rows[0]?.actor, /^key:/);
    await t.rejects(operator.call("NodeService", "DrainNode", { nodeId: "node-c" }), { code: "NOT_FOUND" });
    void b;
  },
);

void t.test("calls stay in their region until it is full, and avoid nodes under pressure", async (t) => {
  const { node, ready, operator } = await cluster(t);
  const east = await node("east-1", { region: "east", capacityCalls: 2 });
  const west = await node("west-1", { region: "west", capacityCalls: 50 });
  await ready("east-1", "west-1");
  const nodes: string[] = [];
  for (let i = 0; i < 3; i++)
    nodes.push((await west.place({ carrierCallId: `CA${i}`, region: "east" })).nodeId);
  t.same(nodes, ["east-1", "east-1", "west-1"]);
  t.equal((await west.place({ carrierCallId: "CA-own" })).nodeId, "west-1", "without one: the asking node's");

  west.report = { ...west.report, pressure: { rung: "PRESSURE_RUNG_PLACE_ELSEWHERE", pacingLagMs: 40 } };
  west.sendReport();
  await until("the rung to be seen", async () => {
    const { node: seen } = await operator.call("NodeService", "GetNode", { nodeId: "west-1" });
    return seen?.pressure?.rung === "PRESSURE_RUNG_PLACE_ELSEWHERE";
  });
  let tries = 0;
  await until("no calls for it", async () => {
    const { refusal } = await east.place({ carrierCallId: `CA-pressed-${tries++}` });
    return refusal === "PLACEMENT_REFUSAL_NO_CAPACITY";
  });
});

void t.test(
  "a node that shows a wrong token is not registered, and one without a credential not heard",
  async (t) => {
    const { planes } = await cluster(t);
    const { port } = planes[0]!;
    await t.rejects(TestNode.start({ port, nodeId: "node-x", bootstrapToken: `${BOOTSTRAP_TOKEN}.` }), {
      code: "BOOTSTRAP_TOKEN_INVALID",
    });
    await t.rejects(TestNode.start({ port, nodeId: "Node X", bootstrapToken: BOOTSTRAP_TOKEN }), {
      code: "REQUEST_INVALID",
    });
    await t.rejects(
      TestNode.start({ port, nodeId: "node-x", bootstrapToken: "", credential: "nonsense" }),
      /UNAUTHENTICATED/,
    );
  },
);
