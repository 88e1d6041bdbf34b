/**
 * The two directories cannot drift: the same random steps at the same virtual time, and the same answer to each, the
 * last field included. A failure prints the seed and the step; LUMENTRA_MODEL_SEED replays it.
 */
import t from "tap";
import { type Random, VirtualClock, seededRandom } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { silentLogger } from "#runtime/telemetry";
import { READY, claimOf, registration, request } from "./directory.fixture.js";
import type { Directory } from "./directory.js";
import { MemoryDirectory } from "./memory-directory.js";
import { RedisDirectory } from "./redis-directory.js";
import { startRedis } from "./redis-server.fixture.js";

const STEPS = 3_000;
const REBUILD_MS = 2_000;
const NODES = ["a", "b", "c", "d"];
const LEASES_MS = [500, 2_000, 5_000];

type Step = { readonly text: string; readonly on: (directory: Directory) => Promise<unknown> };

const server = await startRedis(t);
if (server !== null) {
  const given = process.env["LUMENTRA_MODEL_SEED"];
  const seeds = given === undefined ? [1, 2, Date.now() % 1_000_000] : [Number(given)];
  for (const seed of seeds)
    void t.test(`memory and Redis give the same answers to ${STEPS} steps (seed ${seed})`, async (t) => {
      await server.flush();
      const clock = new VirtualClock();
      const random = seededRandom(seed);
      const memory = new MemoryDirectory({ clock, rebuildMs: REBUILD_MS });
      const redis = new RedisDirectory({
        url: server.url,
        prefix: `model-${seed}`,
        log: silentLogger,
        rebuildMs: REBUILD_MS,
        unixMs: () => clock.unixMs(),
      });
      t.teardown(() => redis.close());
      // Both begin at the same instant: Redis's generation is made by the first step.
      await redis.ping();
      const epochs = new Map<string, number>();
      for (let index = 0; index < STEPS; index++) {
        if (random.next() < 0.3) clock.advance(Math.floor(random.next() ** 4 * 8_000));
        if (random.next() < 0.002) {
          memory.forget();
          await server.flush();
          await redis.ping();
        }
        const step = pickStep(random, epochs);
        const [wanted, found] = [await answer(step.on(memory)), await answer(step.on(redis))];
        if (JSON.stringify(found) === JSON.stringify(wanted)) continue;
        t.same(found, wanted, `step ${index} of seed ${seed}: ${step.text}`);
        return;
      }
      t.pass();
    });
}

/** Two carrier calls may have one call id each or share one; ids are few, so that steps meet. */
function pickStep(random: Random, epochs: Map<string, number>): Step {
  const below = (n: number): number => Math.floor(random.next() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const callId = `c${below(30)}`;
  const nodeId = one(NODES);
  const leaseMs = one(LEASES_MS);
  // Mostly the one in force, sometimes older or newer.
  const epoch = (epochs.get(callId) ?? 5) + (random.next() < 0.8 ? 0 : below(3) - 1);
  const ids = {
    tenantId: `t${below(2)}`,
    resellerId: `r${below(2)}`,
    carrierCallId:
      random.next() < 0.1 ? "" : random.next() < 0.8 ? `carrier-${callId}` : `carrier-c${below(30)}`,
  };
  const note = (lease: { callId: string; epoch: number } | string | null): void => {
    if (lease !== null && typeof lease === "object") epochs.set(lease.callId, lease.epoch);
  };
  const kind = below(100);
  if (kind < 30) {
    const asked = request(callId, {
      ...ids,
      tenantCap: 4 + below(8),
      resellerCap: 12,
      nodeIds: [one(NODES), one(NODES), one(NODES)].slice(0, 1 + below(3)),
      pickOf: 1 + below(3),
      reservationMs: one([1_000, 4_000]),
      resume: random.next() < 0.3,
      ...(random.next() < 0.2 && { knownEpoch: epoch }),
      ...(random.next() < 0.3 && { afterEpoch: epoch - below(2) }),
    });
    return {
      text: `reserve ${JSON.stringify(asked)}`,
      on: async (directory) => {
        const result = await directory.reserve(asked);
        if ("lease" in result) note(result.lease);
        return result;
      },
    };
  }
  if (kind < 42) {
    const asked = random.next() < 0.5 ? 0 : epoch;
    return {
      text: `confirm ${callId} ${asked} ${nodeId}`,
      on: async (directory) => directory.confirm(callId, asked, nodeId, leaseMs),
    };
  }
  if (kind < 60) {
    const claims = [claimOf(callId, epoch, { ...ids, live: random.next() < 0.7 })];
    for (const [other, otherEpoch] of epochs)
      if (random.next() < 0.3)
        claims.push(claimOf(other, otherEpoch, { ...ids, carrierCallId: `carrier-${other}` }));
    return {
      text: `claim ${nodeId} ${JSON.stringify(claims)}`,
      on: async (directory) => directory.claim(nodeId, claims, leaseMs),
    };
  }
  if (kind < 68)
    return { text: `release ${callId} ${epoch}`, on: async (directory) => directory.release(callId, epoch) };
  if (kind < 73) {
    const limit = 1 + below(5);
    return { text: `takeExpired ${limit}`, on: async (directory) => directory.takeExpired(limit) };
  }
  if (kind < 78)
    return {
      text: `lookUp ${callId}`,
      on: async (directory) => {
        const lease = await directory.lookUp(callId);
        note(lease);
        return lease;
      },
    };
  if (kind < 83)
    return { text: "counts", on: async (directory) => directory.counts(ids.tenantId, ids.resellerId) };
  if (kind < 90) {
    const node = registration(nodeId, 2 + below(4), `i${below(2)}`);
    return { text: `register ${nodeId}`, on: async (directory) => directory.registerNode(node, leaseMs) };
  }
  if (kind < 96) {
    const report = { ...READY, stopping: random.next() < 0.1 };
    const incarnation = `i${below(2)}`;
    return {
      text: `report ${nodeId} ${incarnation}`,
      on: async (directory) => directory.reportNode(nodeId, incarnation, report, leaseMs),
    };
  }
  if (kind < 97)
    return { text: `remove ${nodeId}`, on: async (directory) => directory.removeNode(nodeId, "i0") };
  if (kind < 98) {
    const draining = random.next() < 0.3;
    return {
      text: `drain ${nodeId} ${draining}`,
      on: async (directory) => directory.setDraining(nodeId, draining),
    };
  }
  return {
    text: "nodes",
    on: async (directory) =>
      [...(await directory.nodes())].sort((one, other) => (one.nodeId < other.nodeId ? -1 : 1)).map(sorted),
  };
}

/** Fields in one order, so that texts can be compared. */
function sorted(record: object): unknown {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function answer(step: Promise<unknown>): Promise<unknown> {
  try {
    return (await step) ?? null;
  } catch (error) {
    if (error instanceof LumentraError) return error.code;
    throw error;
  }
}
