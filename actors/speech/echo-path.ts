/**
 * How much of what we send comes back on this line, learned while the agent speaks.
 *
 * For each delay up to 400 ms the level sent is correlated with the level received, over the last four
 * seconds of agent speech. Three findings:
 * - one delay fits well: there is an echo, and its loss is the mean difference at that delay;
 * - none fits, over long enough: there is no echo to speak of, and fainter callers may get through;
 * - not enough to tell: the default stays.
 *
 * P1 The loss reported stays within [minLossDb, maxLossDb]: an echo 20 dB down is never taken for a caller,
 *    whatever was learned before it set in; and a caller as loud as the agent is never taken for echo.
 */
import type { SentLevels } from "./sent-levels.js";

/** 0 to 400 ms: a longer path is rare, and then the default stays. */
const DELAYS = 21;
/** Each frame's weight against all before it: a memory of 4 s. */
const FORGET = 1 - 1 / 200;
/** Findings are drawn twice a second. */
const JUDGE_EVERY_FRAMES = 25;
/** 1.5 s of agent speech before an echo is believed, 3 s before its absence is. */
const ECHO_WEIGHT_MIN = 62;
const NO_ECHO_WEIGHT_MIN = 105;
const ECHO_CORRELATION = 0.75;
const NO_ECHO_CORRELATION = 0.35;
/** Below, what we send hardly varies (a tone, hold music at one level) and correlation says nothing. */
const SENT_VARIANCE_MIN_DB2 = 9;
/** Levels are cut off here, or digital silence between words would outweigh the words. */
const QUIET_DB = -60;
/** The loss is read off louder frames only: in fainter ones noise hides the echo. */
const LOUD_DB = -35;
/** An echo's frames scatter about its mean loss by this much. */
const MARGIN_DB = 4;

/** What is summed up for each delay. */
const SUMS = 5;
const SENT = 0;
const SENT_SQUARES = 1;
const PRODUCTS = 2;
const LOUD_WEIGHTS = 3;
const LOSSES = 4;

/** Of the frame at hand, whichever call's. */
const before = new Float64Array(DELAYS);

export class EchoPath {
  /** An inbound frame at least this far below what was sent may be echo. */
  lossDb: number;

  readonly #defaultLossDb: number;
  readonly #minLossDb: number;
  readonly #maxLossDb: number;
  #frames = 0;
  #weight = 0;
  #received = 0;
  #receivedSquares = 0;
  /** Sums of a delay lie together: an array costs half a KiB besides what it holds, and every call has one of these. */
  readonly #sums = new Float64Array(DELAYS * SUMS);

  constructor(defaultLossDb: number, minLossDb: number, maxLossDb: number) {
    this.lossDb = defaultLossDb;
    this.#defaultLossDb = defaultLossDb;
    this.#minLossDb = minLossDb;
    this.#maxLossDb = maxLossDb;
  }

  /** One inbound frame that ended at `atMs`, while the agent speaks. */
  observe(levelDb: number, atMs: number, sentLevels: SentLevels): void {
    const received = Math.max(levelDb, QUIET_DB);
    this.#weight = this.#weight * FORGET + 1;
    this.#received = this.#received * FORGET + received;
    this.#receivedSquares = this.#receivedSquares * FORGET + received * received;
    sentLevels.before(atMs, before);
    const sums = this.#sums;
    for (let delay = 0; delay < DELAYS; delay += 1) {
      const sent = Math.max(before[delay]!, QUIET_DB);
      const loud = sent >= LOUD_DB ? 1 : 0;
      const at = delay * SUMS;
      sums[at + SENT] = sums[at + SENT]! * FORGET + sent;
      sums[at + SENT_SQUARES] = sums[at + SENT_SQUARES]! * FORGET + sent * sent;
      sums[at + PRODUCTS] = sums[at + PRODUCTS]! * FORGET + sent * received;
      sums[at + LOUD_WEIGHTS] = sums[at + LOUD_WEIGHTS]! * FORGET + loud;
      sums[at + LOSSES] = sums[at + LOSSES]! * FORGET + loud * (sent - received);
    }
    this.#frames += 1;
    if (this.#frames % JUDGE_EVERY_FRAMES === 0) this.#judge();
  }

  #judge(): void {
    let best = -1;
    let bestCorrelation = -1;
    for (let delay = 0; delay < DELAYS; delay += 1) {
      const correlation = this.#correlation(delay);
      if (correlation > bestCorrelation) {
        best = delay;
        bestCorrelation = correlation;
      }
    }
    if (bestCorrelation >= ECHO_CORRELATION && this.#weight >= ECHO_WEIGHT_MIN) {
      const at = best * SUMS;
      const loss = this.#sums[at + LOSSES]! / Math.max(1, this.#sums[at + LOUD_WEIGHTS]!);
      return this.#conclude(loss - MARGIN_DB);
    }
    const noEcho = best >= 0 && bestCorrelation <= NO_ECHO_CORRELATION && this.#weight >= NO_ECHO_WEIGHT_MIN;
    return this.#conclude(noEcho ? this.#maxLossDb : this.#defaultLossDb);
  }

  #conclude(lossDb: number): void {
    this.lossDb = Math.max(this.#minLossDb, Math.min(this.#maxLossDb, lossDb)); // P1
  }

  /** NaN, which is greater than nothing, when what was sent varies too little. */
  #correlation(delay: number): number {
    const weight = this.#weight;
    const sums = this.#sums;
    const at = delay * SUMS;
    const sentMean = sums[at + SENT]! / weight;
    const receivedMean = this.#received / weight;
    const sentVariance = sums[at + SENT_SQUARES]! / weight - sentMean * sentMean;
    const receivedVariance = this.#receivedSquares / weight - receivedMean * receivedMean;
    if (sentVariance < SENT_VARIANCE_MIN_DB2) return Number.NaN;
    // A line without a sound on it carries no echo either.
    if (receivedVariance < 1e-6) return 0;
    const covariance = sums[at + PRODUCTS]! / weight - sentMean * receivedMean;
    return covariance / Math.sqrt(sentVariance * receivedVariance);
  }
}
