/**
 * Where a thread is that sometimes naps, for the threads that may want it awake. One word:
 *
 * ```
 *           begin()             lieDown()
 *   asleep ─────────> awake ──────────────> napping
 *   (0)    <───────── (2)   <────────────── (1)
 *            end()           wake() or time
 * ```
 *
 * N1  `asleep`: it sleeps in the kernel, or may at any moment; a message has to be posted to it. `awake`: it will look
 *     at its bells before it naps again; nothing has to be done. `napping`: it waits on this word, and wake() ends that.
 * N2  Whoever rings sets the bell's bit before it reads this word; the napper writes `napping`, or `asleep`, before it
 *     looks at its bells. So a ring is either seen by that look or finds the word that wakes.
 */

const ASLEEP = 0;
const NAPPING = 1;
const AWAKE = 2;

export class NapFlag {
  readonly buffer: SharedArrayBuffer;
  readonly #word: Int32Array;

  /** Without a buffer: a new one, asleep. */
  constructor(buffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer;
    this.#word = new Int32Array(buffer);
  }

  // ---- the napper

  /** From now on it looks by itself. */
  begin(): void {
    Atomics.store(this.#word, 0, AWAKE);
  }

  /** Before a nap: look at the bells after this, and then nap. N2 */
  lieDown(): void {
    Atomics.store(this.#word, 0, NAPPING);
  }

  /** Blocks the thread for so long, or until somebody wakes it: then true. It is `awake` afterwards. */
  nap(ms: number): boolean {
    const woken = Atomics.wait(this.#word, 0, NAPPING, ms) !== "timed-out";
    Atomics.store(this.#word, 0, AWAKE);
    return woken;
  }

  /** From now on it sleeps in the kernel: look at the bells once more after this. N2 */
  end(): void {
    Atomics.store(this.#word, 0, ASLEEP);
  }

  // ---- the others

  /** Sees to it that it looks at its bells soon. False: it has to be told by a message. */
  wake(): boolean {
    const state = Atomics.compareExchange(this.#word, 0, NAPPING, AWAKE);
    if (state === NAPPING) Atomics.notify(this.#word, 0);
    return state !== ASLEEP;
  }

  /** Whether it comes by, turn for turn, without being told to. */
  get isUp(): boolean {
    return Atomics.load(this.#word, 0) !== ASLEEP;
  }
}
