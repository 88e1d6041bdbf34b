/**
 * What happens in a simulated world, drawn from its seed and then plain data: what callers do, what breaks and when, how
 * tight the limits are. Whoever shrinks a failure leaves parts of it out.
 */
import { seededRandom } from "#runtime/actor";
import { Draw } from "./draw.js";
import { type Moment, type MomentFault, drawMoments } from "./moments.js";

/** What a caller does next. Times are milliseconds. */
export type Step =
  /** Waits until the agent is silent, then asks; the answer names the question's number. */
  | { readonly kind: "ask"; readonly question: number; readonly pauseMs: number; readonly tool: boolean }
  /** Waits until the agent has spoken for so long, then asks over it. */
  | { readonly kind: "interrupt"; readonly question: number; readonly afterMs: number }
  /** Over what the agent says: nothing that should stop it. */
  | { readonly kind: "backchannel"; readonly afterMs: number }
  | { readonly kind: "thank"; readonly pauseMs: number }
  /** A sound without words. */
  | { readonly kind: "noise"; readonly ms: number }
  | { readonly kind: "keys"; readonly digits: string; readonly pauseMs: number }
  /** Two halves of a question with a pause in which an answer may begin. */
  | { readonly kind: "hesitate"; readonly question: number; readonly pauseMs: number }
  /** A sentence without a pause, longer than an in-ring, with what he asks at its beginning. */
  | { readonly kind: "ramble"; readonly question: number; readonly words: number }
  | { readonly kind: "wait"; readonly ms: number }
  /** Waits until he is asked for a message, leaves one and lets the agent hang up. */
  | { readonly kind: "message"; readonly number: number }
  /** Says goodbye and lets the agent hang up. */
  | { readonly kind: "farewell" };

export type CarrierFault =
  /** The socket is gone; the carrier asks what comes next. */
  | { readonly kind: "cut"; readonly atMs: number }
  /** What the caller says comes late and all at once. */
  | { readonly kind: "stall"; readonly atMs: number; readonly ms: number }
  /** Marks come back this much later than they were played. */
  | { readonly kind: "marksLate"; readonly ms: number }
  /** One mark in so many never comes back. */
  | { readonly kind: "marksLost"; readonly every: number }
  | { readonly kind: "hangUp"; readonly atMs: number };

export type SttFault = {
  readonly kind: "stall" | "reset" | "late" | "refuse";
  /** Frames of speech before it strikes. */
  readonly afterFrames: number;
  readonly ms: number;
};

export type LlmFault = {
  readonly kind: "tooMany" | "stall" | "stallMid" | "reset" | "noDone" | "slow";
  readonly ms: number;
  readonly afterTokens: number;
};

export type TtsFault = {
  readonly kind: "stall" | "reset" | "noDone" | "error" | "late";
  readonly ms: number;
};

/** `nth`: of this call's streams, requests or contexts; of the world's sockets for a recogniser. */
export type VendorFault =
  | { readonly vendor: "stt"; readonly nth: number; readonly fault: SttFault }
  | { readonly vendor: "llm"; readonly call: number; readonly nth: number; readonly fault: LlmFault }
  | { readonly vendor: "tts"; readonly call: number; readonly nth: number; readonly fault: TtsFault };

export type WorldFault =
  /** A stage of the call throws. */
  | {
      readonly kind: "crash";
      readonly call: number;
      readonly atMs: number;
      readonly stage: "inbound" | "playout" | "journal";
    }
  /** A stage of the call does not come back for so long: the watchdog may end its shard, calls of others with it. */
  | {
      readonly kind: "hang";
      readonly call: number;
      readonly atMs: number;
      readonly ms: number;
      /** In a loop, rather than waiting for something that does not come. */
      readonly isSpinning: boolean;
    }
  | { readonly kind: "shardDeath"; readonly node: number; readonly shard: number; readonly atMs: number }
  /** An operator has a shard drained: its calls move. */
  | { readonly kind: "shardDrain"; readonly node: number; readonly shard: number; readonly atMs: number }
  /** The thread stands still for less than a watchdog waits. */
  | {
      readonly kind: "shardHold";
      readonly node: number;
      readonly shard: number;
      readonly atMs: number;
      readonly ms: number;
    }
  /** All that a shard has open to vendors of a kind (null: of every kind) breaks at one instant. They are there. */
  | {
      readonly kind: "vendorsBreak";
      readonly node: number;
      readonly shard: number;
      readonly atMs: number;
      readonly vendor: VendorFault["vendor"] | null;
    }
  | { readonly kind: "nodeDeath"; readonly node: number; readonly atMs: number }
  /** The main thread stands still, and with it the edge. */
  | { readonly kind: "nodeHold"; readonly node: number; readonly atMs: number; readonly ms: number }
  /** It is told to stop: new calls go elsewhere, and those it has may go on for so long. */
  | { readonly kind: "nodeDrain"; readonly node: number; readonly atMs: number; readonly graceMs: number }
  /** The node reaches no control plane for longer than its leases last, and owns its calls no more when it is back. */
  | { readonly kind: "partition"; readonly node: number; readonly atMs: number; readonly ms: number };

