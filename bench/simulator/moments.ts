/**
 * What breaks just as something happens: with an event of a call's journal (its turn is over, it was interrupted, it went on
 * elsewhere …), or some milliseconds later. Faults at instants of their own seldom meet one; these always do, and half of
 * them bring a second within 50 ms.
 */
import { seededRandom } from "#runtime/actor";
import type { JournalEvent } from "#actors/journal";
import { Draw } from "./draw.js";
import type { CarrierFault, WorldFault } from "./script.js";

/** Of whatever call it happens to: its line, its shard, its node. */
type OfCall<F> = F extends unknown ? Omit<F, "call" | "node" | "shard" | "atMs"> : never;

export type MomentFault =
  | OfCall<WorldFault>
  | OfCall<Extract<CarrierFault, { readonly kind: "cut" | "stall" | "hangUp" }>>
  /** He presses a key. */
  | { readonly kind: "key" };

export interface Moment {
  /** Of this call; null: of whichever comes to it. */
  readonly call: number | null;
  readonly when: JournalEvent["kind"];
  /** The first such event is 0. */
  readonly nth: number;
  readonly afterMs: number;
  readonly what: MomentFault;
}

const MOMENTS_SHARE = 0.4;
const TOGETHER_MS = 50;

/** From a randomness of its own: what else a seed draws is the same without. */
export function drawMoments(seed: number, calls: number): readonly Moment[] {
  const draw = new Draw(seededRandom(seed ^ 0x30e7));
  if (!draw.chance(MOMENTS_SHARE)) return [];
  return draw.some(draw.whole(1, 2), () => drawMoment(draw, calls)).flat();
}

function drawMoment(draw: Draw, calls: number): readonly Moment[] {
  const at = {
    call: draw.chance(0.5) ? draw.whole(0, calls - 1) : null,
    when: draw.of([
      "callStarted",
      "callerTurn",
      "callerTurn",
      "callerProgress",
      "agentTurn",
      "agentProgress",
      "bargeIn",
      "bargeIn",
      "bargeInRejected",
      "eagerDiscarded",
      "toolCalled",
      "dtmf",
      "providerFailed",
      "messageOffered",
      "messageTaken",
      "legLost",
      "callResumed",
      "callResumed",
      "callEnded",
    ] as const),
    nth: draw.chance(0.6) ? 0 : draw.whole(1, 4),
  };
  const afterMs = draw.of([0, draw.whole(0, TOGETHER_MS), draw.whole(TOGETHER_MS, 600)]);
  const first = { ...at, afterMs, what: drawWhat(draw) };
  const second = { ...at, afterMs: afterMs + draw.whole(0, TOGETHER_MS), what: drawWhat(draw) };
  return draw.chance(0.5) ? [first, second] : [first];
}

function drawWhat(draw: Draw): MomentFault {
  switch (draw.whole(0, 13)) {
    case 0:
    case 1:
      return { kind: "crash", stage: draw.of(["inbound", "playout", "journal"] as const) };
    case 2:
      return { kind: "hang", ms: draw.of([200, 600, 1_800, 60_000]), isSpinning: draw.chance(0.5) };
    case 3:
    case 4:
      return { kind: "shardDeath" };
    case 5:
      return { kind: "shardDrain" };
    case 6:
      return { kind: "shardHold", ms: draw.whole(50, 1_500) };
    case 7:
      return { kind: "vendorsBreak", vendor: draw.of(["stt", "llm", "tts", null] as const) };
    case 8:
      return { kind: "nodeDeath" };
    case 9:
      return draw.chance(0.5)
        ? { kind: "nodeHold", ms: draw.whole(50, 2_000) }
        : { kind: "partition", ms: draw.whole(1_000, 12_000) };
    case 10:
      return { kind: "cut" };
    case 11:
      return { kind: "hangUp" };
    case 12:
      return { kind: "stall", ms: draw.whole(100, 2_200) };
    default:
      return { kind: "key" };
  }
}

/** Watches the journals of a world for the moments of its script. */
export class Moments {
  readonly #counts = new Map<string, number>();
  readonly #moments: readonly Moment[];
  readonly #indexOf: (callId: string) => number;
  readonly #come: (moment: Moment, callId: string) => void;

  constructor(
    moments: readonly Moment[],
    indexOf: (callId: string) => number,
    come: (moment: Moment, callId: string) => void,
  ) {
    this.#moments = moments;
    this.#indexOf = indexOf;
    this.#come = come;
  }

  onWritten({ callId, kind }: JournalEvent): void {
    if (this.#moments.length === 0) return;
    const ofAll = this.#countUp(kind);
    const ofCall = this.#countUp(`${callId} ${kind}`);
    for (const moment of this.#moments) {
      if (moment.when !== kind || moment.nth !== (moment.call === null ? ofAll : ofCall)) continue;
      if (moment.call === null || moment.call === this.#indexOf(callId)) this.#come(moment, callId);
    }
  }

  #countUp(key: string): number {
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    return count;
  }
}
