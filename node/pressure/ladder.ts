/**
 * The backpressure ladder: measurements in, rung out. Pure: time is whatever the samples say.
 *
 *   rung 0  nothing to complain of
 *   rung 1  no speculation: replies are generated when turns are confirmed
 *   rung 2  no new outbound calls
 *   rung 3  no new inbound calls here: placement looks elsewhere
 *   rung 4  none anywhere
 *
 * L1  Each rung includes those before.
 * L2  Up at once, to the rung that two of the last three samples reach: one bad second, a collection or a late
 *     timer, moves nothing, and two of them are no accident.
 * L3  Down one rung at a time, after DOWN_AFTER_MS without a sample at DOWN_BELOW of that rung's threshold or
 *     above: what gave way must not come back the moment it helped.
 */
export type Rung = 0 | 1 | 2 | 3 | 4;

/** What is measured each second, the worse of two being the larger. */
export interface PressureInputs {
  /** How late audio leaves for carriers, p99 of the last second. */
  readonly pacingLagMs: number;
  /**
   * Of the worst thread, p95 of the last second, which has some fifty looks: one callback that blocks, for whatever
   * time, is one look, and the watchdog's; a thread that is short of time is late at many.
   */
  readonly eventLoopDelayMs: number;
  /** Share of the node's slots taken, 0 to 1. */
  readonly slotUsage: number;
  /** Share of the tightest provider's budget in use, in the worst shard, 0 to 1. */
  readonly providerUsage: number;
}

export type PressureInput = keyof PressureInputs;

export const PRESSURE_INPUTS = [
  "pacingLagMs",
  "eventLoopDelayMs",
  "slotUsage",
  "providerUsage",
] as const satisfies readonly PressureInput[];

/** What reaches rungs 1 to 4, ascending; Infinity: this input never does. */
export type RungThresholds = readonly [number, number, number, number];
export type PressureThresholds = Readonly<Record<PressureInput, RungThresholds>>;

/** L3. */
export const DOWN_AFTER_MS = 10_000;
/** L3. Far enough below that noise around a threshold does not climb up and down. */
const DOWN_BELOW = 0.8;
/** L2. */
const SAMPLES_KEPT = 3;

export class Ladder {
  readonly #thresholds: PressureThresholds;
  /** What the latest samples alone would have asked for; missing ones ask for nothing. */
  readonly #wanted: Rung[] = [];
  #rung: Rung = 0;
  /** Since when every sample was calm enough for the rung below. */
  #calmSinceMs: number | null = null;

  constructor(thresholds: PressureThresholds) {
    this.#thresholds = thresholds;
  }

  get rung(): Rung {
    return this.#rung;
  }

  /** Takes one sample; the rung in force from now on. */
  sample(inputs: PressureInputs, nowMs: number): Rung {
    this.#wanted.push(rungOf(inputs, this.#thresholds, 1));
    if (this.#wanted.length > SAMPLES_KEPT) this.#wanted.shift();
    const sustained = secondLargest(this.#wanted);
    if (sustained > this.#rung) {
      this.#rung = sustained;
      this.#calmSinceMs = null;
    } else if (this.#rung > 0) this.#considerDown(inputs, nowMs);
    return this.#rung;
  }

  #considerDown(inputs: PressureInputs, nowMs: number): void {
    if (rungOf(inputs, this.#thresholds, DOWN_BELOW) >= this.#rung) {
      this.#calmSinceMs = null;
      return;
    }
    this.#calmSinceMs ??= nowMs;
    if (nowMs - this.#calmSinceMs < DOWN_AFTER_MS) return;
    this.#rung = (this.#rung - 1) as Rung;
    // The next rung down has to be earned by itself.
    this.#calmSinceMs = nowMs;
  }
}

/** The highest rung that any input reaches, with thresholds scaled by `share`. */
function rungOf(inputs: PressureInputs, thresholds: PressureThresholds, share: number): Rung {
  let rung = 0;
  for (const input of PRESSURE_INPUTS) {
    thresholds[input].forEach((threshold, index) => {
      if (inputs[input] >= threshold * share) rung = Math.max(rung, index + 1);
    });
  }
  return rung as Rung;
}

function secondLargest(rungs: readonly Rung[]): Rung {
  return rungs.toSorted((a, b) => b - a)[1] ?? 0;
}
