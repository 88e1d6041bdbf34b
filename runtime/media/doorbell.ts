/**
 * A doorbell tells one thread which of its slots another thread has touched, with at most one wake-up per
 * batch: a bit per slot, and one wake flag that goes up with the first bit and down when a drain begins.
 * How the other thread is woken (a port message, a poll) is its owner's business.
 *
 * D1  ring() sets the bit before it looks at the flag; drain() lowers the flag before it looks at the bits.
 *     So a ring either is found by the drain that is running, or finds the flag down and wakes the next one.
 * D2  A slot rung may be visited once more than needed, never once too few.
 * D3  A thread that died may have left the flag up, and bits taken but not visited: whoever takes over its
 *     side drains once and looks at every slot before it waits to be woken.
 */
import { LINE_WORDS } from "./layout.js";

export class Doorbell {
  readonly #i32: Int32Array;
  readonly #wakeWord: number;
  readonly #bitmapWord: number;
  readonly #bitmapWords: number;

  /** @internal Arena makes it. */
  constructor(i32: Int32Array, bellWord: number, bitmapWords: number) {
    this.#i32 = i32;
    this.#wakeWord = bellWord;
    this.#bitmapWord = bellWord + LINE_WORDS;
    this.#bitmapWords = bitmapWords;
  }

  /** Marks the slot. True when the other side has to be woken: nobody has been since its last drain. */
  ring(slot: number): boolean {
    const i32 = this.#i32;
    Atomics.or(i32, this.#bitmapWord + (slot >>> 5), 1 << (slot & 31));
    // Most rings of a batch find the flag up; a load is cheaper than an exchange. D1 holds for both.
    if (Atomics.load(i32, this.#wakeWord) === 1) return false;
    return Atomics.exchange(i32, this.#wakeWord, 1) === 0;
  }

  /**
   * Visits each marked slot once, in slot order, and returns how many; `visit` is made once, not per drain.
   * Should it throw, slots not yet visited stay marked for the next drain, and the error goes on.
   */
  drain(visit: (slot: number) => void): number {
    const i32 = this.#i32;
    // Lowered before the bits are looked at: D1.
    Atomics.store(i32, this.#wakeWord, 0);
    let visited = 0;
    for (let index = 0; index < this.#bitmapWords; index++) {
      if (Atomics.load(i32, this.#bitmapWord + index) === 0) continue;
      visited += this.#drainWord(index, visit);
    }
    return visited;
  }

  #drainWord(index: number, visit: (slot: number) => void): number {
    const i32 = this.#i32;
    let bits = Atomics.exchange(i32, this.#bitmapWord + index, 0);
    let visited = 0;
    try {
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        visited++;
        visit((index << 5) | bit);
      }
    } finally {
      if (bits !== 0) Atomics.or(i32, this.#bitmapWord + index, bits);
    }
    return visited;
  }
}
