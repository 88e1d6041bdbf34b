/**
 * One simulated world: nodes, a control plane, vendors, carriers and callers on one thread under virtual time, run from a
 * script. What happened is handed to the invariants as it is.
 */
import { cacheableTexts, VoiceCache } from "#actors/call";
import { CartesiaVoice } from "./rendered-phrases.js";
import { type TenantConfig, tenantSchema } from "#actors/tenants";
import { seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { silentLogger } from "#runtime/telemetry";
import { enterWorld, leaveWorld } from "./immediates.js";
import { Line, type LineFault } from "./line.js";
import { type Moment, type MomentFault, Moments } from "./moments.js";
import { LEASE_TIME_MS, Plane, RECONCILE_MS, RESUME_GRACE_MS } from "./plane.js";
import {
  type LlmFault,
  type Script,
  type TtsFault,
  type VendorFault,
  type WorldFault,
  drawScript,
} from "./script.js";
import type { Seams } from "./seams.js";
import type { VendorWorld } from "./sim-network.js";
import type { TakeOver } from "./sim-edge.js";
import { simMetrics } from "./sim-metrics.js";
import { SimNode } from "./sim-node.js";
import { SimThread, SimTime } from "./sim-time.js";
import type { AskedMessage } from "./llm-wires.js";
import { Witness } from "./witness.js";

/** Providers are warm, and the nodes have said that they are ready. */
const START_MS = 1_500;
/** No script lasts longer; a call that is still there is a failure. */
const LONGEST_MS = 150_000;
/** After the last call: suspended calls and leases run out, journals arrive. */
const AFTER_MS = RESUME_GRACE_MS + 2 * LEASE_TIME_MS + 2 * RECONCILE_MS + 6_000;
/** A dead node's disk is read again so long after. */
const SPOOL_RETURNS_MS = 3_000;
const LOOK_MS = 1_000;
const CLOSE_MS = 12_000;
/** A shard that has just come up waits for its providers for five seconds at most. */
const LAST_ROUND_MS = 6_500;

const TENANT: TenantConfig = tenantSchema.parse({
  id: "sim",
  name: "Sim Dental",
  industry: "dental practice",
  numbers: ["+12025550101"],
  timeZone: "America/New_York",
  agentName: "Ava",
  greeting: "Hello there.",
});

/** Second choices are other models behind the same wire protocols: accounts, breakers and chains are real. */
const WITH_FALLBACKS: TenantConfig = tenantSchema.parse({
  ...TENANT,
  stt: { ...TENANT.stt, fallbacks: [{ provider: "deepgram", model: "nova-2" }] },
  llm: { ...TENANT.llm, fallbacks: [{ provider: "cerebras", model: "llama-3.3-70b" }] },
  tts: {
    ...TENANT.tts,
    fallbacks: [{ provider: "cartesia", model: "sonic-2", voice: TENANT.tts.voice }],
  },
});

/** Second choices are other vendors, with wires of their own. */
const WITH_OTHERS: TenantConfig = tenantSchema.parse({
  ...TENANT,
  stt: { ...TENANT.stt, fallbacks: [{ provider: "assemblyai" }] },
  llm: { ...TENANT.llm, fallbacks: [{ provider: "anthropic" }] },
  tts: { ...TENANT.tts, fallbacks: [{ provider: "elevenlabs" }] },
});

/** Second choices are servers of one's own: utterances and clauses by HTTP. */
const WITH_SERVERS: TenantConfig = tenantSchema.parse({
  ...TENANT,
  stt: { ...TENANT.stt, fallbacks: [{ provider: "whisper" }] },
  llm: { ...TENANT.llm, fallbacks: [{ provider: "cerebras", model: "llama-3.3-70b" }] },
  tts: { ...TENANT.tts, fallbacks: [{ provider: "piper" }] },
});

const OWN: TenantConfig = tenantSchema.parse({
  ...TENANT,
  stt: { provider: "whisper" },
  tts: { provider: "piper" },
});

/** What a run leaves behind. */
export interface WorldRecord {
  readonly script: Script;
  readonly lines: readonly Line[];
  readonly plane: Plane;
  readonly nodes: readonly SimNode[];
  readonly witness: Witness;
  readonly asked: readonly {
    readonly callId: string;
    readonly atMs: number;
    readonly messages: readonly AskedMessage[];
  }[];
  readonly faultCounts: ReadonlyMap<string, number>;
  /** Errors that ended a shard and were not injected. */
  readonly shardErrors: readonly unknown[];
  /** The script's, and those that came with moments: each as it struck. */
  readonly faults: readonly WorldFault[];
  readonly takeOvers: readonly TakeOver[];
  /** When everything was over, before anything was closed. */
  readonly atRest: {
    readonly isOver: boolean;
    readonly inUse: readonly Readonly<Record<string, number>>[];
    readonly leases: number;
  };
  /** When everything was closed. */
  readonly atEnd: { readonly timers: number; readonly connections: number };
  readonly virtualMs: number;
  /** When the script began: its instants count from here. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

export async function runWorld(script: Script, seams: Seams = {}): Promise<WorldRecord> {
  const cache = await phrases();
  // The first call of a process loads what is loaded lazily, in real time: no seed's world may be the one that waits.
  warmedUp ??= runIn(() => new World(drawScript(0, new Set(), 1), {}, cache, true));
  await warmedUp;
  return runIn(() => new World(script, seams, cache));
}

async function runIn(create: () => World): Promise<WorldRecord> {
  enterWorld();
  try {
    return await create().run();
  } finally {
    leaveWorld();
  }
}

let warmedUp: Promise<unknown> | null = null;

const TENANTS: Readonly<Record<Script["fallbacks"], TenantConfig>> = {
  none: TENANT,
  models: WITH_FALLBACKS,
  vendors: WITH_OTHERS,
  servers: WITH_SERVERS,
  own: OWN,
};

class World {
  readonly #script: Script;
  readonly #time: SimTime;
  readonly #plane: Plane;
  readonly #nodes: SimNode[];
  readonly #lines: Line[];
  readonly #witness: Witness;
  readonly #planeThread: SimThread;
  readonly #moments: Moments;
  readonly #faults: WorldFault[];
  readonly #asked: WorldRecord["asked"][number][] = [];
  readonly #faultCounts = new Map<string, number>();
  #shardTimersLeft = 0;
  readonly #shardErrors: unknown[] = [];
  readonly #takeOvers: TakeOver[] = [];
  readonly #vendorsReturn: boolean;
  /** Null while nothing may break: before the script begins, and when it is over. */
  #startedAtMs: number | null = null;
  #outAtMs = Number.POSITIVE_INFINITY;
  #outUntilMs = Number.POSITIVE_INFINITY;

  constructor(script: Script, seams: Seams, cache: VoiceCache, turnsLoop = false) {
    this.#script = script;
    this.#vendorsReturn = seams.vendorsReturn ?? true;
    this.#time = new SimTime(seededRandom(script.seed), turnsLoop);
    this.#planeThread = new SimThread(this.#time);
    this.#plane = new Plane(this.#time, this.#planeThread, script.limits.tenantCap, seams);
    const tenant = TENANTS[script.fallbacks];
    this.#witness = new Witness(tenant, seams);
    const vendors = this.#vendors(seams);
    this.#nodes = Array.from({ length: script.nodes }, (_, index) => {
      return new SimNode({
        time: this.#time,
        index,
        shards: script.shardsPerNode,
        hasSpare: script.hasSpare,
        limits: script.limits,
        tenant,
        plane: this.#plane,
        vendors,
        seams,
        parts: {
          cache,
          log: silentLogger,
          metrics: simMetrics(),
          onCall: (start, call) => this.#witness.onCall(start, call),
        },
        onWritten: (event) => {
          this.#witness.onWritten(event);
          this.#moments.onWritten(event);
        },
        onJournalLost: (event) => this.#witness.onJournalLost(event),
        onTicked: () => this.#witness.onTicked(),
        onShardStopped: (timersLeft) => (this.#shardTimersLeft += timersLeft),
        onShardError: (error) => this.#shardErrors.push(error),
        onTakeOver: (takeOver) => this.#takeOvers.push(takeOver),
      });
    });
    this.#plane.onLeaseLost = (nodeId, callId, epoch) => this.#tellLeaseLost(nodeId, callId, epoch);
    const onFault = (kind: string): void => this.#noteFault(kind);
    const world = { time: this.#time, nodes: this.#nodes, seams, onFault };
    this.#lines = script.calls.map((call, index) => new Line(world, call, index));
    this.#faults = [...script.faults];
    this.#moments = new Moments(
      script.moments,
      (callId) => this.#indexOf(callId),
      (moment, callId) => this.#come(moment, callId),
    );
  }

  async run(): Promise<WorldRecord> {
    const time = this.#time;
    const beganAtMs = time.nowMs();
    for (const node of this.#nodes) await node.start();
    await this.#plane.start();
    await time.runUntil(() => false, beganAtMs + START_MS);
    const startedAtMs = time.nowMs();
    this.#startedAtMs = startedAtMs;
    for (const [index, { atMs }] of this.#script.calls.entries())
      if (atMs < LONGEST_MS) time.setTimer(atMs, () => this.#lines[index]!.dial());
    const faults = this.#script.faults.map((fault) => time.setTimer(fault.atMs, () => this.#strike(fault)));
    const { outage } = this.#script;
    if (outage !== null) {
      this.#outAtMs = time.nowMs() + outage.atMs;
      if (outage.ms !== null && this.#vendorsReturn) this.#outUntilMs = this.#outAtMs + outage.ms;
      const out = time.setTimer(outage.atMs, () => {
        this.#noteFault(outage.ms === null ? "outage" : "outagePasses");
        for (const node of this.#nodes) node.vendorsGone();
      });
      faults.push(out);
    }
    // A script that was shrunk leaves calls out by placing them after the end of the world.
    const placed = this.#lines.filter((_, index) => this.#script.calls[index]!.atMs < LONGEST_MS);
    const isOver = (): boolean => placed.every((line) => line.isOver);
    await time.runUntil(isOver, beganAtMs + LONGEST_MS);
    const endedAtMs = time.nowMs();
    for (const fault of faults) fault.cancel();
    this.#startedAtMs = null;
    const living = this.#nodes.filter(({ thread }) => !thread.isDead);
    while (time.nowMs() < endedAtMs + AFTER_MS && !(await this.#isAtRest(living)))
      await time.runUntil(() => false, time.nowMs() + LOOK_MS);
    const counts = await this.#plane.directory.counts(TENANT.id, "reseller");
    const atRest = {
      isOver: isOver(),
      inUse: living.map((node) => node.inUse()),
      leases: counts.tenantCalls,
    };
    const closing = Promise.all([...living.map((node) => node.close()), this.#plane.close()]);
    let isClosed = false;
    void closing.then(() => {
      isClosed = true;
    });
    await time.runUntil(() => isClosed, time.nowMs() + CLOSE_MS);
    // What runs once a second sees that it is over.
    await time.runUntil(() => false, time.nowMs() + LAST_ROUND_MS);
    return {
      script: this.#script,
      lines: placed,
      plane: this.#plane,
      nodes: this.#nodes,
      witness: this.#witness,
      asked: this.#asked,
      faultCounts: this.#faultCounts,
      shardErrors: this.#shardErrors,
      faults: this.#faults,
      takeOvers: this.#takeOvers,
      atRest,
      atEnd: {
        timers: time.timerCount + this.#shardTimersLeft,
        connections: living.reduce((count, node) => count + node.vendorConnections, 0),
      },
      virtualMs: endedAtMs - beganAtMs,
      startedAtMs,
      endedAtMs,
    };
  }

  /** Nothing is held and every journal has its end: waiting longer would change nothing. */
  async #isAtRest(living: readonly SimNode[]): Promise<boolean> {
    const isHeld = living.some((node) => Object.values(node.inUse()).some((count) => count > 0));
    if (isHeld || [...this.#plane.rows.values()].some(({ state }) => state !== "ended")) return false;
    return (await this.#plane.directory.counts(TENANT.id, "reseller")).tenantCalls === 0;
  }

  #vendors(seams: Seams): VendorWorld {
    const { vendors } = this.#script;
    const requests = new Map<string, number>();
    const contexts = new Map<string, number>();
    let sttSockets = 0;
    let answers = 0;
    const nth = (counts: Map<string, number>, callId: string): number => {
      const count = counts.get(callId) ?? 0;
      counts.set(callId, count + 1);
      return count;
    };
    return {
      time: this.#time,
      seams,
      hasOwnFirst: this.#script.fallbacks === "own",
      sttFault: () => {
        const at = sttSockets++;
        const found = vendors.find((entry) => entry.vendor === "stt" && entry.nth === at);
        return found?.vendor === "stt" ? found.fault : null;
      },
      fault: (callId): LlmFault | null => {
        const at = nth(requests, callId);
        const call = this.#indexOf(callId);
        const found = vendors.find(
          (entry) => entry.vendor === "llm" && entry.nth === at && entry.call === call,
        );
        return found?.vendor === "llm" ? found.fault : null;
      },
      ttsFault: (callId): TtsFault | null => {
        const at = nth(contexts, callId);
        const call = this.#indexOf(callId);
        const found = vendors.find(
          (entry) => entry.vendor === "tts" && entry.nth === at && entry.call === call,
        );
        return found?.vendor === "tts" ? found.fault : null;
      },
      isOut: (vendor, isFirst) => this.#isOut(vendor, isFirst),
      onFault: (kind) => this.#noteFault(kind),
      answerWords: () => this.#time.between(2, 12),
      onAsked: (callId, messages) => this.#asked.push({ callId, atMs: this.#time.nowMs(), messages }),
      nextAnswer: () => ++answers,
    };
  }

  #isOut(vendor: VendorFault["vendor"], isFirst: boolean): boolean {
    const nowMs = this.#time.nowMs();
    const { outage } = this.#script;
    if (outage?.vendor !== vendor || (outage.whose === "first" && !isFirst)) return false;
    return nowMs >= this.#outAtMs && nowMs < this.#outUntilMs;
  }

  #noteFault(kind: string): void {
    this.#faultCounts.set(kind, (this.#faultCounts.get(kind) ?? 0) + 1);
  }

  #tellLeaseLost(nodeId: string, callId: string, epoch: number): void {
    const node = this.#nodes.find((candidate) => candidate.nodeId === nodeId);
    node?.thread.after(this.#time.between(2, 15), () => {
      if (node.isUp) node.switchboard.leaseLost(callId, epoch);
    });
  }

  #indexOf(callId: string): number {
    return this.#lines.findIndex((line) => line.callId === callId);
  }

  /** Never within what brought it: an event is written in the middle of something. */
  #come({ afterMs, what }: Moment, callId: string): void {
    this.#time.setTimer(afterMs, () => {
      const index = this.#indexOf(callId);
      if (this.#startedAtMs === null || index < 0) return;
      if (isCarriers(what)) return this.#lines[index]!.strike(what);
      const atMs = this.#time.nowMs() - this.#startedAtMs;
      for (const [node, of] of this.#nodes.entries()) {
        const shard = of.thread.isDead ? null : of.shardOf(callId);
        if (shard === null) continue;
        // Every kind takes of it what it needs.
        const fault = Object.assign({ call: index, node, shard, atMs }, what) as WorldFault;
        this.#faults.push(fault);
        return this.#strike(fault);
      }
    });
  }

  #strike(fault: WorldFault): void {
    if (fault.kind === "crash") return this.#crash(fault);
    if (fault.kind === "hang") return this.#hang(fault);
    const node = this.#nodes[fault.node];
    if (node === undefined || node.thread.isDead) return;
    switch (fault.kind) {
      case "shardDeath":
        this.#noteFault(fault.kind);
        return node.killShard(fault.shard);
      case "shardDrain":
        this.#noteFault(fault.kind);
        return node.drainShard(fault.shard);
      case "shardHold":
        this.#noteFault(fault.kind);
        return node.holdShard(fault.shard, fault.ms);
      case "vendorsBreak":
        this.#noteFault(fault.kind);
        return node.breakVendors(fault.shard, fault.vendor);
      case "nodeHold":
        this.#noteFault(fault.kind);
        return node.thread.hold(fault.ms);
      case "nodeDrain":
        this.#noteFault(fault.kind);
        return node.drain(fault.graceMs);
      case "partition":
        this.#noteFault(fault.kind);
        return node.partition(fault.ms);
      case "nodeDeath":
        // One must be left to answer.
        if (this.#nodes.filter(({ thread }) => !thread.isDead).length === 1) return;
        this.#noteFault(fault.kind);
        node.die();
        for (const line of this.#lines) line.nodeDied(node);
        this.#time.setTimer(SPOOL_RETURNS_MS, () => {
          for (const event of node.takeSpool()) this.#plane.append(node.nodeId, event);
        });
    }
  }

  /** A stage of the call throws, once, the next time it does something. */
  #crash({ call, stage }: Extract<WorldFault, { kind: "crash" }>): void {
    const callId = this.#lines[call]?.callId ?? null;
    if (callId === null) return;
    for (const node of this.#nodes)
      if (!node.thread.isDead && node.crash(callId, stage)) this.#noteFault("crash");
  }

  /** A stage of the call does not come back, for so long. */
  #hang({ call, ms, isSpinning }: Extract<WorldFault, { kind: "hang" }>): void {
    const callId = this.#lines[call]?.callId ?? null;
    if (callId === null) return;
    for (const node of this.#nodes)
      if (!node.thread.isDead && node.hang(callId, ms, isSpinning)) this.#noteFault("hang");
  }
}

function isCarriers(what: MomentFault): what is LineFault {
  return what.kind === "cut" || what.kind === "stall" || what.kind === "hangUp" || what.kind === "key";
}

let phrasesReady: Promise<VoiceCache> | null = null;

/** Rendered once per process, with the words in the audio; every shard of every world plays them. */
function phrases(): Promise<VoiceCache> {
  phrasesReady ??= (async () => {
    const voice = new CartesiaVoice();
    const clock = new SimThread(new SimTime(seededRandom(1)));
    const cache = new VoiceCache({ clock, log: silentLogger, directory: null, tts: () => voice });
    for (const tenant of [TENANT, OWN]) {
      const { provider, model, voice: voiceId } = tenant.tts;
      const key = { provider, model, voice: voiceId, language: tenant.language, format: MULAW_8K };
      await cache.warm(key, cacheableTexts(tenant));
    }
    return cache;
  })();
  return phrasesReady;
}
