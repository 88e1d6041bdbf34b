/**
 * Redis killed, emptied, hung and away, with calls going on: what callers of the directory see, and that afterwards
 * every call has one holder and every counter is the number of live leases.
 */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import t from "tap";
import { seededRandom } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { silentLogger } from "#runtime/telemetry";
import { READY, addNode, claimOf, granted, registration, request } from "./directory.fixture.js";
import type { Directory, Lease, LeaseClaim, ReserveResult } from "./directory.js";
import { COMMAND_TIMEOUT_MS } from "./redis-connection.js";
import { RedisDirectory } from "./redis-directory.js";
import { type RedisServer, startRedis } from "./redis-server.fixture.js";

const LEASE_MS = 1_500;
const REPORT_MS = 50;
const REBUILD_MS = 500;
const CAPACITY = 25;

void t.test("Redis killed twice under load: one holder each, no leak, nothing lost", async (t) => {
  const server = await startRedis(t);
  if (server === null || !server.ours) return;
  const seed = Date.now() % 1_000_000;
  t.comment(`seed ${seed}`);
  const world = new World(server, seed);
  t.teardown(() => world.close());
  await world.start();

  await world.placed(150);
  await server.restart({ keepData: false });
  await world.placed(300);
  t.same(world.rebuilds, [1, 1], "every control plane was told of the loss, once");
  await server.restart({ keepData: true });
  await world.placed(450);
  await world.settle();
  t.same(world.rebuilds, [1, 1], "a restart that kept the data is no loss");

  const [directory] = world.directories;
  t.same(world.overfull, [], "no node was given more than it can carry");
  t.ok(world.moved > 20, `${world.moved} calls were resumed elsewhere`);
  let live = 0;
  for (const node of world.nodes) {
    for (const claim of node.holds.values()) {
      const lease = await directory!.lookUp(claim.callId);
      if (lease?.nodeId !== node.nodeId || lease.epoch !== claim.epoch)
        t.fail(`${node.nodeId} holds ${claim.callId} without a lease`);
      if (world.nodes.filter(({ holds }) => holds.has(claim.callId)).length !== 1)
        t.fail(`${claim.callId} has two holders`);
      live++;
    }
  }
  t.same(
    [...world.talking].filter((callId) => !world.nodes.some(({ holds }) => holds.has(callId))),
    [],
    "no call that was going on was lost",
  );
  t.equal(live, world.talking.size);
  t.same(await directory!.counts("tenant", "reseller"), { tenantCalls: live, resellerCalls: live });
  const counted = Object.fromEntries((await directory!.nodes()).map(({ nodeId, calls }) => [nodeId, calls]));
  t.same(counted, Object.fromEntries(world.nodes.map(({ nodeId, holds }) => [nodeId, holds.size])));
});

void t.test(
  "a Redis that hangs is given up on in bounded time, and used again when it goes on",
  async (t) => {
    const server = await startRedis(t);
    if (server === null || server.pid === null) return;
    const directory = open(server);
    t.teardown(() => directory.close());
    await directory.ping();
    process.kill(server.pid, "SIGSTOP");
    await t.rejects(directory.ping(), { code: "DIRECTORY_UNAVAILABLE" });
    process.kill(server.pid, "SIGCONT");
    await eventually(() => directory.ping());
  },
);

void t.test("a process that stood still does not take Redis for silent: its answer is there", async (t) => {
  const server = await startRedis(t);
  if (server === null) return;
  const directory = open(server);
  t.teardown(() => directory.close());
  await directory.ping();
  const asked = directory.ping();
  // Longer than any command is waited for, and this thread does nothing meanwhile.
  spawnSync("sleep", [String((COMMAND_TIMEOUT_MS + 100) / 1_000)]);
  await asked;
  t.pass("it was answered");
});

