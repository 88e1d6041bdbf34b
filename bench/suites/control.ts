/**
 * The control plane under load, over its wire: placements against Redis and against memory, journal appends, live
 * events to a hundred watchers, a tenant's change to fifty nodes. Control plane and Postgres are processes of their
 * own on the same machine as the load; what is shown is what a client sees.
 */
import { randomUUID } from "node:crypto";
import { journalEventToProto } from "#actors/journal";
import type { AppendJournalResponse__Output, WatchCallsResponse__Output } from "#proto";
import type { WatchTenantsResponse__Output } from "#proto";
import { Distribution } from "#bench/load";
import { plainTenant, startCluster } from "#bench/cluster";
import { LumentraError } from "#runtime/errors";
import { type FakeNode, connectFakeNode } from "./control-nodes.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

export interface ControlOptions extends SuiteOptions {
  /** Placements offered a second. @default 2000 */
  readonly rate?: number;
  /** Media nodes with a stream. @default 50 */
  readonly nodes?: number;
  /** Watchers of one tenant's calls. @default 100 */
  readonly watchers?: number;
}

const DEFAULT_RATE = 2_000;
const DEFAULT_NODES = 50;
const DEFAULT_WATCHERS = 100;
const TENANT = "bench";
/** A tenant may have 10,000 calls at once: those that are placed are spread over as many as the run needs. */
const PLACED_TENANTS = Array.from({ length: 50 }, (_, index) => `bench-${index}`);
/** Above what is under way at the highest rate, so that caps are never what is measured. */
const NODE_CAPACITY = 10_000;
/** Of a turn: what the caller said, what it heard of the reply, and a clause of progress. */
const EVENTS_PER_BATCH = 3;
/** Batches a node has under way before it waits for acknowledgements. */
const APPEND_WINDOW = 32;
const TENANT_CHANGES = 20;
/** Code on both sides is compiled by then. */
const WARM_UP_S = 2;
const MS_DECIMALS = 2;

export async function run(options: ControlOptions): Promise<SuiteResult> {
  const rows: SuiteResult["rows"] = [];
  const notes: string[] = [];
  const failures: string[] = [];
  // Each part gets its share of the time.
  const seconds = options.seconds / 4;
  const rate = options.rate ?? DEFAULT_RATE;
  const redisUrl = process.env["REDIS_URL"];
  for (const directory of redisUrl === undefined ? (["memory"] as const) : (["memory", "redis"] as const)) {
    const bootstrapToken = randomUUID();
    const cluster = await startCluster({
      nodes: 0,
      controlPlanes: 1,
      providers: {},
      controlPlaneEnvironment: {
        LUMENTRA_BOOTSTRAP_TOKEN: bootstrapToken,
        // No media comes and nothing is released, so that placing alone is measured: none may expire meanwhile.
        LUMENTRA_RESERVATION_TIME_MS: "120000",
      },
      ...(directory === "redis" && { redisUrl: redisUrl! }),
    });
    const nodes: FakeNode[] = [];
    try {
      const { operator, controlPlanes } = cluster;
      await operator.call("ResellerService", "CreateReseller", {
        reseller: { id: TENANT, name: TENANT, limits: { concurrentCalls: 1_000_000, tenants: 100 } },
      });
      for (const id of [TENANT, ...PLACED_TENANTS]) {
        await operator.call("TenantService", "CreateTenant", {
          tenant: { id, resellerId: TENANT, config: plainTenant(id, 10_000) },
        });
      }
      const target = controlPlanes[0]!.address;
      for (let index = 0; index < (options.nodes ?? DEFAULT_NODES); index += 1) {
        nodes.push(await connectFakeNode(target, bootstrapToken, `bench-${index}`, NODE_CAPACITY));
      }
      await placingBegins(nodes[0]!);
      await measurePlacements(nodes, rate, WARM_UP_S);
      const placed = await measurePlacements(nodes, rate, seconds);
      rows.push(...placed.rows.map((row) => ({ directory, ...row })));
      failures.push(...placed.failures);
      if (directory === "redis") continue; // the rest does not touch the directory much
      rows.push(await measureAppends(nodes.slice(0, 8), seconds));
      rows.push(await measureFanOut(cluster, nodes[0]!, options.watchers ?? DEFAULT_WATCHERS, seconds));
      rows.push(await measureTenantChange(cluster, nodes));
    } finally {
      for (const node of nodes) node.close();
      await cluster.stop();
    }
  }
  if (redisUrl === undefined) notes.push("Redis was not measured: set REDIS_URL");
  return { name: "control", rows, notes, ...(failures.length === 0 ? {} : { failures }) };
}

