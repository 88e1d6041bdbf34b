/**
 * How loud each 20 ms of our playout is, by when it plays.
 *
 *   slot        = round(playAtMs / 20), kept at index slot mod 256
 *   levels      [ −18 | −19 | …… | −17 ]
 *   slots       [ 512 | 513 | …… | 511 ]   tells a level of now from one of five seconds ago
 */
import { FRAME_MS } from "#runtime/media";
import { SILENCE_DB } from "./frame-meter.js";

/**
 * Frames remembered: 5.1 s. Echo is at most a second and a half behind playout, which is noted at most a second ahead,
 * and what an estimate gone wrong notes further ahead must not overwrite that. 2 KiB; a call has two of them.
 */
const HISTORY_FRAMES = 256;
/** No frame plays then. */
const NO_SLOT = -0x8000_0000;

export class SentLevels {
  readonly #levels = new Float32Array(2 * HISTORY_FRAMES);
  /** The second half of the same memory. */
  readonly #slots = new Int32Array(this.#levels.buffer, this.#levels.byteLength / 2).fill(NO_SLOT);
  /** The latest ever noted: most frames of a call come when we have been silent for long. */
  #latestSlot = Number.NEGATIVE_INFINITY;

  /** One frame of `levelDb` plays from `playAtMs` on. */
  note(levelDb: number, playAtMs: number): void {
    const slot = Math.round(playAtMs / FRAME_MS);
    const index = slot & (HISTORY_FRAMES - 1);
    if (slot > this.#latestSlot) this.#latestSlot = slot;
    if (this.#slots[index] === slot && this.#levels[index]! >= levelDb) return;
    this.#slots[index] = slot;
    this.#levels[index] = levelDb;
  }

  /** Writes what played 0, 1, 2 … frames before the one that ended at `atMs` arrived. */
  before(atMs: number, into: Float64Array): void {
    const last = Math.floor(atMs / FRAME_MS);
    const levels = this.#levels;
    const slots = this.#slots;
    for (let delay = 0; delay < into.length; delay += 1) {
      const slot = last - delay;
      const index = slot & (HISTORY_FRAMES - 1);
      into[delay] = slots[index] === slot ? levels[index]! : SILENCE_DB;
    }
  }

  /** The loudest of the `delayFrames` before it and its own. */
  loudestBefore(atMs: number, delayFrames: number): number {
    let loudest = SILENCE_DB;
    const last = Math.min(Math.floor(atMs / FRAME_MS), this.#latestSlot);
    const levels = this.#levels;
    const slots = this.#slots;
    for (let slot = Math.floor(atMs / FRAME_MS) - delayFrames; slot <= last; slot += 1) {
      const index = slot & (HISTORY_FRAMES - 1);
      if (slots[index] === slot && levels[index]! > loudest) loudest = levels[index]!;
    }
    return loudest;
  }
}