export interface CallScript {
  readonly atMs: number;
  /** The node that gets the webhook. */
  readonly node: number;
  readonly steps: readonly Step[];
  readonly carrier: readonly CarrierFault[];
}

export interface Limits {
  readonly slotsPerShard: number;
  readonly inRecordCount: number;
  readonly outRecordCount: number;
  /** Batches a main thread may have to read, and items that wait behind them. */
  readonly unreadBatches: number;
  readonly heldItems: number;
  /** Model requests at once, per shard. */
  readonly requestsMax: number;
  readonly tenantCap: number;
}

/** Providers of a kind are gone from here on, for so long; null: they do not come back. */
export interface Outage {
  readonly vendor: VendorFault["vendor"];
  /** All of the kind, or only the first, with another vendor behind it. */
  readonly whose: "all" | "first";
  readonly atMs: number;
  readonly ms: number | null;
}

/**
 * When an outage that ended is over for callers too: breakers stay open longer with each probe that fails, up to about as
 * long as it lasted, and it takes two that do not.
 */
export function recoveredAtMs({ atMs, ms }: Outage): number {
  return ms === null ? Number.POSITIVE_INFINITY : atMs + ms + 2 * ms + RECOVERY_MS;
}

export interface Script {
  readonly seed: number;
  readonly nodes: number;
  readonly shardsPerNode: number;
  /** One more shard per node, for the calls of one that dies. */
  readonly hasSpare: boolean;
  /**
   * What stands behind each vendor: another model of its own, another vendor, or servers of one's own, Whisper and Piper;
   * `own`: these come first, and nothing is behind them. Faults strike whichever is asked.
   */
  readonly fallbacks: "none" | "models" | "vendors" | "servers" | "own";
  readonly limits: Limits;
  readonly calls: readonly CallScript[];
  readonly vendors: readonly VendorFault[];
  readonly outage: Outage | null;
  readonly faults: readonly WorldFault[];
  readonly moments: readonly Moment[];
}

/** A kind of fault that a run may leave out. */
export const FAULT_KINDS = ["vendors", "carrier", "actors", "shards", "nodes", "limits"] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const CALLS_PER_WORLD = 10;
/** Of what a caller does, unless a run wants shorter calls. */
export const STEPS_MAX = 4;
/** Calls begin within this long, so that most of them are live at once. */
const ARRIVALS_MS = 6_000;
const LONGEST_CALL_MS = 20_000;
const DRAIN_SHARE = 0.08;
const OUTAGE_SHARE = 0.12;
/** Of the worlds that have no second choices. */
const OWN_SHARE = 0.3;
const PASSING_SHARE = 0.6;
const FIRST_ALONE_SHARE = 0.4;
const OUTAGE_LASTS_MS = [300, 9_000] as const;
/** The first stay of a breaker, and a probe's own time. */
const RECOVERY_MS = 4_000;

