/**
 * How loud each 20 ms of our playout is, by when it plays.
 *
 *   slot        = round(playAtMs / 20), kept at index slot mod 256
 *   levels      [ −18 | −19 | …… | −17 ]   in 256ths of a decibel
 *   rounds      [   2 |   2 | …… |   1 ]   slot div 256: tells a level of now from one of five seconds ago
 */
import { FRAME_MS } from "#runtime/media";
import { SILENCE_DB } from "./frame-meter.js";

/**
 * Frames remembered: 5.1 s. Echo is at most a second and a half behind playout, which is noted at most a second ahead,
 * and what an estimate gone wrong notes further ahead must not overwrite that. 1 KiB; a call has two of them.
 */
const HISTORY_FRAMES = 256;
const ROUND_SHIFT = 8;
/** Rounds are told apart for 46 hours: one further back would be taken for now's. */
const ROUND_MASK = 0x7f_ff;
/** No frame plays then: no round is so high. */
const NO_ROUND = 0xff_ff;
/** Levels lie between −128 and 128 dB. */
const STEPS_PER_DB = 256;

export class SentLevels {
  readonly #levels = new Int16Array(2 * HISTORY_FRAMES);
  /** The second half of the same memory. */
  readonly #rounds = new Uint16Array(this.#levels.buffer, this.#levels.byteLength / 2).fill(NO_ROUND);
  /** The latest ever noted: most frames of a call come when we have been silent for long. */
  #latestSlot = Number.NEGATIVE_INFINITY;

  /** One frame of `levelDb` plays from `playAtMs` on. */
  note(levelDb: number, playAtMs: number): void {
    const slot = Math.round(playAtMs / FRAME_MS);
    const index = slot & (HISTORY_FRAMES - 1);
    const round = roundOf(slot);
    const level = Math.round(levelDb * STEPS_PER_DB);
    if (slot > this.#latestSlot) this.#latestSlot = slot;
    if (this.#rounds[index] === round && this.#levels[index]! >= level) return;
    this.#rounds[index] = round;
    this.#levels[index] = level;
  }

  /** Writes what played 0, 1, 2 … frames before the one that ended at `atMs` arrived. */
  before(atMs: number, into: Float64Array): void {
    const last = Math.floor(atMs / FRAME_MS);
    const levels = this.#levels;
    const rounds = this.#rounds;
    for (let delay = 0; delay < into.length; delay += 1) {
      const slot = last - delay;
      const index = slot & (HISTORY_FRAMES - 1);
      into[delay] = rounds[index] === roundOf(slot) ? levels[index]! / STEPS_PER_DB : SILENCE_DB;
    }
  }

  /** The loudest of the `delayFrames` before it and its own. */
  loudestBefore(atMs: number, delayFrames: number): number {
    let loudest = SILENCE_DB;
    const last = Math.min(Math.floor(atMs / FRAME_MS), this.#latestSlot);
    const levels = this.#levels;
    const rounds = this.#rounds;
    for (let slot = Math.floor(atMs / FRAME_MS) - delayFrames; slot <= last; slot += 1) {
      const index = slot & (HISTORY_FRAMES - 1);
      const levelDb = levels[index]! / STEPS_PER_DB;
      if (rounds[index] === roundOf(slot) && levelDb > loudest) loudest = levelDb;
    }
    return loudest;
  }
}

function roundOf(slot: number): number {
  return (slot >> ROUND_SHIFT) & ROUND_MASK;
}
