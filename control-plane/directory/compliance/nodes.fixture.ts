/** What nodes say of themselves, and what is listed of them. */
import { LEASE_MS, registration, READY, addNode, request } from "../directory.fixture.js";
import { NODE_KEPT_MS } from "../limits.js";
import type { Behaves } from "./subject.fixture.js";

export function nodesComply(test: Behaves): void {
  test("a node registers, reports and is listed with what it said", async (t, {
    directory,
    other,
    clock,
  }) => {
    t.same(await directory.registerNode(registration("a"), LEASE_MS), { draining: false });
    const registeredAt = clock.unixMs();
    t.match(await other.nodes(), [{ nodeId: "a", ready: false, alive: true, pressure: { rung: 0 } }]);
    clock.advance(1_000);
    t.equal(await directory.reportNode("a", "i1", READY, LEASE_MS), "ok");
    t.same(await other.nodes(), [
      {
        ...registration("a"),
        ...READY,
        draining: false,
        calls: 0,
        alive: true,
        registeredAtUnixMs: registeredAt,
        reportedAtUnixMs: clock.unixMs(),
      },
    ]);
  });

  test("a node without reports counts as lost, and is back with the next", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    clock.advance(LEASE_MS - 1);
    t.match(await directory.nodes(), [{ alive: true }]);
    clock.advance(1);
    t.match(await directory.nodes(), [{ alive: false }]);
    t.equal(await directory.reportNode("a", "i1", READY, LEASE_MS), "ok");
    t.match(await directory.nodes(), [{ alive: true }]);
    clock.advance(LEASE_MS + NODE_KEPT_MS);
    t.same(await directory.nodes(), [], "a day later it is forgotten");
    t.equal(await directory.reportNode("a", "i1", READY, LEASE_MS), "unknown");
  });

  test("a later incarnation replaces an earlier one", async (t, { directory }) => {
    await addNode(directory, "a");
    await directory.registerNode(registration("a", 20, "i2"), LEASE_MS);
    t.match(await directory.nodes(), [{ incarnation: "i2", capacityCalls: 20, ready: false }]);
    t.equal(await directory.reportNode("a", "i1", READY, LEASE_MS), "replaced");
    await directory.removeNode("a", "i1");
    t.equal((await directory.nodes()).length, 1, "a late goodbye of the earlier one takes nothing away");
    await directory.removeNode("a", "i2");
    t.same(await directory.nodes(), []);
    t.equal(await directory.reportNode("a", "i2", READY, LEASE_MS), "unknown");
  });

  test("registering again keeps a node's last report", async (t, { directory }) => {
    await addNode(directory, "a");
    await directory.registerNode(registration("a"), LEASE_MS);
    t.match(await directory.nodes(), [{ ready: true, pressure: { pacingLagMs: 1.5 } }]);
  });

  test("a node that registers with a report is ready at once, and reserved on", async (t, {
    directory,
    other,
  }) => {
    await directory.registerNode(registration("a"), LEASE_MS, READY);
    t.match(await other.nodes(), [{ ...READY, reportedAtUnixMs: Number }]);
    t.match(await other.reserve(request("c1", { nodeIds: ["a"] })), { kind: "reserved" });
    await directory.registerNode(registration("a"), LEASE_MS, { ...READY, stopping: true });
    t.match(
      await directory.reserve(request("c2", { nodeIds: ["a"] })),
      { kind: "full" },
      "what it says last",
    );
  });

  test("an operator's drain outlives a node's restart", async (t, { directory, other }) => {
    t.equal(await directory.setDraining("a", true), false, "no such node");
    await addNode(directory, "a");
    t.equal(await other.setDraining("a", true), true);
    await directory.removeNode("a", "i1");
    t.equal(await directory.setDraining("a", false), false, "it is away");
    t.same(await directory.registerNode(registration("a", 10, "i2"), LEASE_MS), { draining: true });
    t.match(await directory.nodes(), [{ draining: true }]);
    t.equal(await directory.setDraining("a", false), true);
    t.same(await directory.registerNode(registration("a", 10, "i3"), LEASE_MS), { draining: false });
  });
}
