/** What nodes claim to hold, and who has lost it. */
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

export function claimsComply(test: Behaves): void {
  test("renewing does not shorten a reservation that waits for its media", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    const { epoch } = granted(await directory.reserve(request("c1")));
    await directory.claim("a", [claimOf("c1", epoch, { live: false })], LEASE_MS);
    t.match(await directory.lookUp("c1"), { live: false, expiresAtUnixMs: clock.unixMs() + RESERVATION_MS });
    clock.advance(RESERVATION_MS - 1_000);
    await directory.claim("a", [claimOf("c1", epoch, { live: false })], LEASE_MS);
    t.match(await directory.lookUp("c1"), { expiresAtUnixMs: clock.unixMs() + LEASE_MS });
    await directory.claim("a", [claimOf("c1", epoch)], LEASE_MS);
    t.match(await directory.lookUp("c1"), { live: true });
  });

  test("a claim of what is unknown is adopted, over any cap", async (t, { directory, clock }) => {
    await addNode(directory, "a", 1);
    const claims = ["c1", "c2", "c3"].map((callId) => claimOf(callId, 7));
    t.same(
      await directory.claim("a", claims, LEASE_MS),
      claims.map(({ callId }) => ({ callId, kind: "held" })),
    );
    t.same(await callsOn(directory), { a: 3 });
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 3, resellerCalls: 3 });
    t.match(await directory.lookUp("c1"), {
      epoch: 7,
      nodeId: "a",
      live: true,
      resumed: false,
      expiresAtUnixMs: clock.unixMs() + LEASE_MS,
      pii: { from: "", to: "" },
    });
    t.match(await directory.reserve(request("c9", { carrierCallId: "carrier-c1" })), { kind: "existing" });
    t.same(await directory.claim("a", [], LEASE_MS), []);
  });

  test("of two that claim a call the later epoch holds it, and nobody else at its epoch", async (t, {
    directory,
  }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    t.match(await directory.claim("a", [claimOf("c1", 5)], LEASE_MS), [{ kind: "held" }]);
    t.match(await directory.claim("b", [claimOf("c1", 5)], LEASE_MS), [{ kind: "lost", epoch: 5 }]);
    t.match(await directory.claim("b", [claimOf("c1", 6)], LEASE_MS), [{ kind: "held" }]);
    t.match(await directory.claim("a", [claimOf("c1", 5)], LEASE_MS), [{ kind: "lost", epoch: 6 }]);
    t.same(await callsOn(directory), { a: 0, b: 1 });
    t.equal(await directory.release("c1", 6), true);
    t.match(await directory.claim("b", [claimOf("c1", 6)], LEASE_MS), [{ kind: "lost" }], "it is over");
    t.same(await callsOn(directory), { a: 0, b: 0 });
  });

  test("a claim that was on its way when its unknown call was released brings nothing back", async (t, {
    directory,
  }) => {
    await addNode(directory, "a");
    t.equal(await directory.release("c1", 5), false);
    t.match(await directory.claim("a", [claimOf("c1", 5)], LEASE_MS), [{ kind: "lost", epoch: 5 }]);
    t.same(await callsOn(directory), { a: 0 });
  });

  test("one carrier call under two ids has one holder afterwards", async (t, { directory }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    const anew = granted(await directory.reserve(request("new", { nodeIds: ["b"] })));
    await directory.confirm("new", anew.epoch, "b", LEASE_MS);
    const old = claimOf("old", anew.epoch - 1, { carrierCallId: "carrier-new" });
    t.match(await directory.claim("a", [old], LEASE_MS), [{ kind: "lost", epoch: anew.epoch }]);
    t.same(await callsOn(directory), { a: 0, b: 1 });
    const newest = { ...old, callId: "newest", epoch: anew.epoch + 1 };
    t.match(await directory.claim("a", [newest], LEASE_MS), [{ kind: "held" }]);
    t.match(await directory.claim("b", [claimOf("new", anew.epoch)], LEASE_MS), [{ kind: "lost" }]);
    t.same(await callsOn(directory), { a: 1, b: 0 });
  });

  // A node that was not answered in time placed a call itself, and the control plane placed it as well, a moment later:
  // taken for the newer, the call was hung up on before its media came.
  test("a call is not taken for one that was placed too late for its webhook, with media or before", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    const late = granted(await directory.reserve(request("late", { nodeIds: ["b"] })));
    const ids = { carrierCallId: "carrier-late" };
    const waiting = claimOf("waiting", late.epoch - 1, { ...ids, live: false });
    t.match(await directory.claim("a", [waiting], LEASE_MS), [{ kind: "held" }]);
    t.match(await directory.claim("a", [{ ...waiting, epoch: late.epoch + 1 }], LEASE_MS), [
      { kind: "held" },
    ]);
    t.same(await callsOn(directory), { a: 0, b: 1 }, "the first counts until media comes");
    const live = claimOf("live", late.epoch - 1, ids);
    t.match(await directory.claim("a", [live], LEASE_MS), [{ kind: "held" }]);
    t.equal(await directory.confirm("late", late.epoch, "b", LEASE_MS), "unknown");
    t.same(await callsOn(directory), { a: 1, b: 0 });
    const told = granted(await directory.reserve(request("told", { nodeIds: ["b"] })));
    const untold = claimOf("untold", told.epoch + 1, { carrierCallId: "carrier-told", live: false });
    t.match(await directory.claim("a", [untold], LEASE_MS), [{ kind: "held" }]);
    await directory.confirm("told", told.epoch, "b", LEASE_MS);
    const older = { ...untold, epoch: told.epoch - 1 };
    t.match(await directory.claim("a", [older], LEASE_MS), [{ kind: "lost" }], "its media came elsewhere");
    await directory.reserve(request("gone", { nodeIds: ["b"] }));
    clock.advance(RESERVATION_MS);
    const alone = claimOf("alone", 1, { carrierCallId: "carrier-gone", live: false });
    t.match(await directory.claim("a", [alone], LEASE_MS), [{ kind: "held" }]);
    t.match(await directory.lookUp("alone"), { nodeId: "a" }, "what ran out stands in nobody's way");
  });

  test("a call that is put away by a later claim of the same batch does not count again", async (t, {
    directory,
    clock,
  }) => {
    await addNode(directory, "a");
    const first = claimOf("c1", 5, { carrierCallId: "one" });
    const second = claimOf("c2", 6, { carrierCallId: "one" });
    await directory.claim("a", [first], LEASE_MS);
    t.match(await directory.claim("a", [first, second], LEASE_MS), [{ kind: "held" }, { kind: "held" }]);
    t.same(await callsOn(directory), { a: 1 });
    t.same(await directory.counts("tenant", "reseller"), { tenantCalls: 1, resellerCalls: 1 });
    clock.advance(LEASE_MS);
    t.same(
      (await directory.takeExpired(10)).map(({ callId }) => callId),
      ["c2"],
    );
  });

  test("many nodes with many calls are all listed, each once", async (t, { directory, other }) => {
    const nodeIds = Array.from({ length: 100 }, (_, index) => `node-${index}`);
    await Promise.all(nodeIds.map((nodeId) => addNode(directory, nodeId, 500)));
    const claims = Array.from({ length: 250 }, (_, index) => claimOf(`c${index}`, 5));
    const verdicts = await directory.claim("node-7", claims, LEASE_MS);
    t.same(
      verdicts,
      claims.map(({ callId }) => ({ callId, kind: "held" })),
    );
    const wanted = Object.fromEntries(nodeIds.map((nodeId) => [nodeId, nodeId === "node-7" ? 250 : 0]));
    t.same(await callsOn(other), wanted);
    t.equal((await other.nodes()).length, 100);
  });
}
