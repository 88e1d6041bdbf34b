/**
 * A node of a simulated world: the real switchboard, placement, legs and shard pool over simulated threads. It can lose a
 * shard, have one that hangs, lose sight of the control plane, and die.
 */
import type { CallShardParts } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import { type ProviderSettings, providerDefaults } from "#actors/providers";
import type { TenantConfig } from "#actors/tenants";
import { ApologyStore, JournalStore, LocalPlacement, RemotePlacement, Switchboard } from "#node";
import { type ShardBoot, ShardPool } from "#runtime/cluster";
import { silentLogger } from "#runtime/telemetry";
import { LEASE_TIME_MS, type Plane, RESUME_GRACE_MS } from "./plane.js";
import type { Limits, VendorFault } from "./script.js";
import type { Seams } from "./seams.js";
import { SimEdge, type TakeOver } from "./sim-edge.js";
import { SimDisk } from "./sim-disk.js";
import { simMetrics } from "./sim-metrics.js";
import { PIPER_ORIGIN, SimNetwork, type VendorWorld, WHISPER_ORIGIN } from "./sim-network.js";
import { SimShard } from "./sim-shard.js";
import { SimThread, type SimTime } from "./sim-time.js";

const REPORT_MS = 1_000;
/** Rarer than a node's, for each is a timer: a thread that hangs is ended after 2 s, or 500 ms when it spins. */
export const WATCHDOG = {
  heartbeatMs: 500,
  lookEveryMs: 200,
  spinningAfterMs: 500,
  hungAfterMs: 2_000,
} as const;
/** Of a watchdog that is asleep. */
const NEVER_HUNG = {
  hungAfterMs: Number.POSITIVE_INFINITY,
  spinningAfterMs: Number.POSITIVE_INFINITY,
} as const;
/** More than a world has. */
const CALLS_KEPT_MAX = 64;
/** The spool's stream: batches on their way. */
const SPOOL_MS = [5, 120] as const;

export interface SimNodeOptions {
  readonly time: SimTime;
  readonly index: number;
  readonly shards: number;
  readonly hasSpare: boolean;
  readonly limits: Limits;
  readonly tenant: TenantConfig;
  readonly plane: Plane;
  readonly vendors: VendorWorld;
  readonly seams: Seams;
  readonly parts: CallShardParts;
  readonly onWritten: (event: JournalEvent) => void;
  readonly onJournalLost: (event: JournalEvent) => void;
  readonly onTicked: () => void;
  readonly onShardStopped: (timersLeft: number) => void;
  readonly onShardError: (error: unknown) => void;
  readonly onTakeOver: (takeOver: TakeOver) => void;
}

export class SimNode {
  readonly nodeId: string;
  readonly mediaUrl: string;
  readonly thread: SimThread;
  readonly disk: SimDisk;
  readonly switchboard: Switchboard;
  readonly edge: SimEdge;
  readonly pool: ShardPool;
  readonly #options: SimNodeOptions;
  readonly #networks = new Set<SimNetwork>();
  readonly #local: LocalPlacement;
  readonly #spool: JournalEvent[] = [];
  /** The thread of each shard, alive or the last one. */
  readonly #threads = new Map<number, SimShard>();
  #isSending = false;
  #partitionedUntilMs = 0;
  #nextThread = 1;
  #lastPostAtMs = 0;
  #isClosed = false;

