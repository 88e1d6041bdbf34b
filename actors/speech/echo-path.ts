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
  readonly #before = new Float64Array(DELAYS);
  readonly #sent = new Float64Array(DELAYS);
  readonly #sentSquares = new Float64Array(DELAYS);
  readonly #products = new Float64Array(DELAYS);
  readonly #loudWeights = new Float64Array(DELAYS);
  readonly #losses = new Float64Array(DELAYS);

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
    const before = this.#before;
    sentLevels.before(atMs, before);
    for (let delay = 0; delay < DELAYS; delay += 1) {
      const sent = Math.max(before[delay]!, QUIET_DB);
      const loud = sent >= LOUD_DB ? 1 : 0;
      this.#sent[delay] = this.#sent[delay]! * FORGET + sent;
      this.#sentSquares[delay] = this.#sentSquares[delay]! * FORGET + sent * sent;
      this.#products[delay] = this.#products[delay]! * FORGET + sent * received;
      this.#loudWeights[delay] = this.#loudWeights[delay]! * FORGET + loud;
      this.#losses[delay] = this.#losses[delay]! * FORGET + loud * (sent - received);
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
      const loss = this.#losses[best]! / Math.max(1, this.#loudWeights[best]!);
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
    const sentMean = this.#sent[delay]! / weight;
    const receivedMean = this.#received / weight;
    const sentVariance = this.#sentSquares[delay]! / weight - sentMean * sentMean;
    const receivedVariance = this.#receivedSquares / weight - receivedMean * receivedMean;
    if (sentVariance < SENT_VARIANCE_MIN_DB2) return Number.NaN;
    // A line without a sound on it carries no echo either.
    if (receivedVariance < 1e-6) return 0;
    const covariance = this.#products[delay]! / weight - sentMean * receivedMean;
    return covariance / Math.sqrt(sentVariance * receivedVariance);
  }
}
