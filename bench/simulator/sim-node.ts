/**
 * A node of a simulated world: the real switchboard, placement and legs over simulated shards. It can lose a shard, lose
 * sight of the control plane, and die.
 */
import type { CallShardParts } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import { type ProviderSettings, providerDefaults } from "#actors/providers";
import type { TenantConfig } from "#actors/tenants";
import { ApologyStore, JournalStore, LocalPlacement, RemotePlacement, Switchboard } from "#node";
import type { CallStart, SlotLease } from "#runtime/cluster";
import { SlotTable } from "#runtime/cluster";
import { silentLogger } from "#runtime/telemetry";
import { LEASE_TIME_MS, type Plane, RESUME_GRACE_MS } from "./plane.js";
import type { Limits } from "./script.js";
import type { Seams } from "./seams.js";
import { SimEdge } from "./sim-edge.js";
import { simMetrics } from "./sim-metrics.js";
import { SimNetwork, type VendorWorld } from "./sim-network.js";
import { SimShard, type SimShardEvents } from "./sim-shard.js";
import { SimThread, type SimTime } from "./sim-time.js";

const REPORT_MS = 1_000;
/** Between a shard's death and what the main thread knows of it. */
const NOTICE_MS = [0, 8] as const;
const RESPAWN_MS = 300;
/** More than a world has. */
const CALLS_KEPT_MAX = 64;
/** The spool's stream: batches on their way. */
const SPOOL_MS = [5, 120] as const;

export interface SimNodeOptions {
  readonly time: SimTime;
  readonly index: number;
  readonly shards: number;
  readonly limits: Limits;
  readonly tenant: TenantConfig;
  readonly plane: Plane;
  readonly vendors: VendorWorld;
  readonly seams: Seams;
  readonly parts: CallShardParts;
  readonly onWritten: (event: JournalEvent) => void;
  readonly onJournalLost: (event: JournalEvent) => void;
  readonly onTicked: () => void;
  readonly onShardError: (error: unknown) => void;
}

export class SimNode {
  readonly nodeId: string;
  readonly mediaUrl: string;
  readonly thread: SimThread;
  readonly switchboard: Switchboard;
  readonly edge: SimEdge;
  readonly shards: SimShard[] = [];
  readonly #options: SimNodeOptions;
  readonly #networks = new Set<SimNetwork>();
  readonly #local: LocalPlacement;
  readonly #spool: JournalEvent[] = [];
  /** Where each call was opened last. */
  readonly #placeOf = new Map<string, { readonly shard: SimShard; readonly slot: number }>();
  readonly #drained = new Set<number>();
  #isSending = false;
  #partitionedUntilMs = 0;
  #nextGeneration = 0;
  #lastPostAtMs = 0;
  #isClosed = false;