  constructor(options: SimNodeOptions) {
    const { time, index, plane, tenant } = options;
    this.#options = options;
    this.nodeId = `node-${index}`;
    this.mediaUrl = `wss://node-${index}`;
    this.thread = new SimThread(time);
    this.disk = new SimDisk(time, options.seams);
    let localCalls = 0;
    this.#local = new LocalPlacement(this.thread, () => `${this.nodeId}-call-${++localCalls}`);
    const metrics = simMetrics();
    const isUp = (): boolean => this.isUp;
    const rpc = {
      call: (_service: string, method: string, request: Readonly<Record<string, unknown>>) =>
        plane.rpc(this.nodeId, this.thread, isUp, method, request),
    };
    const placement = new RemotePlacement({
      local: this.#local,
      rpc: rpc as never,
      isUp,
      nodeId: this.nodeId,
      region: "here",
      clock: this.thread,
      onLeaseLost: (callId, epoch) => this.switchboard.leaseLost(callId, epoch),
      onUnknown: () => void this.#report(),
      log: silentLogger,
    });
    this.switchboard = new Switchboard({
      clock: this.thread,
      log: silentLogger,
      metrics: metrics,
      nodeId: this.nodeId,
      tenants: {
        tenants: [tenant],
        byId: (id: string) => (id === tenant.id ? tenant : undefined),
        byNumber: () => tenant,
        onChange: () => () => {},
        close: () => {},
      },
      placement,
      journals: new JournalStore(CALLS_KEPT_MAX),
      apologies: new ApologyStore(),
      resumeGraceMs: RESUME_GRACE_MS,
      readJournal: (callId, epoch) => this.#readJournal(callId, epoch),
      onJournal: (event) => this.#onJournal(event),
      accounts: {},
      canServe: () => true,
      goneKeptMax: CALLS_KEPT_MAX,
    });
    this.pool = this.#createPool();
    const wakeShards = (): void => this.pool.wakeRung();
    this.edge = new SimEdge(this.thread, this.switchboard, metrics, wakeShards, options.onTakeOver);
    const pressure = { mayTakeCalls: () => true, current: () => ({ rung: 0 }) };
    this.switchboard.connect(this.pool, this.edge as never, pressure as never);
  }

  get isUp(): boolean {
    return !this.thread.isDead && this.thread.nowMs() >= this.#partitionedUntilMs;
  }

  /** Slots in use, legs, suspended calls, connections to vendors. */
  inUse(): Readonly<Record<string, number>> {
    return {
      slots: this.pool.stats().reduce((total, { live }) => total + live, 0),
      legs: this.edge.openCount,
      held: this.switchboard.heldCount,
      tenantCalls: this.#local.countOf(this.#options.tenant.id),
    };
  }

