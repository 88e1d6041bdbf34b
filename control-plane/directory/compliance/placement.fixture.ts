/** Where a call is placed, and what a reservation is. */
import type { ReserveResult } from "../directory.js";
import {
  LEASE_MS,
  RESERVATION_MS,
  registration,
  READY,
  addNode,
  request,
  granted,
  callsOn,
} from "../directory.fixture.js";
import { ENDED_KEPT_MS } from "../limits.js";
import type { Behaves } from "./subject.fixture.js";

export function placementComplies(test: Behaves): void {
  test("a reservation becomes a lease and is given back", async (t, { directory, other, clock }) => {
    await addNode(directory, "a");
    const lease = granted(await directory.reserve(request("c1", { nodeIds: ["a"] })));
    t.same(lease, {
      callId: "c1",
      epoch: clock.unixMs(),
      nodeId: "a",
      tenantId: "tenant",
      resellerId: "reseller",
      carrier: "twilio",
      carrierCallId: "carrier-c1",
      live: false,
      resumed: false,
      expiresAtUnixMs: clock.unixMs() + RESERVATION_MS,
      pii: { from: "+15550001", to: "+15550002" },
    });
    t.same(await other.lookUp("c1"), lease);
    t.same(await other.counts("tenant", "reseller"), { tenantCalls: 1, resellerCalls: 1 });
    t.same(await callsOn(other), { a: 1 });
    clock.advance(700);
    const live = { ...lease, live: true, expiresAtUnixMs: clock.unixMs() + LEASE_MS };
    t.same(await other.confirm("c1", 0, "a", LEASE_MS), live);
    t.same(await directory.confirm("c1", lease.epoch, "a", LEASE_MS), live, "and again");
    t.equal(await directory.release("c1", lease.epoch - 1), false, "not by an older epoch");
    t.equal(await directory.release("c1", lease.epoch), true);
    t.equal(await directory.release("c1", lease.epoch), false, "once");
    t.equal(await directory.lookUp("c1"), null);
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 0, resellerCalls: 0 });
    t.same(await callsOn(directory), { a: 0 });
  });

  test("the same carrier call gets the same answer", async (t, { directory, other }) => {
    await addNode(directory, "a");
    const lease = granted(await directory.reserve(request("c1")));
    const again = request("c2", { carrierCallId: "carrier-c1", nodeIds: ["b"], tenantCap: 0 });
    t.same(await other.reserve(again), { kind: "existing", lease });
    await directory.release("c1", lease.epoch);
    t.same(await other.reserve(again), { kind: "ended", callId: "c1" });
    t.same(await other.reserve({ ...again, resume: true }), { kind: "ended", callId: "c1" });
  });

  test("an ended call is recognised for a time, then forgotten", async (t, { directory, clock }) => {
    await addNode(directory, "a");
    const first = granted(await directory.reserve(request("c1")));
    await directory.release("c1", first.epoch);
    clock.advance(ENDED_KEPT_MS - 1);
    await addNode(directory, "a");
    t.match(await directory.reserve(request("c1")), { kind: "ended" });
    clock.advance(1);
    t.ok(granted(await directory.reserve(request("c1"))).epoch > first.epoch);
  });

  test("the less loaded of the head is taken, by share of its slots", async (t, { directory }) => {
    await addNode(directory, "a", 10);
    await addNode(directory, "b", 4);
    await addNode(directory, "c", 100);
    const place = async (callId: string, pickOf: number, nodeIds = ["a", "b", "c"]): Promise<string> =>
      granted(await directory.reserve(request(callId, { nodeIds, pickOf }))).nodeId;
    t.equal(await place("c1", 2), "a", "both empty: in order");
    t.equal(await place("c2", 2), "b");
    t.equal(await place("c3", 2), "a", "1 of 10 is less than 1 of 4");
    t.equal(await place("c4", 2), "a");
    t.equal(await place("c5", 2), "b", "1 of 4 is less than 3 of 10");
    t.equal(await place("c6", 1, ["b", "a"]), "b", "1 keeps the order");
    t.equal(await place("c7", 1, ["b", "a"]), "b");
    t.equal(await place("c8", 1, ["b", "c", "a"]), "c", "no room at the head: the rest in order");
  });

  test("only a node with room that is alive, ready, not stopping, not draining is taken", async (t, {
    directory,
    clock,
  }) => {
    const kinds: ReserveResult["kind"][] = [];
    const attempt = async (): Promise<void> => {
      const result = await directory.reserve(request(`c${kinds.length}`, { nodeIds: ["unknown", "a"] }));
      kinds.push(result.kind);
    };
    await attempt();
    await directory.registerNode(registration("a", 2), LEASE_MS);
    await attempt();
    await directory.reportNode("a", "i1", { ...READY, stopping: true }, LEASE_MS);
    await attempt();
    await directory.reportNode("a", "i1", READY, LEASE_MS);
    await directory.setDraining("a", true);
    await attempt();
    t.same(kinds, ["full", "full", "full", "full"]);
    await directory.setDraining("a", false);
    await attempt();
    clock.advance(LEASE_MS);
    await attempt();
    await directory.reportNode("a", "i1", READY, LEASE_MS);
    await attempt();
    await attempt();
    await directory.removeNode("a", "i1");
    await attempt();
    t.same(kinds.slice(4), ["reserved", "full", "reserved", "full", "full"]);
  });

  test("tenant and reseller caps hold, and refuse before nodes are looked at", async (t, { directory }) => {
    await addNode(directory, "a", 1);
    t.match(await directory.reserve(request("c0", { tenantCap: 0 })), {
      kind: "refused",
      reason: "tenantCap",
    });
    granted(await directory.reserve(request("c1", { tenantCap: 1 })));
    t.match(await directory.reserve(request("c2", { tenantCap: 1 })), {
      kind: "refused",
      reason: "tenantCap",
    });
    const another = { tenantId: "another", tenantCap: 1, resellerCap: 1 };
    t.match(await directory.reserve(request("c3", another)), { kind: "refused", reason: "resellerCap" });
    t.match(await directory.reserve(request("c4", { ...another, resellerCap: 2 })), { kind: "full" });
  });

  test("a burst over two clients admits exactly as many as the cap", async (t, { directory, other }) => {
    await addNode(directory, "a", 40);
    await addNode(directory, "b", 40);
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        (i % 2 === 0 ? directory : other).reserve(request(`c${i}`, { tenantCap: 50 })),
      ),
    );
    t.equal(results.filter(({ kind }) => kind === "reserved").length, 50);
    t.equal(results.filter(({ kind }) => kind === "refused").length, 150);
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 50, resellerCalls: 50 });
    t.same(await callsOn(directory), { a: 25, b: 25 });
  });

  test("a burst over two clients fills nodes exactly", async (t, { directory, other }) => {
    await addNode(directory, "a", 7);
    await addNode(directory, "b", 5);
    const results = await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? directory : other).reserve(request(`c${i}`))),
    );
    t.equal(results.filter(({ kind }) => kind === "reserved").length, 12);
    t.equal(results.filter(({ kind }) => kind === "full").length, 48);
    t.same(await callsOn(directory), { a: 7, b: 5 });
  });

  test("one carrier call asked for twice at once is placed once", async (t, { directory, other }) => {
    await addNode(directory, "a");
    const results = await Promise.all([
      directory.reserve(request("c1", { carrierCallId: "one" })),
      other.reserve(request("c2", { carrierCallId: "one" })),
    ]);
    t.same(results.map(({ kind }) => kind).sort(), ["existing", "reserved"]);
    t.same(await callsOn(directory), { a: 1 });
  });
}