  constructor(options: SimNodeOptions) {
    const { time, index, plane, tenant } = options;
    this.#options = options;
    this.nodeId = `node-${index}`;
    this.mediaUrl = `wss://node-${index}`;
    this.thread = new SimThread(time);
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
      journals: new JournalStore(CALLS_KEPT_MAX, CALLS_KEPT_MAX),
      apologies: new ApologyStore(),
      resumeGraceMs: RESUME_GRACE_MS,
      readJournal: (callId, epoch) => this.#readJournal(callId, epoch),
      onJournal: (event) => this.#onJournal(event),
      accounts: {},
      canServe: () => true,
      goneKeptMax: CALLS_KEPT_MAX,
    });
    this.edge = new SimEdge(this.thread, this.switchboard, metrics);
    const pressure = { mayTakeCalls: () => true, current: () => ({ rung: 0 }) };
    this.switchboard.connect(this.#pool() as never, this.edge as never, pressure as never);
  }

  get isUp(): boolean {
    return !this.thread.isDead && this.thread.nowMs() >= this.#partitionedUntilMs;
  }

  /** Slots in use, legs, suspended calls, connections to vendors. */
  inUse(): Readonly<Record<string, number>> {
    const sum = (count: (shard: SimShard) => number): number =>
      this.shards.reduce((total, shard) => total + count(shard), 0);
    return {
      slots: sum(({ slots }) => slots.liveCount),
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
    for (let shardId = 0; shardId < shards; shardId++) this.#spawn(shardId);
    this.#reportLater();
  }

  partition(ms: number): void {
    this.#partitionedUntilMs = Math.max(this.#partitionedUntilMs, this.thread.nowMs() + ms);
  }

  /** The whole process: sockets break, what was spooled is on its disk. */
  die(): void {
    this.thread.die();
    for (const shard of this.shards) shard.kill(false);
  }

  /** What a dead node's disk holds, told when it is back. */
  takeSpool(): readonly JournalEvent[] {
    return this.#spool.splice(0);
  }

  /** Its calls move to others, each when nobody notices. */
  drainShard(index: number): void {
    this.switchboard.drainShard(index);
  }

  killShard(index: number): void {
    const shard = this.shards[index];
    if (shard === undefined || shard.clock.isDead) return;
    shard.kill(this.#options.time.random.next() < 0.5);
    this.#onShardDead(shard);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.edge.close();
    this.switchboard.close();
    await Promise.all(this.shards.map((shard) => (shard.clock.isDead ? Promise.resolve() : shard.stop())));
  }

  /** A stage of this call throws the next time it does something. False: the call is not here. */
  crash(callId: string, stage: "inbound" | "playout" | "journal"): boolean {
    const at = this.#placeOf.get(callId);
    if (at === undefined || at.shard.clock.isDead) return false;
    if (stage === "journal") {
      at.shard.journalCrash = callId;
      return true;
    }
    const leg = at.shard.legOf(at.slot);
    if (stage === "inbound") throwOnce(leg.in, "read");
    else throwOnce(leg.out, "tryWriteAudio");
    return true;
  }

  // ---- shards

  #spawn(shardId: number): void {
    const { time, limits, tenant, vendors, parts, onWritten, onJournalLost, onTicked, onShardError } =
      this.#options;
    const network = new SimNetwork(vendors);
    this.#networks.add(network);
    const events: SimShardEvents = {
      onReady: (ready) => this.switchboard.onShardReady(ready.shardId),
      onWake: (from) => this.switchboard.onWake(from.shardId),
      onEvent: (event) => this.switchboard.onEvent(shardId, event),
      onClosed: (from, slot, generation, outcome) => {
        const lease = from.slots.markClosed(slot, generation);
        if (lease !== null) this.switchboard.onCallClosed(lease, outcome);
      },
      onHangUp: (from, slot, generation) => {
        const lease = from.slots.find(slot, generation);
        if (lease !== null) this.switchboard.onHangUp(lease);
      },
      onDead: (dead, error) => {
        onShardError(error);
        this.#onShardDead(dead);
      },
      onWritten,
      onJournalLost,
      onTicked,
    };
    const shard = new SimShard({
      time,
      shardId,
      arena: {
        slotCount: limits.slotsPerShard,
        inRecordCount: limits.inRecordCount,
        outRecordCount: limits.outRecordCount,
      },
      outbox: { unreadBatches: limits.unreadBatches, heldItems: limits.heldItems },
      workerData: {
        providers: providerSettings(limits),
        dataDirectory: "",
      },
      config: { tenants: [tenant] },
      nextGeneration: () => ++this.#nextGeneration,
      network,
      parts,
      toMain: (delayMs, body) => this.#toMain(delayMs, body),
      events,
    });
    this.shards[shardId] = shard;
    void shard.start();
  }

  /** In order. */
  #toMain(delayMs: number, body: () => void): void {
    const nowMs = this.thread.nowMs();
    this.#lastPostAtMs = Math.max(this.#lastPostAtMs + 1, nowMs + this.#options.time.between(0, delayMs));
    this.thread.after(this.#lastPostAtMs - nowMs, body);
  }

  #onShardDead(shard: SimShard): void {
    this.#toMain(this.#options.time.between(...NOTICE_MS), () => {
      this.switchboard.onShardLost(shard.shardId, shard.slots.loseAll(), "exited", {
        culprit: null,
        silentMs: 0,
      });
      this.thread.after(RESPAWN_MS, () => {
        if (!this.#isClosed) this.#spawn(shard.shardId);
      });
    });
  }

  /** What the switchboard uses of a ShardPool. */
  #pool() {
    const shardOf = (lease: SlotLease): SimShard | undefined =>
      this.shards.find(({ slots }) => slots === SlotTable.of(lease));
    const reserveIn = (shard: SimShard | undefined): SlotLease | null => {
      const lease = shard?.slots.reserve() ?? null;
      if (lease === null || shard === undefined) return null;
      const ring = lease.ringShard.bind(lease);
      return Object.assign(lease, {
        ringShard: () => {
          ring();
          shard.tickSoon();
        },
      });
    };
    const serves = ({ isReady, clock, slots }: SimShard): boolean =>
      isReady && !clock.isDead && slots.freeCount > 0;
    const leastLoaded = (may: (shard: SimShard) => boolean): SlotLease | null =>
      reserveIn(
        this.shards
          .filter((shard) => serves(shard) && may(shard))
          .sort((a, b) => a.slots.liveCount - b.slots.liveCount)[0],
      );
    const drained = this.#drained;
    return {
      reserve: (): SlotLease | null => leastLoaded(({ shardId }) => !drained.has(shardId)),
      reserveAgain: (shardId: number): SlotLease | null => {
        const home = this.shards[shardId];
        const here = home !== undefined && serves(home) && !drained.has(shardId) ? reserveIn(home) : null;
        return here ?? leastLoaded((shard) => !drained.has(shard.shardId)) ?? leastLoaded(() => true);
      },
      // The dead are replaced.
      hasProspect: true,
      drainShard: (shardId: number): boolean => {
        const shard = this.shards[shardId];
        if (shard === undefined || !serves(shard)) return false;
        drained.add(shardId);
        return true;
      },
      endShardDrain: (shardId: number): boolean => {
        drained.delete(shardId);
        return true;
      },
      ask: (shardId: number, topic: string, payload: unknown): Promise<unknown> =>
        this.shards[shardId]?.ask(topic, payload) ?? Promise.reject(new Error("no such shard")),
      open: (lease: SlotLease, start: CallStart): boolean => {
        const shard = shardOf(lease);
        if (shard === undefined || !shard.slots.markOpen(lease)) return false;
        this.#placeOf.set(start.callId, { shard, slot: lease.slot });
        if (this.#options.seams.pauses === false)
          Object.assign(shard.legOf(lease.slot).out, { setPaused: () => {} });
        shard.open(lease.slot, lease.generation, structuredClone(start));
        return true;
      },
      endCall: (lease: SlotLease, outcome: Parameters<SimShard["endCall"]>[2]): boolean => {
        const shard = shardOf(lease);
        if (shard === undefined || lease.state !== "open") return false;
        shard.endCall(lease.slot, lease.generation, outcome);
        return true;
      },
      release: (lease: SlotLease): void => {
        if (this.#options.seams.releasesSlots !== false) SlotTable.of(lease).release(lease);
      },
      drainOutBell: (shardId: number, visit: (lease: SlotLease) => void): void => {
        this.shards[shardId]?.slots.drainOutBell(visit);
      },
      readiness: () => ({ ready: true, reason: "" }),
      stats: () =>
        this.shards.map(({ shardId }) => ({ shardId, role: drained.has(shardId) ? "draining" : "serving" })),
      askAll: () => Promise.resolve([]),
    };
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
    const ready = this.shards.some(({ isReady, clock }) => isReady && !clock.isDead);
    await directory.reportNode(this.nodeId, this.nodeId, { ready, stopping: false, pressure }, LEASE_TIME_MS);
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
  const { deepgram, groq, cerebras, cartesia } = providerDefaults;
  return {
    // Sockets ahead for the calls of a world, not of a node.
    deepgram: { ...deepgram, apiKey: "sim", warmPerKind: 1, warmMax: 2 },
    groq: { ...groq, apiKey: "sim", requestsMax },
    cerebras: { ...cerebras, apiKey: "sim", requestsMax },
    cartesia: { ...cartesia, apiKey: "sim" },
  };
}
