/**
 * The stage of a scenario: emulators, nodes that can be troubled from outside, and for a cluster Postgres, Redis and
 * control planes, each a process of its own. One tenant answers one number.
 */
import { lstatSync, symlinkSync, unlinkSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { JournalEvent } from "#actors/journal";
import { fetchClosedJournal } from "#bench/caller";
import { type Cluster, lastLogged, startCluster } from "#bench/cluster";
import { NetworkTap } from "#bench/emulators";
import {
  type EmulatorProcess,
  type NodeProcess,
  UNPRESSED,
  makeScratchFolder,
  startEmulatorProcess,
  startNodeProcess,
} from "#bench/processes";
import { type RedisServer, startRedis } from "../../control-plane/directory/redis-server.fixture.js";
import { LEVERS_VARIABLE, Levers } from "./levers.js";
import { NUMBER, TENANT, chaosTenant } from "./tenant.js";
import type { Scenario } from "./scenario-schema.js";
import { CONTROL_PLANES } from "./scenario-sense.js";

const CHAOS_NODE = new URL("./node-main.js", import.meta.url);
/** Segments of a spool that are given no disk: a scenario's events fill far fewer. */
const SEGMENTS_WITHOUT_DISK = 50;
/** The vendors whose network can be troubled, and the variable that names their address. */
const TAPPED = { deepgram: "DEEPGRAM_URL", groq: "GROQ_URL", cartesia: "CARTESIA_URL" } as const;
export type TappedVendor = keyof typeof TAPPED;
/** A spool that waits for its disk or its control plane sends within seconds of having them back. */
const RETRY_MS = 100;
const RETRIES_MAX = 200;
/** Longer than a process is given before it is killed. */
const STOP_TIMEOUT_MS = 30_000;

interface NodeOnStage {
  readonly process: NodeProcess;
  readonly levers: Levers;
  readonly dataFolder: string;
}

export class Lab {
  readonly emulators: EmulatorProcess;
  readonly taps: ReadonlyMap<TappedVendor, NetworkTap>;
  readonly nodes: readonly NodeOnStage[];
  /** Null on a stage of one node alone. */
  readonly cluster: (Cluster & { readonly redis: RedisServer }) | null;
  readonly #stops: readonly Stop[];
  /** Nobody can take the nodes' journals any more. */
  storeIsGone = false;

  /** Use `open`. @internal */
  constructor(
    emulators: EmulatorProcess,
    taps: ReadonlyMap<TappedVendor, NetworkTap>,
    nodes: readonly NodeOnStage[],
    cluster: Lab["cluster"],
    stops: readonly Stop[],
  ) {
    this.emulators = emulators;
    this.taps = taps;
    this.nodes = nodes;
    this.cluster = cluster;
    this.#stops = stops;
  }

  /** @throws what a process said that did not start; nothing is left behind then. */
  static async open(stage: Scenario["stage"]): Promise<Lab> {
    const stops: Stop[] = [];
    try {
      return await openLab(stage, stops);
    } catch (error) {
      await closeAll(stops);
      throw error;
    }
  }

  /** Where carriers send webhooks. */
  get webhookUrl(): string {
    return this.cluster?.balancer.url ?? this.nodes[0]!.process.edgeUrl;
  }

  /** With the most live calls: which of them has any is placement's to say. */
  async busiestNode(): Promise<NodeProcess> {
    const counts = await Promise.all(
      this.nodes.map(async ({ process }) => {
        const { calls } = (await (await fetch(`${process.adminUrl}/calls`)).json()) as { calls: unknown[] };
        return { process, count: calls.length };
      }),
    );
    return counts.toSorted((a, b) => b.count - a.count)[0]!.process;
  }

  /** What each process warned of last. */
  logs(): readonly string[] {
    return this.cluster?.logs() ?? this.nodes.map(({ process }) => `the node: ${lastLogged(process)}`);
  }

  async close(): Promise<void> {
    await closeAll(this.#stops);
  }

  /** The whole journal of a phone's call, from where it is kept; as far as it goes when it is never closed. */
  async journal(callSid: string): Promise<readonly JournalEvent[]> {
    const { cluster } = this;
    if (cluster === null || this.storeIsGone) {
      return fetchClosedJournal(this.nodes[0]!.process.adminUrl, callSid);
    }
    let journal: readonly JournalEvent[] = [];
    for (let attempt = 0; attempt < RETRIES_MAX; attempt += 1) {
      journal = await cluster.store.transaction({ kind: "operator" }, "operator:chaos", async (tx) => {
        const { rows } = await tx.calls.list({ tenantId: TENANT }, { size: 1_000, after: null });
        const row = rows.find(({ carrierCallId }) => carrierCallId === callSid);
        return row === undefined ? [] : ((await tx.calls.journal(row.id, 0, 1_000)) ?? []);
      });
      if (journal.at(-1)?.kind === "callEnded") break;
      await sleep(RETRY_MS);
    }
    return journal;
  }

  /** What a cluster still counts or has twice once its calls are over, in words. */
  async leftovers(callCount: number): Promise<readonly string[]> {
    const { cluster } = this;
    if (cluster === null || this.storeIsGone) return [];
    const wrong: string[] = [];
    const { rows } = await cluster.store.transaction({ kind: "operator" }, "operator:chaos", (tx) =>
      tx.calls.list({ tenantId: TENANT }, { size: 1_000, after: null }),
    );
    if (rows.length !== callCount) wrong.push(`${rows.length} calls are stored, ${callCount} were answered`);
    const { nodes } = await cluster.operator.call("NodeService", "ListNodes", {});
    for (const [index, { calls }] of nodes.entries()) {
      if (calls !== 0) wrong.push(`placement still counts ${calls} calls on node ${index}`);
    }
    return wrong;
  }

  /**
   * The spool's next files are links to a device that is always full: every write meets a real ENOSPC. Before its
   * first event only, as a file that is open stays what it is.
   */
  fillDisk(nodeIndex: number): void {
    for (const path of segmentPaths(this.nodes[nodeIndex]!.dataFolder)) symlinkSync("/dev/full", path);
  }

  /** Links the node has met it took away itself, for files of their names. */
  freeDisk(nodeIndex: number): void {
    for (const path of segmentPaths(this.nodes[nodeIndex]!.dataFolder)) {
      if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path);
    }
  }
}

type Stop = () => unknown;

/** Each, whatever becomes of the others, and none for ever. @throws what did not stop, when all have been asked. */
async function closeAll(stops: readonly Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.toReversed()) {
    const stopped = Promise.resolve()
      .then(stop)
      .catch((error: unknown) => void failures.push(error));
    const isLate = sleep(STOP_TIMEOUT_MS, true, { ref: false });
    if ((await Promise.race([stopped, isLate])) === true) failures.push(`it goes on: ${stop.toString()}`);
  }
  if (failures.length > 0) throw new Error(`the stage was not cleared: ${failures.join("; ")}`);
}