void t.test(
  "away: commands wait a little, then fail at once; back: they work, and topics are heard again",
  async (t) => {
    const server = await startRedis(t);
    if (server === null || !server.ours) return;
    const directory = open(server);
    const other = open(server);
    t.teardown(() => Promise.all([directory.close(), other.close()]).then(() => {}));
    let heard = (): void => {};
    const message = new Promise<void>((done) => {
      heard = done;
    });
    await directory.subscribe("node:a", heard);

    await server.stop();
    await t.rejects(directory.ping(), { code: "DIRECTORY_UNAVAILABLE" });
    const late = await Promise.allSettled([directory.ping(), directory.subscribe("x", () => {})]);
    t.same(
      late.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    await server.restart({ keepData: false });
    await eventually(() => other.ping());
    const publishing = repeat(() => other.publish("node:a", "hello"));
    await message;
    publishing.stop();
    await publishing.ended;
  },
);

void t.test("a command sent while Redis restarts is answered when it is back", async (t) => {
  const server = await startRedis(t);
  if (server === null || !server.ours) return;
  const directory = open(server, { rebuildMs: 0 });
  t.teardown(() => directory.close());
  await addNode(directory, "a");
  await server.stop();
  const [back, reported] = await Promise.all([
    server.restart({ keepData: false }),
    directory.reportNode("a", "i1", READY, LEASE_MS).catch((error: unknown) => error),
  ]);
  t.equal(back, undefined);
  // The kill may be seen by the command itself rather than before it.
  t.ok(reported === "unknown" || (reported as LumentraError).code === "DIRECTORY_UNAVAILABLE");
});

void t.test("leases that nobody could renew are not taken as expired: nodes are asked first", async (t) => {
  const server = await startRedis(t);
  if (server === null) return;
  const directory = open(server, { rebuildMs: 400, prefix: "outage" });
  const raw = new Redis(server.url);
  raw.on("error", () => {});
  t.teardown(async () => {
    raw.disconnect();
    await directory.close();
  });
  await directory.claim("a", [claimOf("c1", 7), claimOf("c2", 7)], 1);
  await eventually(async () => {
    if ((await directory.takeExpired(1)).length === 0) throw new Error("not yet");
  });
  const asked = new Promise<void>((done) => void directory.onRebuild(done));
  // As if no control plane had been there for a minute.
  await raw.hset("{outage}:generation", "swept", Date.now() - 60_000);
  t.same(await directory.takeExpired(10), []);
  await asked;
  await t.rejects(directory.reserve(request("c3")), { code: "DIRECTORY_REBUILDING" });
  t.match(await directory.claim("a", [claimOf("c2", 7)], 60_000), [{ kind: "held" }]);
  await eventually(async () => {
    await directory.reserve(request("c3"));
  });
  t.same(await directory.takeExpired(10), [], "the node had time to tell");
  await raw.del("{outage}:generation");
});

void t.test("epochs grow over a loss of memory, faster than the clock", async (t) => {
  const server = await startRedis(t);
  if (server === null) return;
  const directory = open(server, { rebuildMs: 0, prefix: "epochs" });
  t.teardown(() => directory.close());
  let last = 0;
  for (let round = 0; round < 5; round++) {
    await addNode(directory, "a");
    for (let i = 0; i < 10; i++) {
      const { epoch } = granted(
        await directory.reserve(request("c1", { resume: true, knownEpoch: last, nodeIds: ["a"] })),
      );
      t.ok(epoch > last);
      last = epoch;
    }
    await server.flush();
  }
});

void t.test("nothing secret is in logs or errors", async (t) => {
  const server = await startRedis(t);
  if (server === null || !server.ours) return;
  const raw = new Redis(server.url);
  raw.on("error", () => {});
  await raw.config("SET", "requirepass", "the-right-password");
  raw.disconnect();
  const lines: string[] = [];
  const write = (fields: object, message: string): void => {
    lines.push(JSON.stringify([fields, message]));
  };
  const log: Logger = { debug: write, info: write, warn: write, error: write, child: () => log };
  const url = server.url.replace("//", "//:planted-secret@");
  const directory = new RedisDirectory({ url, prefix: "secret", log });
  t.teardown(() => directory.close());
  const error: unknown = await directory.ping().catch((reason: unknown) => reason);
  t.match(error, { code: "DIRECTORY_UNAVAILABLE" });
  const shown = [
    ...lines,
    JSON.stringify(error),
    (error as Error).stack,
    String((error as Error).cause),
  ].join("\n");
  t.ok(lines.length > 0);
  t.match(shown, /WRONGPASS|NOAUTH/);
  t.notMatch(shown, /planted-secret/);
});

// ---- the world of the first test

/** A media node as the directory sees it: reports, claims what it holds, drops what it is told is lost. */
class SimulatedNode {
  readonly nodeId: string;
  readonly holds = new Map<string, LeaseClaim>();

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  async register(directory: Directory): Promise<void> {
    await directory.registerNode(registration(this.nodeId, CAPACITY), LEASE_MS);
    await this.tell(directory);
  }

  async tell(directory: Directory): Promise<void> {
    const answer = await directory.reportNode(this.nodeId, "i1", READY, LEASE_MS);
    if (answer !== "ok") await directory.registerNode(registration(this.nodeId, CAPACITY), LEASE_MS);
    const claims = [...this.holds.values()];
    for (const verdict of await directory.claim(this.nodeId, claims, LEASE_MS)) {
      // A newer lease of the call may have come to this very node meanwhile.
      const held = this.holds.get(verdict.callId);
      if (verdict.kind === "lost" && held !== undefined && held.epoch < verdict.epoch)
        this.holds.delete(verdict.callId);
    }
  }
}

/** Two control planes, four nodes, callers that come, are resumed elsewhere, and go; a sweeper. */
class World {
  readonly directories: readonly RedisDirectory[];
  readonly nodes = ["a", "b", "c", "d"].map((nodeId) => new SimulatedNode(nodeId));
  readonly rebuilds: number[] = [0, 0];
  /** Calls whose media arrived and that nobody ended. */
  readonly talking = new Set<string>();
  readonly overfull: string[] = [];
  moved = 0;
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #loops: Loop[] = [];
  #callers: Promise<void>[] = [];
  #count = 0;
  #placedCount = 0;
  #stopping = false;
  #closed = false;
  #gate: { at: number; open: () => void } | null = null;

  constructor(server: RedisServer, seed: number) {
    this.#random = seededRandom(seed);
    this.directories = [open(server, { rebuildMs: REBUILD_MS }), open(server, { rebuildMs: REBUILD_MS })];
  }

  async start(): Promise<void> {
    for (const [index, directory] of this.directories.entries()) {
      await directory.ping();
      directory.onRebuild(() => {
        this.rebuilds[index]!++;
        // Each control plane asks the nodes whose streams it has.
        for (const node of this.nodes.slice(index * 2, index * 2 + 2))
          node.register(directory).catch(() => {});
      });
    }
    for (const [index, node] of this.nodes.entries())
      this.#loops.push(repeat(() => node.tell(this.directories[index >> 1]!)));
    this.#loops.push(repeat(() => this.#sweepAndLook()));
    this.#callers = Array.from({ length: 6 }, () => this.#call());
  }

  /** Resolves when so many calls have had their media. */
  placed(count: number): Promise<void> {
    return new Promise((open) => {
      this.#gate = { at: count, open };
    });
  }

  /** No more callers; waits until what was left behind has expired. */
  async settle(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
    await eventually(async () => {
      const held = this.nodes.reduce((sum, { holds }) => sum + holds.size, 0);
      const counted = (await this.directories[0]!.nodes()).reduce((sum, { calls }) => sum + calls, 0);
      if (held !== counted || held !== this.talking.size) throw new Error(`${held} held, ${counted} counted`);
    });
  }

  async close(): Promise<void> {
    this.#stopping = true;
    this.#closed = true;
    for (const loop of this.#loops) loop.stop();
    await Promise.all([...this.#callers, ...this.#loops.map(({ ended }) => ended)]);
    for (const directory of this.directories) await directory.close();
  }

  async #call(): Promise<void> {
    const mine: Lease[] = [];
    while (!this.#stopping) {
      const lease = await this.#place(`c${this.#count++}`, false);
      if (lease !== null) mine.push(lease);
      if (mine.length > 0 && this.#random.next() < 0.3) {
        // The carrier comes back for a call that talks.
        const index = Math.floor(this.#random.next() * mine.length);
        const moved = await this.#place(mine[index]!.callId, true);
        if (moved !== null) {
          mine[index] = moved;
          this.moved++;
        }
      }
      if (mine.length > 8 || (lease === null && mine.length > 0)) await this.#end(mine.shift()!);
    }
  }

  /** Null: there was no room, or the reservation was forgotten with everything else. */
  async #place(callId: string, resume: boolean): Promise<Lease | null> {
    const from = Math.floor(this.#random.next() * 4);
    const nodeIds = [0, 1, 2, 3].map((offset) => this.nodes[(from + offset) % 4]!.nodeId);
    const asked = request(callId, { resume, nodeIds, reservationMs: LEASE_MS });
    const result = await this.#insist((directory): Promise<ReserveResult> => directory.reserve(asked));
    if (result?.kind !== "reserved" && result?.kind !== "existing") return null;
    const { nodeId, epoch } = result.lease;
    const lease = await this.#insist((directory) => directory.confirm(callId, epoch, nodeId, LEASE_MS));
    if (lease === null || lease === "unknown" || lease === "lost") return null;
    const node = this.nodes.find((one) => one.nodeId === nodeId)!;
    node.holds.set(callId, claimOf(callId, epoch));
    this.talking.add(callId);
    this.#placedCount++;
    if (this.#gate !== null && this.#placedCount >= this.#gate.at) {
      this.#gate.open();
      this.#gate = null;
    }
    return lease;
  }

  async #end(lease: Lease): Promise<void> {
    this.talking.delete(lease.callId);
    for (const { holds } of this.nodes) holds.delete(lease.callId);
    await this.#insist((directory) => directory.release(lease.callId, lease.epoch));
  }

  /** As a service does for its caller: again, by any control plane, while that may help. */
  async #insist<Result>(ask: (directory: Directory) => Promise<Result>): Promise<Result | null> {
    while (!this.#closed) {
      try {
        return await ask(this.directories[this.#random.next() < 0.5 ? 0 : 1]!);
      } catch (error) {
        if (!(error instanceof LumentraError) || !error.retryable) throw error;
        await sleep(10);
      }
    }
    return null;
  }

  async #sweepAndLook(): Promise<void> {
    const [directory] = this.directories;
    await directory!.takeExpired(100);
    for (const { nodeId, calls } of await directory!.nodes())
      if (calls > CAPACITY) this.overfull.push(`${nodeId} ${calls}`);
  }
}

// ---- small things

function open(server: RedisServer, more: { rebuildMs?: number; prefix?: string } = {}): RedisDirectory {
  return new RedisDirectory({ url: server.url, prefix: "faults", log: silentLogger, ...more });
}

interface Loop {
  stop(): void;
  readonly ended: Promise<void>;
}

/** Again and again, whatever becomes of it, as a timer of a process does. */
function repeat(work: () => Promise<void>): Loop {
  const state = { stopped: false };
  const loop = async (): Promise<void> => {
    while (!state.stopped) {
      await work().catch(() => {});
      await sleep(REPORT_MS);
    }
  };
  return {
    stop: () => {
      state.stopped = true;
    },
    ended: loop(),
  };
}

/** Until it succeeds; the bound is the test's own timeout. */
async function eventually(work: () => Promise<void>): Promise<void> {
  const deadlineAt = performance.now() + 20_000;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > deadlineAt) throw error;
      await sleep(20);
    }
  }
}
