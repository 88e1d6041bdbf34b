/** A directory that has forgotten everything. */
import { LEASE_MS, READY, addNode, request, claimOf, granted, callsOn } from "../directory.fixture.js";
import type { Behaves } from "./subject.fixture.js";

export function memoryLossComplies(test: Behaves): void {
  test(
    "after a loss nothing is granted until the nodes had time to tell what they hold",
    async (t, { directory, other, clock, loseMemory }) => {
      clock.advance(3_000);
      await addNode(directory, "a");
      await addNode(directory, "b");
      const lease = granted(await directory.reserve(request("c1", { nodeIds: ["a"] })));
      await directory.confirm("c1", 0, "a", LEASE_MS);
      let rebuilds = 0;
      const told = new Promise<void>((done) => {
        const stop = directory.onRebuild(() => {
          rebuilds++;
          done();
          stop();
        });
      });
      const toldOther = new Promise<void>((done) => void other.onRebuild(done));
      await loseMemory();
      await t.rejects(directory.reserve(request("c2")), { code: "DIRECTORY_REBUILDING" });
      await told;
      await toldOther;
      await t.rejects(directory.confirm("c1", 0, "a", LEASE_MS), { code: "DIRECTORY_REBUILDING" });
      t.equal(await directory.reportNode("a", "i1", READY, LEASE_MS), "unknown");
      await addNode(other, "a");
      await addNode(other, "b");
      t.match(await other.claim("a", [claimOf("c1", lease.epoch)], LEASE_MS), [{ kind: "held" }]);
      clock.advance(2_999);
      await t.rejects(other.reserve(request("c2")), { code: "DIRECTORY_REBUILDING" });
      clock.advance(1);
      const second = granted(await other.reserve(request("c1", { nodeIds: ["b"], resume: true })));
      t.ok(second.epoch > lease.epoch, "epochs grow over a loss");
      t.match(await directory.claim("a", [claimOf("c1", lease.epoch)], LEASE_MS), [{ kind: "lost" }]);
      t.same(await callsOn(directory), { a: 0, b: 1 });
      t.equal(rebuilds, 1);
    },
    3_000,
  );

  test(
    "a resumed call is lost to its old node, even when that tells late after a loss",
    async (t, { directory, clock, loseMemory }) => {
      clock.advance(3_000);
      await addNode(directory, "a");
      const lease = granted(await directory.reserve(request("c1")));
      await loseMemory();
      await t.rejects(directory.reserve(request("c1", { resume: true })), { code: "DIRECTORY_REBUILDING" });
      clock.advance(3_000);
      await addNode(directory, "b");
      const resumed = granted(await directory.reserve(request("c1", { resume: true })));
      t.ok(resumed.epoch > lease.epoch);
      t.match(await directory.claim("a", [claimOf("c1", lease.epoch)], LEASE_MS), [{ kind: "lost" }]);
      t.match(await directory.lookUp("c1"), { nodeId: "b" });
    },
    3_000,
  );
}