async function openLab(stage: Scenario["stage"], stops: Stop[]): Promise<Lab> {
  const scratch = await makeScratchFolder("chaos");
  const folder = scratch.path;
  stops.push(() => scratch.remove());
  const emulators = await startEmulatorProcess();
  stops.push(() => emulators.stop());
  const environment = { ...emulators.environment };
  const taps = new Map<TappedVendor, NetworkTap>();
  for (const [vendor, variable] of Object.entries(TAPPED) as [TappedVendor, string][]) {
    const tap = await NetworkTap.start(environment[variable]!);
    stops.push(() => tap.close());
    taps.set(vendor, tap);
    environment[variable] = tap.url;
  }
  const settings = {
    LUMENTRA_SHARDS: String(stage.shards),
    LUMENTRA_LOG_LEVEL: "warn",
    // A thread less to start for scenarios that lose none.
    LUMENTRA_SPARE_SHARD: "false",
    // All of it shares one machine.
    ...UNPRESSED,
    ...stage.environment,
  };
  const folderOf = (index: number) => join(folder, `node-${index}`);
  const levers = Array.from({ length: stage.nodes }, (_, index) => new Levers(`${folderOf(index)}-levers`));
  const environmentOf = (index: number) => ({
    LUMENTRA_DATA_DIR: folderOf(index),
    [LEVERS_VARIABLE]: levers[index]!.folder,
  });
  const onStage = (process: NodeProcess, index: number): NodeOnStage => ({
    process,
    levers: levers[index]!,
    dataFolder: folderOf(index),
  });
  if (stage.kind === "node") {
    const tenants = join(folder, "tenants.json");
    const tenant = { ...chaosTenant(stage.tenant), id: TENANT, numbers: [NUMBER] };
    await writeFile(tenants, JSON.stringify({ tenants: [tenant] }));
    const process = await startNodeProcess({
      entry: CHAOS_NODE,
      environment: { ...environment, ...settings, LUMENTRA_TENANTS_FILE: tenants, ...environmentOf(0) },
    });
    stops.push(() => process.stop());
    return new Lab(emulators, taps, [onStage(process, 0)], null, stops);
  }
  const redis = await startRedis({
    teardown: (stop) => void stops.push(stop),
    comment: (text) => process.stderr.write(`${text}\n`),
    fail: (text) => process.stderr.write(`${text}\n`),
  });
  if (redis === null) throw new Error("a scenario of a cluster needs a Redis, and there is none to be had");
  const cluster = await startCluster({
    nodes: stage.nodes,
    controlPlanes: CONTROL_PLANES,
    redisUrl: redis.url,
    providers: environment,
    nodeEnvironment: settings,
    environmentOf,
    nodeEntry: CHAOS_NODE,
    prepare: (operator) => addTenant(operator, chaosTenant(stage.tenant)),
  });
  stops.push(() => cluster.stop());
  return new Lab(emulators, taps, cluster.nodes.map(onStage), { ...cluster, redis }, stops);
}

async function addTenant(operator: Cluster["operator"], config: Record<string, unknown>): Promise<void> {
  await operator.call("ResellerService", "CreateReseller", { reseller: { id: TENANT, name: "Chaos" } });
  await operator.call("TenantService", "CreateTenant", {
    tenant: { id: TENANT, resellerId: TENANT, config },
  });
  await operator.call("PhoneNumberService", "CreatePhoneNumber", {
    phoneNumber: { number: NUMBER, tenantId: TENANT },
  });
}

function segmentPaths(dataFolder: string): readonly string[] {
  return Array.from({ length: SEGMENTS_WITHOUT_DISK }, (_, index) =>
    join(dataFolder, "spool", `${String(index + 1).padStart(10, "0")}.seg`),
  );
}
