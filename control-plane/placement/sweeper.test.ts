/** Lost calls, on a real Postgres and virtual time. */
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { silentLogger } from "#runtime/telemetry";
import { MemoryDirectory, type ReserveRequest } from "../directory/index.js";
import { openStores, seed } from "../services/planes.fixture.js";
import type { CallRow, Store } from "../store/store.js";
import { Sweeper } from "./index.js";

const stores = await openStores(t);
const LEASE_MS = 5_000;
const GRACE_MS = 15_000;

/** The real store, which can be made to refuse as it does when Postgres is away. */
function refusable(store: Store) {
  const state = { isAway: false, isSilent: false, asked: 0, fail: () => {} };
  const proxy = new Proxy(store, {
    get(target, name) {
      if (name === "transaction") state.asked += 1;
      if (name === "transaction" && state.isSilent)
        return () => new Promise((_resolve, reject) => (state.fail = () => reject(new Error("no answer"))));
      if (name === "transaction" && state.isAway)
        return () => Promise.reject(new LumentraError("STORE_UNAVAILABLE", "Postgres is away"));
      const value = Reflect.get(target, name) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store: proxy, state };
}

async function cluster(t: Test, sweeperCount = 1) {
  const { store, state } = refusable(await stores.fresh());
  await seed(store);
  const clock = new VirtualClock({ startUnixMs: Date.now() });
  const directory = new MemoryDirectory({ clock });
  t.teardown(() => directory.close());
  const lost: CallRow[] = [];
  const sweepers = Array.from(
    { length: sweeperCount },
    () =>
      new Sweeper({
        directory,
        store,
        clock,
        log: silentLogger,
        resumeGraceMs: GRACE_MS,
        reconcileMs: 10_000,
        onLost: (call) => lost.push(call),
      }),
  );
  const [registration, report] = [
    {
      nodeId: "a",
      incarnation: "1",
      region: "east",
      version: "1",
      mediaUrl: "wss://a.example",
      capacityCalls: 500,
    },
    {
      ready: true,
      stopping: false,
      pressure: { rung: 0, pacingLagMs: 0, eventLoopDelayMs: 0, slotUsage: 0, providerUsage: 0 },
    },
  ] as const;
  await directory.registerNode(registration, LEASE_MS);
  await directory.reportNode("a", "1", report, LEASE_MS);
  const reserve = async (callId: string, fields: Partial<ReserveRequest> = {}) => {
    const result = await directory.reserve({
      callId,
      carrier: "twilio",
      carrierCallId: `CA-${callId}`,
      tenantId: "dentist",
      resellerId: "acme",
      tenantCap: 1_000,
      resellerCap: 1_000,
      nodeIds: ["a"],
      pickOf: 1,
      reservationMs: 2_000,
      resume: false,
      pii: { from: "", to: "" },
      ...fields,
    });
    if (result.kind !== "reserved") throw new Error(result.kind);
    return result.lease;
  };
  /** Confirmed, and its first event stored. */
  const begin = async (callId: string): Promise<number> => {
    const { epoch } = await reserve(callId);
    await directory.confirm(callId, epoch, "a", LEASE_MS);
    await store.transaction({ kind: "system" }, "node:a", (tx) =>
      tx.calls.append(callId, epoch, "a", [
        {
          kind: "callStarted",
          tenantId: "dentist",
          carrier: "twilio",
          carrierCallId: `CA-${callId}`,
          nodeId: "a",
          pii: { from: "+12025550100", to: "+12025550101" },
          callId,
          sequence: 0,
          epoch,
          atMs: 0,
          atUnixMs: clock.unixMs(),
        },
      ]),
    );
    return epoch;
  };
  const stateOf = async (callId: string) =>
    (await store.transaction({ kind: "system" }, "test", (tx) => tx.calls.get(callId)))?.state;
  return { store, state, clock, directory, sweepers, sweeper: sweepers[0]!, reserve, begin, stateOf, lost };
}

void t.test("each of many lost calls is found by one of several sweepers, and told once", async (t) => {
  const { sweepers, begin, clock, lost, directory } = await cluster(t, 3);
  const callIds = Array.from({ length: 250 }, (_, i) => `call-${i}`);
  for (const callId of callIds) await begin(callId);
  clock.advance(LEASE_MS);
  await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
  t.same(lost.map(({ id }) => id).sort(), callIds.sort());
  t.same(new Set(lost.map(({ state }) => state)), new Set(["suspended"]));
  t.same(await directory.counts("dentist", "acme"), { tenantCalls: 0, resellerCalls: 0 });
});

void t.test("a reservation without media gives its slot back, and is no call", async (t) => {
  const { sweeper, reserve, clock, lost, directory } = await cluster(t);
  await reserve("waiting");
  clock.advance(2_000);
  await sweeper.sweep();
  t.match(sweeper.stats, { reservationsExpired: 1, leasesExpired: 0 });
  t.same(lost, []);
  t.same(await directory.counts("dentist", "acme"), { tenantCalls: 0, resellerCalls: 0 });
});

void t.test("what was found while Postgres was away is owed to it, and paid when it is back", async (t) => {
  const { sweeper, begin, clock, state, stateOf, lost } = await cluster(t);
  await begin("c1");
  clock.advance(LEASE_MS);
  state.isAway = true;
  await sweeper.sweep();
  t.match(sweeper.stats, { leasesExpired: 1, callsSuspended: 0 });
  state.isAway = false;
  t.equal(await stateOf("c1"), "live");
  await sweeper.sweep();
  t.equal(await stateOf("c1"), "suspended");
  t.equal(lost.length, 1);
});

void t.test(
  "what died with the control plane that found it is found by the next look through live calls",
  async (t) => {
    const { sweeper, begin, clock, directory, stateOf } = await cluster(t);
    await begin("c1");
    clock.advance(LEASE_MS);
    t.equal((await directory.takeExpired(10)).length, 1, "taken, by one who says nothing of it");
    await sweeper.sweep();
    t.equal(await stateOf("c1"), "live");
    clock.advance(10_000);
    await sweeper.sweep();
    t.equal(await stateOf("c1"), "live", "one look is not enough: it may be about to be claimed");
    clock.advance(10_000);
    await sweeper.sweep();
    t.equal(await stateOf("c1"), "suspended");
  },
);

void t.test(
  "a suspended call is ended after the grace, unless its owner lives; then after four",
  async (t) => {
    const { sweeper, begin, clock, directory, stateOf, store } = await cluster(t);
    const lose = (callId: string, epoch: number) =>
      store.transaction({ kind: "system" }, "test", (tx) => tx.calls.lose(callId, epoch, false, "legLost"));
    const [gone, held] = [await begin("gone"), await begin("held")];
    await lose("gone", gone);
    await lose("held", held);
    await directory.release("gone", gone);
    const renew = (): Promise<unknown> =>
      directory.claim(
        "a",
        [
          {
            callId: "held",
            epoch: held,
            tenantId: "dentist",
            resellerId: "acme",
            carrier: "twilio",
            carrierCallId: "CA-held",
            live: true,
          },
        ],
        100_000,
      );
    await renew();
    await sweeper.sweep();
    t.same([await stateOf("gone"), await stateOf("held")], ["suspended", "suspended"]);
    clock.advance(GRACE_MS + 1_000);
    await sweeper.sweep();
    t.same([await stateOf("gone"), await stateOf("held")], ["ended", "suspended"]);
    clock.advance(3 * GRACE_MS);
    await renew();
    await sweeper.sweep();
    t.equal(await stateOf("held"), "ended");
  },
);

/**
 * Cut off at one node and placed on another, whose media socket he never opened: he had hung up. That was told as the end of
 * a node, and no node had ended.
 */
void t.test(
  "a call whose leg was lost and that came to nobody since is not told as a lost node's",
  async (t) => {
    const { sweeper, begin, reserve, clock, store, lost } = await cluster(t);
    const epoch = await begin("cut-off");
    await begin("of-a-dead-node");
    const atUnixMs = clock.unixMs();
    const cut = { kind: "legLost", callId: "cut-off", sequence: 1, epoch, atMs: 0, atUnixMs } as const;
    await store.transaction({ kind: "system" }, "node:a", (tx) =>
      tx.calls.append("cut-off", epoch, "a", [cut]),
    );
    await reserve("cut-off", { resume: true, knownEpoch: epoch, afterEpoch: epoch });
    clock.advance(LEASE_MS);
    await sweeper.sweep();
    clock.advance(GRACE_MS + 1_000);
    await sweeper.sweep();
    const outcomes = new Map(lost.map(({ id, outcome }) => [id, outcome]));
    t.same(
      outcomes,
      new Map([
        ["cut-off", "legLost"],
        ["of-a-dead-node", "nodeLost"],
      ]),
    );
  },
);

/** Each step of a sweep waited for Postgres in turn, and the shutdown for all of them. */
void t.test("a close in an outage waits a second at most, and asks nothing more", async (t) => {
  for (const failsFirst of [true, false]) {
    const { sweeper, begin, clock, state } = await cluster(t);
    await begin("c1");
    clock.advance(10_000); // the look through live rows is due, too
    Object.assign(state, { isSilent: true, asked: 0 });
    const sweeping = sweeper.sweep();
    while (state.asked === 0) await new Promise(setImmediate);
    const closing = sweeper.close();
    if (failsFirst) state.fail();
    else clock.advance(1_000);
    await closing;
    state.fail();
    await sweeping;
    t.equal(state.asked, 1, "the step that was under way");
  }
});