  /** Sockets to vendors, once every shard has stopped. */
  get vendorConnections(): number {
    return [...this.#networks].reduce((count, { openCount }) => count + openCount, 0);
  }

  async start(): Promise<void> {
    const { plane, shards, limits } = this.#options;
    await plane.directory.registerNode(
      {
        nodeId: this.nodeId,
        incarnation: this.nodeId,
        region: "here",
        version: "sim",
        mediaUrl: this.mediaUrl,
        capacityCalls: shards * limits.slotsPerShard,
      },
      LEASE_TIME_MS,
    );
    this.pool.configure({ tenants: [this.#options.tenant] });
    // It is ready when its first shards are; a world waits that long before the first call.
    void this.pool.start();
    this.#reportLater();
  }

  /** Vendors are gone. */
  vendorsGone(): void {
    for (const network of this.#networks) if (!network.thread.isDead) network.breakOut();
  }

  partition(ms: number): void {
    this.#partitionedUntilMs = Math.max(this.#partitionedUntilMs, this.thread.nowMs() + ms);
  }

  /** The whole process: sockets break, what was spooled is on its disk. */
  die(): void {
    this.thread.die();
    for (const shard of this.#threads.values()) shard.vanish();
  }

  /** What a dead node's disk holds, told when it is back. */
  takeSpool(): readonly JournalEvent[] {
    return this.#spool.splice(0);
  }

  /** Its calls move to others, each when nobody notices. */
  drainShard(index: number): void {
    this.switchboard.admin.drainShard(index);
  }

  /** It is to stop: its calls may go on for so long. That it is gone then is another fault's. */
  drain(graceMs: number): void {
    this.pool.beginDrain(this.thread.nowMs() + graceMs);
    void this.switchboard.drain();
    void this.#report();
  }

  /** By itself: half of the time with what it had to say. */
  killShard(shardId: number): void {
    this.#threads.get(shardId)?.exit(this.#options.time.random.next() < 0.5);
  }

  /** What a shard has open to vendors breaks, all of it at one instant. */
  breakVendors(shardId: number, kind: VendorFault["vendor"] | null): void {
    this.#threads.get(shardId)?.breakVendors(kind);
  }

  /** The shard that has this call; null: it is not here. */
  shardOf(callId: string): number | null {
    return this.#shardOf(callId)?.shardId ?? null;
  }

  holdShard(shardId: number, ms: number): void {
    this.#threads.get(shardId)?.standStill(ms, null, false);
  }

  /** A call's code does not come back, for so long. False: the call is not here. */
  hang(callId: string, ms: number, isSpinning: boolean): boolean {
    const shard = this.#shardOf(callId);
    if (shard === null) return false;
    shard.standStill(ms, callId, isSpinning);
    return true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.edge.close();
    this.switchboard.close();
    await this.pool.close();
  }

  /** A stage of this call throws the next time it does something. False: the call is not here. */
  crash(callId: string, stage: "inbound" | "playout" | "journal"): boolean {
    const shard = this.#shardOf(callId);
    if (shard === null) return false;
    if (stage === "journal") {
      shard.journalCrash = callId;
      return true;
    }
    const leg = shard.legOf(callId)!;
    if (stage === "inbound") throwOnce(leg.in, "read");
    else throwOnce(leg.out, "tryWriteAudio");
    return true;
  }

  // ---- shards

  #createPool(): ShardPool {
    const { time, limits, shards, hasSpare, seams } = this.#options;
    const pool = new ShardPool(
      {
        shardCount: shards,
        spare: hasSpare && seams.hasSpares !== false,
        slotsPerShard: limits.slotsPerShard,
        arena: { inRecordCount: limits.inRecordCount, outRecordCount: limits.outRecordCount },
        entry: (boot) => this.#startThread(boot),
        workerData: { providers: providerSettings(limits), dataDirectory: "" },
        watchdog: { ...WATCHDOG, ...(seams.watches === false ? NEVER_HUNG : {}) },
        threadCpu: (threadId) => this.#thread(threadId)?.cpu() ?? null,
        clock: this.thread,
        log: silentLogger,
        random: time.random,
      },
      this.switchboard,
    );
    if (seams.releasesSlots === false) pool.release = () => {};
    return pool;
  }

  #startThread(boot: ShardBoot): SimShard {
    const { time, limits, vendors, parts, onWritten, onJournalLost, onTicked, onShardError, seams } =
      this.#options;
    const { onShardStopped: onStopped } = this.#options;
    const network = new SimNetwork(vendors);
    this.#networks.add(network);
    const shard = new SimShard(boot, {
      time,
      threadId: this.#nextThread++,
      outbox: { unreadBatches: limits.unreadBatches, heldItems: limits.heldItems },
      network,
      parts: { ...parts, messages: this.disk },
      toMain: (delayMs, body) => this.#toMain(delayMs, body),
      events: {
        onOpened: (leg) => {
          if (seams.pauses === false) Object.assign(leg.out, { setPaused: () => {} });
        },
        onThrew: onShardError,
        onWritten,
        onJournalLost,
        onTicked,
        onStopped,
      },
    });
    if (seams.cancelsTimers === false) keepTimers(shard.clock);
    this.#threads.set(boot.shardId, shard);
    return shard;
  }

  #thread(threadId: number): SimShard | undefined {
    return [...this.#threads.values()].find((shard) => shard.threadId === threadId);
  }

  #shardOf(callId: string): SimShard | null {
    for (const shard of this.#threads.values())
      if (!shard.isOver && shard.legOf(callId) !== null) return shard;
    return null;
  }

  /** In order. */
  #toMain(delayMs: number, body: () => void): void {
    const nowMs = this.thread.nowMs();
    this.#lastPostAtMs = Math.max(this.#lastPostAtMs + 1, nowMs + this.#options.time.between(0, delayMs));
    this.thread.after(this.#lastPostAtMs - nowMs, body);
  }

  // ---- the control plane

  async #readJournal(callId: string, epoch: number): Promise<readonly JournalEvent[] | null> {
    const { plane, time } = this.#options;
    await new Promise<void>((resolve) => this.thread.after(time.between(4, 30), resolve));
    if (!this.isUp) throw new Error("partitioned");
    return plane.read(callId, epoch)?.map((event) => structuredClone(event)) ?? null;
  }

  #onJournal(event: JournalEvent): void {
    this.#spool.push(event);
    this.#sendSoon();
  }

  #sendSoon(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    this.thread.after(this.#options.time.between(...SPOOL_MS), () => {
      this.#isSending = false;
      if (this.isUp)
        for (const event of this.#spool.splice(0)) this.#options.plane.append(this.nodeId, event);
      else if (this.#spool.length > 0) this.#sendSoon();
    });
  }

  #reportLater(): void {
    void this.#report();
    if (this.#isClosed) return;
    this.thread.setTimer(REPORT_MS, () => {
      if (!this.#isClosed) this.#reportLater();
    });
  }

  async #report(): Promise<void> {
    if (!this.isUp) return;
    const { directory } = this.#options.plane;
    const pressure = {
      rung: 0,
      pacingLagMs: 0,
      eventLoopDelayMs: 0,
      slotUsage: 0,
      providerUsage: 0,
    } as const;
    const { ready } = this.pool.readiness();
    await directory.reportNode(
      this.nodeId,
      this.nodeId,
      { ready, stopping: this.switchboard.isStopping, pressure },
      LEASE_TIME_MS,
    );
    const claims = [...this.switchboard.held()].map((call) => ({ ...call, resellerId: "reseller" }));
    for (const verdict of await directory.claim(this.nodeId, claims, LEASE_TIME_MS)) {
      if (verdict.kind === "lost" && !this.thread.isDead)
        this.switchboard.leaseLost(verdict.callId, verdict.epoch);
    }
  }
}

/** Of the object alone: its class and the other calls are as they were. */
function throwOnce(target: object, method: string): void {
  Object.defineProperty(target, method, {
    configurable: true,
    value: () => {
      Reflect.deleteProperty(target, method);
      throw new Error(`injected: ${method} throws`);
    },
  });
}

function providerSettings({ requestsMax }: Limits): ProviderSettings {
  const { deepgram, groq, cerebras, cartesia, assemblyai, anthropic, elevenlabs } = providerDefaults;
  const { whisper, piper } = providerDefaults;
  return {
    // Sockets ahead for the calls of a world, not of a node.
    deepgram: { ...deepgram, apiKey: "sim", warmPerKind: 1, warmMax: 2 },
    groq: { ...groq, apiKey: "sim", requestsMax },
    cerebras: { ...cerebras, apiKey: "sim", requestsMax },
    cartesia: { ...cartesia, apiKey: "sim" },
    assemblyai: { ...assemblyai, apiKey: "sim", warmPerKind: 1, warmMax: 2 },
    anthropic: { ...anthropic, apiKey: "sim", requestsMax },
    elevenlabs: { ...elevenlabs, apiKey: "sim" },
    whisper: { ...whisper, apiKey: "", url: WHISPER_ORIGIN },
    piper: { ...piper, apiKey: "", url: PIPER_ORIGIN },
  };
}

function keepTimers(clock: SimThread): void {
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, callback) => {
    let isOff = false;
    setTimer(delayMs, () => {
      if (!isOff) callback();
    });
    return { cancel: () => void (isOff = true) };
  };
}
