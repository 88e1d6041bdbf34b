/**
 * What every directory does, whichever it is: run against memory, Redis and Redis Cluster, on virtual time.
 */
import t, { type Test } from "tap";
import type { VirtualClock } from "#runtime/actor";
import type { Directory, LeaseClaim, NodeRegistration, ReserveRequest, ReserveResult } from "./directory.js";
import { ENDED_KEPT_MS, NODE_KEPT_MS } from "./limits.js";

export interface Subject {
  readonly directory: Directory;
  /** The same state by another control plane's eyes; may be the same object. */
  readonly other: Directory;
  readonly clock: VirtualClock;
  /** Everything is forgotten. */
  readonly loseMemory: () => Promise<void>;
}

/** Fresh and empty each time. */
export type Open = (options: { rebuildMs: number }) => Promise<Subject>;

export const LEASE_MS = 5_000;
export const RESERVATION_MS = 30_000;

export function registration(nodeId: string, capacityCalls = 10, incarnation = "i1"): NodeRegistration {
  return {
    nodeId,
    incarnation,
    capacityCalls,
    region: "eu",
    version: "1",
    mediaUrl: `wss://${nodeId}.example/media`,
  };
}

export const READY = {
  ready: true,
  stopping: false,
  pressure: { rung: 0, pacingLagMs: 1.5, eventLoopDelayMs: 2, slotUsage: 0.25, providerUsage: 0 },
} as const;

export async function addNode(directory: Directory, nodeId: string, capacityCalls = 10): Promise<void> {
  await directory.registerNode(registration(nodeId, capacityCalls), LEASE_MS);
  await directory.reportNode(nodeId, "i1", READY, LEASE_MS);
}

export function request(callId: string, more: Partial<ReserveRequest> = {}): ReserveRequest {
  return {
    callId,
    carrier: "twilio",
    carrierCallId: `carrier-${callId}`,
    tenantId: "tenant",
    resellerId: "reseller",
    tenantCap: 100,
    resellerCap: 100,
    nodeIds: ["a", "b"],
    pickOf: 2,
    reservationMs: RESERVATION_MS,
    resume: false,
    pii: { from: "+15550001", to: "+15550002" },
    ...more,
  };
}

export function claimOf(callId: string, epoch: number, more: Partial<LeaseClaim> = {}): LeaseClaim {
  return {
    callId,
    epoch,
    tenantId: "tenant",
    resellerId: "reseller",
    carrier: "twilio",
    carrierCallId: `carrier-${callId}`,
    live: true,
    ...more,
  };
}

/** The lease of a grant; throws when it is something else. */
export function granted(result: ReserveResult): Extract<ReserveResult, { kind: "reserved" }>["lease"] {
  if (result.kind !== "reserved") throw new Error(`expected a reservation, got ${JSON.stringify(result)}`);
  return result.lease;
}

async function callsOn(directory: Directory): Promise<Record<string, number>> {
  return Object.fromEntries((await directory.nodes()).map(({ nodeId, calls }) => [nodeId, calls]));
}

/** @param name names the tests */
export function complies(name: string, open: Open): void {
  const test = (
    behaviour: string,
    body: (t: Test, subject: Subject) => Promise<void>,
    rebuildMs = 0,
  ): void => {
    void t.test(`${name}: ${behaviour}`, async (t) => body(t, await open({ rebuildMs })));
  };

  // ---- nodes

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

  // ---- placement

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

  // ---- expiry

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

  // ---- claims

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

  test("a call with media is not taken for one that was placed too late for its webhook", async (t, {
    directory,
  }) => {
    await addNode(directory, "a");
    await addNode(directory, "b");
    const late = granted(await directory.reserve(request("late", { nodeIds: ["b"] })));
    const ids = { carrierCallId: "carrier-late" };
    const waiting = claimOf("waiting", late.epoch - 1, { ...ids, live: false });
    t.match(await directory.claim("a", [waiting], LEASE_MS), [{ kind: "lost", epoch: late.epoch }]);
    const live = claimOf("live", late.epoch - 1, ids);
    t.match(await directory.claim("a", [live], LEASE_MS), [{ kind: "held" }]);
    t.equal(await directory.confirm("late", late.epoch, "b", LEASE_MS), "unknown");
    t.same(await callsOn(directory), { a: 1, b: 0 });
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

  // ---- resume

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

  // ---- loss of memory

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

  // ---- fan-out

  test("what is published reaches the topic's subscribers, of every control plane", async (t, {
    directory,
    other,
  }) => {
    const heard: string[] = [];
    const waiting = new Map<string, () => void>();
    const listen = (who: string) => (message: string) => {
      heard.push(`${who} ${message}`);
      waiting.get(`${who} ${message}`)?.();
    };
    const hears = (line: string): Promise<void> => new Promise((done) => waiting.set(line, done));
    const stop = await directory.subscribe("node:a", listen("one"));
    const stopOther = await other.subscribe("node:a", listen("two"));
    await directory.subscribe("node:b", listen("three"));
    const both = [hears("one hang up c1"), hears("two hang up c1")];
    await directory.publish("node:a", "hang up c1");
    await Promise.all(both);
    stop();
    const last = [hears("two last"), hears("three to b")];
    await other.publish("node:a", "last");
    await other.publish("node:b", "to b");
    await Promise.all(last);
    t.same(heard.sort(), ["one hang up c1", "three to b", "two hang up c1", "two last"]);
    stopOther();
  });

  test("a closed directory says so", async (t, { directory }) => {
    await directory.ping();
    await directory.close();
    await t.rejects(directory.ping(), { code: "DIRECTORY_UNAVAILABLE" });
    await t.rejects(directory.reserve(request("c1")), { code: "DIRECTORY_UNAVAILABLE" });
    await t.rejects(
      directory.subscribe("x", () => {}),
      { code: "DIRECTORY_UNAVAILABLE" },
    );
  });
}
