/** What runs out by itself: reservations without media, leases that nobody renews. */
import {
  LEASE_MS,
  RESERVATION_MS,
  addNode,
  request,
  claimOf,
  granted,
  callsOn,
} from "../directory.fixture.js";
import type { Behaves } from "./subject.fixture.js";

export function expiryComplies(test: Behaves): void {
  test("a reservation without media gives its room back by itself", async (t, { directory, clock }) => {
    await addNode(directory, "a", 1);
    const first = granted(await directory.reserve(request("c1", { nodeIds: ["a"], tenantCap: 1 })));
    clock.advance(RESERVATION_MS - 1);
    await addNode(directory, "a", 1);
    t.match(await directory.reserve(request("c2", { nodeIds: ["a"], tenantCap: 1 })), { kind: "refused" });
    clock.advance(1);
    t.same(await callsOn(directory), { a: 0 });
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 0, resellerCalls: 0 });
    t.equal(await directory.confirm("c1", first.epoch, "a", LEASE_MS), "unknown", "its media comes too late");
    granted(await directory.reserve(request("c2", { nodeIds: ["a"], tenantCap: 1 })));
    t.same(await directory.takeExpired(10), [first]);
    t.same(await callsOn(directory), { a: 1 });
  });

  test("a carrier that asks again after its reservation ran out keeps its call id", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    const first = granted(await directory.reserve(request("c1")));
    clock.advance(RESERVATION_MS);
    await addNode(directory, "a");
    const second = granted(await directory.reserve(request("c2", { carrierCallId: "carrier-c1" })));
    t.match(second, { callId: "c1", resumed: false });
    t.ok(second.epoch > first.epoch);
    t.same(await callsOn(directory), { a: 1 });
    t.same(await directory.takeExpired(10), []);
  });

  test("a lease nobody renews expires and is handed to one sweeper only", async (t, {
    directory,
    other,
    clock,
  }) => {
    await addNode(directory, "a", 100);
    const epochs = new Map<string, number>();
    for (let i = 0; i < 20; i++) {
      epochs.set(`c${i}`, granted(await directory.reserve(request(`c${i}`))).epoch);
      await directory.confirm(`c${i}`, 0, "a", LEASE_MS + i);
    }
    await directory.claim("a", [claimOf("c0", epochs.get("c0")!)], LEASE_MS * 10);
    t.same(await directory.takeExpired(10), []);
    clock.advance(LEASE_MS + 20);
    t.same(
      (await other.takeExpired(2)).map(({ callId }) => callId),
      ["c1", "c2"],
      "the longest ago first",
    );
    const sweeps = await Promise.all([
      directory.takeExpired(9),
      other.takeExpired(9),
      directory.takeExpired(9),
    ]);
    const taken = sweeps.flat().map(({ callId }) => callId);
    t.equal(taken.length, 17);
    t.equal(new Set(taken).size, 17);
    t.notOk(taken.includes("c0"), "the renewed one stays");
    t.same(await callsOn(directory), { a: 1 });
    t.equal(await directory.lookUp("c5"), null);
  });

  test("a node that comes back before anybody resumed keeps its call, swept or not", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    for (const swept of [false, true]) {
      const callId = `c-${swept}`;
      const { epoch } = granted(await directory.reserve(request(callId)));
      await directory.confirm(callId, 0, "a", LEASE_MS);
      clock.advance(LEASE_MS);
      await addNode(directory, "a");
      if (swept) t.equal((await directory.takeExpired(10)).length, 1);
      t.same(await callsOn(directory), { a: 0 });
      t.same(await directory.claim("a", [claimOf(callId, epoch)], LEASE_MS), [{ callId, kind: "held" }]);
      t.same(await callsOn(directory), { a: 1 });
      t.same(await directory.takeExpired(10), []);
      t.match(await directory.lookUp(callId), { epoch, live: true, pii: { from: "+15550001" } });
      t.equal(await directory.release(callId, epoch), true);
    }
  });
}
