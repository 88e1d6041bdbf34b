/** A call that another owner goes on with. */
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

export function resumeComplies(test: Behaves): void {
  test("a resumed call moves: the epoch grows, the old owner has lost it", async (t, {
    directory,
    other,
  }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    const first = granted(await directory.reserve(request("c1", { nodeIds: ["a"] })));
    await directory.confirm("c1", 0, "a", LEASE_MS);
    const resume = request("c2", { carrierCallId: "carrier-c1", nodeIds: ["b"], resume: true, tenantCap: 0 });
    const second = granted(await other.reserve(resume));
    t.match(second, { callId: "c1", nodeId: "b", resumed: true, live: false, epoch: first.epoch + 1 });
    t.same(await callsOn(directory), { a: 0, b: 1 });
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 1, resellerCalls: 1 });
    t.equal(await directory.confirm("c1", first.epoch, "a", LEASE_MS), "lost");
    t.equal(await directory.confirm("c1", 0, "a", LEASE_MS), "lost");
    t.equal(await directory.confirm("c1", first.epoch, "b", LEASE_MS), "lost");
    t.equal(await directory.release("c1", first.epoch), false);
    t.match(await directory.claim("a", [claimOf("c1", first.epoch)], LEASE_MS), [
      { kind: "lost", epoch: second.epoch },
    ]);
    t.match(await directory.confirm("c1", 0, "b", LEASE_MS), { live: true, resumed: true });
    t.equal(
      granted(await directory.reserve(resume)).epoch,
      second.epoch + 1,
      "and once more, to where it is",
    );
  });

  test("a lease is resumed once: who asks again what follows it gets the same answer", async (t, {
    directory,
    other,
    clock,
  }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    const first = granted(await directory.reserve(request("c1", { nodeIds: ["a"] })));
    await directory.confirm("c1", 0, "a", LEASE_MS);
    const after = (afterEpoch: number, nodeId: string) =>
      request("c1", { resume: true, afterEpoch, nodeIds: [nodeId] });
    const second = granted(await directory.reserve(after(first.epoch, "b")));
    t.same(await other.reserve(after(first.epoch, "a")), { kind: "existing", lease: second });
    t.match(await directory.confirm("c1", second.epoch, "b", LEASE_MS), { live: true });
    t.match(await directory.reserve(after(first.epoch, "a")), {
      kind: "existing",
      lease: { nodeId: "b", epoch: second.epoch, live: true },
    });
    const third = granted(await directory.reserve(after(second.epoch, "a")));
    t.match(third, { nodeId: "a", resumed: true, epoch: second.epoch + 1 });
    t.same(await callsOn(directory), { a: 1, b: 0 });
    // Nobody came for it: what was answered before leads nowhere.
    clock.advance(RESERVATION_MS);
    await addNode(directory, "a");
    await addNode(directory, "b");
    t.match(await directory.reserve(after(second.epoch, "b")), { kind: "reserved", lease: { nodeId: "b" } });
  });

  test("a call stays on its full node when it is resumed there", async (t, { directory }) => {
    await addNode(directory, "a", 1);
    granted(await directory.reserve(request("c1")));
    t.match(await directory.reserve(request("c2", { resume: true })), { kind: "full" });
    t.match(granted(await directory.reserve(request("c1", { resume: true }))), {
      nodeId: "a",
      resumed: true,
    });
    t.same(await callsOn(directory), { a: 1 });
  });

  test("a call is resumed after its lease expired, swept or not", async (t, { directory, clock }) => {
    for (const swept of [false, true]) {
      const callId = `c-${swept}`;
      await addNode(directory, "a");
      await addNode(directory, "b");
      const first = granted(await directory.reserve(request(callId, { nodeIds: ["a"] })));
      await directory.confirm(callId, 0, "a", LEASE_MS);
      clock.advance(LEASE_MS);
      await addNode(directory, "b");
      if (swept) t.equal((await directory.takeExpired(10)).length, 1);
      const second = granted(await directory.reserve(request(callId, { resume: true })));
      t.match(second, { callId, nodeId: "b", resumed: true });
      t.ok(second.epoch > first.epoch);
      t.match(await directory.claim("a", [claimOf(callId, first.epoch)], LEASE_MS), [{ kind: "lost" }]);
      t.same(await directory.takeExpired(10), []);
      await directory.release(callId, second.epoch);
    }
  });

  test("a call unknown here is resumed under the id it is given, above the epoch it had", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    const knownEpoch = clock.unixMs() + 1_000_000;
    const lease = granted(await directory.reserve(request("c1", { resume: true, knownEpoch, tenantCap: 0 })));
    t.match(lease, { callId: "c1", resumed: true, epoch: knownEpoch + 1 });
  });

  test("a call is found by its id when the carrier's is not given", async (t, { directory }) => {
    await addNode(directory, "a");
    const first = granted(await directory.reserve(request("c1")));
    granted(await directory.reserve(request("c2", { carrierCallId: "" })));
    const again = request("c1", { carrierCallId: "", resume: true });
    t.match(granted(await directory.reserve(again)), { callId: "c1", epoch: first.epoch + 1 });
    t.match(await directory.reserve(request("c3", { carrierCallId: "" })), { kind: "reserved" });
  });
}