/** The world of a seed. Half of all worlds are calm but for what callers do, and most faults come in ones. */
export function drawScript(
  seed: number,
  kinds: ReadonlySet<FaultKind>,
  calls = CALLS_PER_WORLD,
  stepsMax = STEPS_MAX,
): Script {
  // Apart from the randomness of the run itself: leaving a part out of a script must not move the rest.
  const draw = new Draw(seededRandom(seed ^ 0x5eed));
  const nodes = draw.whole(1, 3);
  const shardsPerNode = draw.whole(1, 2);
  const question = { next: 1 };
  // All is drawn whatever is wanted, so that a seed's callers are the same with fewer kinds of faults.
  const scripts = draw.some(calls, () => drawCall(draw, nodes, question, stepsMax));
  const vendors = draw.some(draw.chance(0.5) ? draw.whole(1, 4) : 0, () => drawVendorFault(draw, calls));
  const faults = draw.some(draw.chance(0.5) ? draw.whole(1, 3) : 0, () =>
    drawWorldFault(draw, nodes, shardsPerNode, calls),
  );
  const limits = drawLimits(draw, draw.chance(0.25));
  const behind = draw.chance(0.5) ? draw.of(["models", "vendors", "servers"] as const) : "none";
  const hasSpare = draw.chance(0.4);
  const gone = drawOutage(draw);
  const fallbacks = behind === "none" && draw.chance(OWN_SHARE) ? "own" : behind;
  const outage = kinds.has("vendors") && draw.chance(OUTAGE_SHARE) ? gone : null;
  const hasOthers = outage?.whose === "first" && fallbacks !== "servers";
  const wanted = (fault: WorldFault): boolean => kinds.has(KIND_OF[fault.kind]);
  return {
    seed,
    nodes,
    shardsPerNode,
    hasSpare,
    fallbacks: hasOthers ? "vendors" : fallbacks,
    limits: kinds.has("limits") ? limits : drawLimits(draw, false),
    calls: scripts.map((call, index) => ({
      ...call,
      // Of an outage that passes the first half of the callers are in it, and the others come when it is over.
      atMs: outage?.ms == null || index * 2 < calls ? call.atMs : recoveredAtMs(outage) + call.atMs,
      steps:
        outage === null || outage.ms !== null || outage.whose === "first"
          ? call.steps
          : [...withoutFarewell(call.steps), { kind: "message", number: index }],
      carrier: kinds.has("carrier") ? call.carrier : call.carrier.filter(({ kind }) => kind === "hangUp"),
    })),
    vendors: kinds.has("vendors") ? vendors : [],
    outage,
    faults: [...faults, ...drawDrain(seed, nodes)].filter(wanted),
    moments: drawMoments(seed, calls).filter(({ what }) => kinds.has(KIND_OF[what.kind])),
  };
}

const KIND_OF = {
  crash: "actors",
  hang: "actors",
  shardDeath: "shards",
  shardDrain: "shards",
  shardHold: "shards",
  nodeDeath: "nodes",
  nodeHold: "nodes",
  nodeDrain: "nodes",
  partition: "nodes",
  vendorsBreak: "vendors",
  hangUp: "carrier",
  cut: "carrier",
  stall: "carrier",
  key: "carrier",
} as const satisfies Record<(WorldFault | MomentFault)["kind"], FaultKind>;

function withoutFarewell(steps: readonly Step[]): readonly Step[] {
  return steps.filter(({ kind }) => kind !== "farewell");
}

function drawOutage(draw: Draw): Outage {
  return {
    vendor: draw.of(["stt", "llm", "tts"] as const),
    whose: draw.chance(FIRST_ALONE_SHARE) ? "first" : "all",
    atMs: draw.whole(0, LONGEST_CALL_MS / 2),
    ms: draw.chance(PASSING_SHARE) ? draw.whole(...OUTAGE_LASTS_MS) : null,
  };
}

function drawCall(draw: Draw, nodes: number, question: { next: number }, stepsMax: number): CallScript {
  const steps = draw.some(draw.whole(1, stepsMax), () => drawStep(draw, question));
  if (draw.chance(0.4)) steps.push({ kind: "farewell" });
  const carrier = draw.chance(0.25) ? draw.some(draw.whole(1, 2), () => drawCarrierFault(draw)) : [];
  return { atMs: draw.whole(0, ARRIVALS_MS), node: draw.whole(0, nodes - 1), steps, carrier };
}

function drawStep(draw: Draw, question: { next: number }): Step {
  const kind = draw.whole(0, 99);
  if (kind < 45)
    return {
      kind: "ask",
      question: question.next++,
      pauseMs: draw.whole(200, 900),
      tool: draw.chance(0.15),
    };
  if (kind < 60) return { kind: "interrupt", question: question.next++, afterMs: draw.whole(100, 2_500) };
  if (kind < 70) return { kind: "backchannel", afterMs: draw.whole(200, 1_500) };
  if (kind < 76) return { kind: "hesitate", question: question.next++, pauseMs: draw.whole(100, 1_200) };
  if (kind < 80) return { kind: "ramble", question: question.next++, words: draw.whole(6, 24) };
  if (kind < 84) return { kind: "thank", pauseMs: draw.whole(200, 900) };
  if (kind < 90) return { kind: "keys", digits: draw.of(["1", "42#", "0"]), pauseMs: draw.whole(0, 600) };
  if (kind < 95) return { kind: "noise", ms: draw.whole(100, 1_200) };
  return { kind: "wait", ms: draw.of([1_000, 9_000]) };
}