/** A fresh directory grants nothing until nodes had their time to tell what they hold. */
async function placingBegins(node: FakeNode): Promise<void> {
  const deadlineMs = performance.now() + UNTIL_TIMEOUT_MS;
  for (;;) {
    try {
      await placeOne(node, 0);
      return;
    } catch (error) {
      const isBeginning = error instanceof LumentraError && error.code === "DIRECTORY_REBUILDING";
      if (!isBeginning || performance.now() > deadlineMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Arrivals by schedule, latency from the intended instant. */
async function measurePlacements(nodes: readonly FakeNode[], ratePerSecond: number, seconds: number) {
  const latency = new Distribution(`placement at ${ratePerSecond}/s`);
  const failures: string[] = [];
  let refused = 0;
  const startedAtMs = performance.now();
  const count = Math.round(ratePerSecond * seconds);
  const pending: Promise<void>[] = [];
  for (let index = 0; index < count; ) {
    const nowMs = performance.now();
    for (; index < count && startedAtMs + (index * 1_000) / ratePerSecond <= nowMs; index += 1) {
      const intendedAtMs = startedAtMs + (index * 1_000) / ratePerSecond;
      pending.push(
        placeOne(nodes[index % nodes.length]!, index).then(
          (isPlaced) => {
            latency.record(performance.now() - intendedAtMs);
            if (!isPlaced) refused += 1;
          },
          (error: unknown) => void failures.push(error instanceof Error ? error.message : String(error)),
        ),
      );
    }
    // Not a spin: on two cores it would be the control plane's other threads that wait. What it makes late is counted.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  const tookS = (performance.now() - startedAtMs) / 1_000;
  if (refused > 0) failures.push(`${refused} placements were refused though there was room`);
  return {
    rows: [{ ...latency.row(MS_DECIMALS), perSecond: Math.round(latency.count / tookS) }],
    failures: failures.slice(0, 5),
  };
}

async function placeOne({ rpc, nodeId }: FakeNode, index: number): Promise<boolean> {
  const { refusal } = await rpc.call("PlacementService", "PlaceCall", {
    carrier: "twilio",
    carrierCallId: `CA${randomUUID()}`,
    tenantId: PLACED_TENANTS[index % PLACED_TENANTS.length]!,
    pii: { from: `+1555${index}`, to: "+12025550101" },
    preferredNodeId: nodeId,
  });
  return refusal === "PLACEMENT_REFUSAL_UNSPECIFIED";
}

/** Each node keeps a window of batches under way, one call after the other, for the time given. */
async function measureAppends(nodes: readonly FakeNode[], seconds: number) {
  const latency = new Distribution(`journal batch of ${EVENTS_PER_BATCH} to durable`);
  const startedAtMs = performance.now();
  const deadlineMs = startedAtMs + seconds * 1_000;
  const counts = await Promise.all(nodes.map((node) => appendUntil(node, deadlineMs, latency)));
  const events = counts.reduce((sum, count) => sum + count, 0);
  return {
    ...latency.row(MS_DECIMALS),
    perSecond: Math.round((events * 1_000) / (performance.now() - startedAtMs)),
  };
}

function appendUntil(node: FakeNode, deadlineMs: number, latency: Distribution): Promise<number> {
  const stream = node.rpc.connect("JournalService", "AppendJournal");
  const sentAtMs = new Map<number, number>();
  let batchId = 0;
  let events = 0;
  const calls = Array.from({ length: APPEND_WINDOW }, () => new FakeCall(node.nodeId));
  const send = (): void => {
    const call = calls[batchId % calls.length]!;
    batchId += 1;
    sentAtMs.set(batchId, performance.now());
    stream.write({ batchId, callId: call.callId, epoch: call.epoch, events: call.next(EVENTS_PER_BATCH) });
  };
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("end", () => resolve(events));
    stream.on("data", ({ batchId: done, errorCode }: AppendJournalResponse__Output) => {
      if (errorCode !== "") return reject(new Error(`a batch was answered with ${errorCode}`));
      const nowMs = performance.now();
      latency.record(nowMs - sentAtMs.get(done)!);
      sentAtMs.delete(done);
      events += EVENTS_PER_BATCH;
      if (nowMs < deadlineMs) send();
      else if (sentAtMs.size === 0) stream.end();
    });
    for (let index = 0; index < APPEND_WINDOW; index += 1) send();
  });
}

/** A call whose journal grows by turns. */
class FakeCall {
  readonly callId = randomUUID();
  readonly epoch = Date.now();
  readonly #nodeId: string;
  #sequence = 0;

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  next(count: number) {
    return Array.from({ length: count }, () => {
      const sequence = this.#sequence++;
      const { callId, epoch } = this;
      const base = { callId, epoch, sequence, atMs: performance.now(), atUnixMs: Date.now() };
      const carrierCallId = `CA${callId}`;
      return journalEventToProto(
        sequence === 0
          ? {
              ...base,
              kind: "callStarted",
              tenantId: TENANT,
              carrier: "twilio",
              carrierCallId,
              nodeId: this.#nodeId,
              pii: { from: "+15550100001", to: "+12025550101" },
            }
          : {
              ...base,
              kind: "callerTurn",
              turn: sequence,
              throughAtMs: null,
              pii: { said: "Could I have an appointment on Thursday afternoon, please?" },
            },
      );
    });
  }
}

type RunningCluster = Awaited<ReturnType<typeof startCluster>>;

/** From the send of a call's first event to its arrival at each of the watchers. */
async function measureFanOut(cluster: RunningCluster, node: FakeNode, watchers: number, seconds: number) {
  const latency = new Distribution(`call event to ${watchers} watchers`);
  const sentAtMs = new Map<string, number>();
  let arrived = 0;
  const streams = Array.from({ length: watchers }, () =>
    cluster.operator.watch("CallService", "WatchCalls", { tenantId: TENANT }),
  );
  await Promise.all(
    streams.map(
      (stream) =>
        new Promise<void>((resolve, reject) => {
          stream.on("error", reject);
          const seen = new Set<string>();
          stream.on("data", ({ call, synced }: WatchCallsResponse__Output) => {
            if (synced) return resolve();
            if (!call) return;
            const sent = sentAtMs.get(call.id);
            if (sent === undefined || seen.has(call.id)) return;
            seen.add(call.id);
            latency.record(performance.now() - sent);
            arrived += 1;
          });
        }),
    ),
  );
  const journal = node.rpc.connect("JournalService", "AppendJournal");
  journal.on("error", () => {});
  journal.on("data", () => {});
  const deadlineMs = performance.now() + seconds * 1_000;
  let count = 0;
  while (performance.now() < deadlineMs) {
    const call = new FakeCall(node.nodeId);
    sentAtMs.set(call.callId, performance.now());
    count += 1;
    journal.write({ batchId: count, callId: call.callId, epoch: call.epoch, events: call.next(1) });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await until(() => arrived >= count * watchers);
  for (const stream of streams) {
    stream.on("error", () => {});
    stream.cancel();
  }
  journal.end();
  return { ...latency.row(MS_DECIMALS), perSecond: Math.round(arrived / seconds) };
}

/** From the update's send to the last node's having it. */
async function measureTenantChange({ operator }: RunningCluster, nodes: readonly FakeNode[]) {
  const latency = new Distribution(`tenant change to all of ${nodes.length} nodes`);
  let version = 0;
  let told = 0;
  const streams = nodes.map(({ rpc }) => rpc.watch("TenantService", "WatchTenants", {}));
  await Promise.all(
    streams.map(
      (stream) =>
        new Promise<void>((resolve, reject) => {
          stream.on("error", reject);
          stream.on("data", ({ changed, synced }: WatchTenantsResponse__Output) => {
            if (synced) resolve();
            if (changed?.id === TENANT && changed.config?.greeting === `Hello ${version}.`) told += 1;
          });
        }),
    ),
  );
  for (let change = 1; change <= TENANT_CHANGES; change += 1) {
    version = change;
    told = 0;
    const startedAtMs = performance.now();
    await operator.call("TenantService", "UpdateTenant", {
      tenant: { id: TENANT, config: { greeting: `Hello ${version}.` } },
      updateMask: { paths: ["config.greeting"] },
    });
    await until(() => told >= nodes.length);
    latency.record(performance.now() - startedAtMs);
  }
  for (const stream of streams) {
    stream.on("error", () => {});
    stream.cancel();
  }
  return latency.row(MS_DECIMALS);
}

const UNTIL_TIMEOUT_MS = 20_000;

async function until(holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + UNTIL_TIMEOUT_MS;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error("what was sent did not arrive everywhere in 20 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