function drawCarrierFault(draw: Draw): CarrierFault {
  const atMs = draw.whole(300, LONGEST_CALL_MS);
  switch (draw.whole(0, 4)) {
    case 0:
      return { kind: "cut", atMs };
    case 1:
      return { kind: "stall", atMs, ms: draw.whole(100, 2_200) };
    case 2:
      return { kind: "marksLate", ms: draw.whole(50, 900) };
    case 3:
      return { kind: "marksLost", every: draw.whole(2, 6) };
    default:
      return { kind: "hangUp", atMs };
  }
}

function drawVendorFault(draw: Draw, calls: number): VendorFault {
  const call = draw.whole(0, calls - 1);
  switch (draw.whole(0, 2)) {
    case 0: {
      const fault = {
        kind: draw.of(["stall", "reset", "late", "refuse"] as const),
        afterFrames: draw.whole(1, 80),
        ms: draw.whole(200, 1_500),
      };
      return { vendor: "stt", nth: draw.whole(0, calls), fault };
    }
    case 1: {
      const fault = {
        kind: draw.of(["tooMany", "stall", "stallMid", "reset", "noDone", "slow"] as const),
        ms: draw.whole(200, 3_000),
        afterTokens: draw.whole(1, 8),
      };
      return { vendor: "llm", call, nth: draw.whole(0, 3), fault };
    }
    default: {
      const fault = {
        kind: draw.of(["stall", "reset", "noDone", "error", "late"] as const),
        ms: draw.whole(200, 2_000),
      };
      return { vendor: "tts", call, nth: draw.whole(0, 3), fault };
    }
  }
}

function drawWorldFault(draw: Draw, nodes: number, shards: number, calls: number): WorldFault {
  const atMs = draw.whole(500, LONGEST_CALL_MS);
  const node = draw.whole(0, nodes - 1);
  const shard = draw.whole(0, shards - 1);
  switch (draw.whole(0, 8)) {
    case 0:
    case 1:
      return {
        kind: "crash",
        call: draw.whole(0, calls - 1),
        atMs,
        stage: draw.of(["inbound", "playout", "journal"] as const),
      };
    case 8:
      return {
        kind: "hang",
        call: draw.whole(0, calls - 1),
        atMs,
        ms: draw.of([200, 600, 1_800, 60_000]),
        isSpinning: draw.chance(0.5),
      };
    case 2:
      return { kind: "shardDeath", node, shard, atMs };
    case 3:
      return { kind: "shardHold", node, shard, atMs, ms: draw.whole(50, 1_500) };
    case 4:
      return { kind: "nodeDeath", node, atMs };
    case 5:
      return { kind: "shardDrain", node, shard, atMs };
    case 6:
      return { kind: "nodeHold", node, atMs, ms: draw.whole(50, 2_000) };
    default:
      return { kind: "partition", node, atMs, ms: draw.whole(1_000, 12_000) };
  }
}

/** From a randomness of its own, as `moments`. */
function drawDrain(seed: number, nodes: number): readonly WorldFault[] {
  const draw = new Draw(seededRandom(seed ^ 0xd4a1));
  if (!draw.chance(DRAIN_SHARE)) return [];
  const graceMs = draw.of([0, 2_000, 6_000, 60_000]);
  return [
    { kind: "nodeDrain", node: draw.whole(0, nodes - 1), atMs: draw.whole(0, LONGEST_CALL_MS), graceMs },
  ];
}

function drawLimits(draw: Draw, isTight: boolean): Limits {
  const roomy = {
    slotsPerShard: 16,
    inRecordCount: 128,
    outRecordCount: 128,
    unreadBatches: 256,
    heldItems: 1_024,
    requestsMax: 64,
    tenantCap: 100,
  };
  const tight = {
    slotsPerShard: draw.whole(2, 6),
    inRecordCount: draw.of([32, 64, 128]),
    outRecordCount: draw.of([16, 32, 128]),
    unreadBatches: draw.of([2, 8, 256]),
    heldItems: draw.of([4, 32, 1_024]),
    requestsMax: draw.whole(1, 4),
    tenantCap: draw.whole(3, 12),
  };
  return isTight ? tight : roomy;
}
