/**
 * A hierarchical timer wheel: thousands of timers behind one Node timer. It counts ticks and knows nothing
 * of time; SystemClock turns the one into the other.
 *
 * ```
 *            slot   0   1   2  …  31        each slot is a linked list of timers
 * level 0         [   |   |   |…|   ]       1 tick per slot
 * level 1         [   |   |   |…|   ]       32 ticks per slot
 * level 2..4      [   |   |   |…|   ]       1,024 · 32,768 · 1,048,576 ticks per slot
 * overflow        one list                  beyond 33,554,432 ticks (9.3 hours of 1 ms)
 * ```
 * Adding, cancelling and firing cost O(1); a timer moves down at most once per level.
 *
 * Invariants
 * W1 a timer at level L shares its block of level L + 1 with `currentTick`, and lies in a later block of
 *    level L (or, at level 0, in a later tick). So the lowest occupied level holds the earliest timers.
 * W2 timers due in the same tick fire in the order in which they were added.
 * W3 a timer that was cancelled never fires, even when its tick is being fired.
 */
import assert from "node:assert/strict";
import type { TimerHandle } from "./clock.js";

const LEVEL_COUNT = 5;
/** 32, so that the occupied slots of a level fit the bits of one integer. */
const SLOT_COUNT = 32;
/** Ticks per slot of each level; the last entry is what the whole wheel spans. */
const SPAN_TICKS = [1, 32, 1_024, 32_768, 1_048_576, 33_554_432] as const;

class TimerList {
  first: WheelTimer | null = null;
  last: WheelTimer | null = null;

  push(timer: WheelTimer): void {
    timer.list = this;
    timer.previous = this.last;
    timer.next = null;
    if (this.last === null) this.first = timer;
    else this.last.next = timer;
    this.last = timer;
  }

  remove(timer: WheelTimer): void {
    if (timer.previous === null) this.first = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next === null) this.last = timer.previous;
    else timer.next.previous = timer.previous;
    timer.list = null;
    timer.previous = null;
    timer.next = null;
  }
}

class WheelTimer implements TimerHandle {
  readonly wheel: TimerWheel;
  readonly dueTick: number;
  readonly callback: () => void;
  /** The list it waits in; null once it fired or was cancelled. */
  list: TimerList | null = null;
  previous: WheelTimer | null = null;
  next: WheelTimer | null = null;

  constructor(wheel: TimerWheel, dueTick: number, callback: () => void) {
    this.wheel = wheel;
    this.dueTick = dueTick;
    this.callback = callback;
  }

  cancel(): void {
    if (this.list === null) return;
    this.list.remove(this);
    this.wheel.noteRemoved();
  }
}

export class TimerWheel {
  readonly #onEmpty: () => void;
  readonly #lists: readonly TimerList[] = Array.from(
    { length: LEVEL_COUNT * SLOT_COUNT },
    () => new TimerList(),
  );
  /** One bit per slot; a bit may outlive the last timer of its slot, never the other way round. */
  readonly #occupied = new Int32Array(LEVEL_COUNT);
  readonly #overflow = new TimerList();
  /** Timers of the tick being fired. */
  readonly #due = new TimerList();
  #currentTick = 0;
  #count = 0;
  /** Second and third result of #findNext. */
  #nextLevel = 0;
  #nextSlot = 0;

  /** `onEmpty` runs when the last timer was cancelled or fired. */
  constructor(onEmpty: () => void = () => {}) {
    this.#onEmpty = onEmpty;
  }

  get count(): number {
    return this.#count;
  }

  /** A tick that is not later than now counts as the next one: nothing fires synchronously. */
  add(dueTick: number, callback: () => void): TimerHandle {
    const timer = new WheelTimer(this, Math.max(dueTick, this.#currentTick + 1), callback);
    this.#count++;
    this.#place(timer);
    return timer;
  }

  /**
   * The tick at which the wheel wants `advance`: never later than the earliest timer, maybe earlier (a block
   * is moved down a level). Infinity when empty.
   */
  nextTick(): number {
    return this.#due.first === null ? this.#findNext() : this.#currentTick;
  }

  /**
   * Fires everything due up to and including this tick. When a callback throws, the error passes on, and
   * the timers behind it fire at the next call.
   */
  advance(toTick: number): void {
    this.#fireDue();
    for (;;) {
      const next = this.#findNext();
      if (next > toTick) break;
      this.#currentTick = next;
      this.#open();
      this.#fireDue();
    }
    if (toTick > this.#currentTick) this.#currentTick = toTick;
  }

  /** @internal for WheelTimer */
  noteRemoved(): void {
    this.#count--;
    if (this.#count === 0) this.#onEmpty();
  }

  #place(timer: WheelTimer): void {
    let level = 0;
    while (level < LEVEL_COUNT) {
      const blockTicks = SPAN_TICKS[level + 1]!;
      if (Math.floor(timer.dueTick / blockTicks) === Math.floor(this.#currentTick / blockTicks)) break;
      level++;
    }
    if (level === LEVEL_COUNT) {
      this.#overflow.push(timer);
      return;
    }
    const slot = Math.floor(timer.dueTick / SPAN_TICKS[level]!) % SLOT_COUNT;
    this.#lists[level * SLOT_COUNT + slot]!.push(timer);
    this.#occupied[level]! |= 1 << slot;
  }

  /** The tick at which the earliest occupied slot begins (W1: the lowest level has it). */
  #findNext(): number {
    for (let level = 0; level < LEVEL_COUNT; level++) {
      let bits = this.#occupied[level]!;
      while (bits !== 0) {
        const slot = 31 - Math.clz32(bits & -bits);
        if (this.#lists[level * SLOT_COUNT + slot]!.first !== null) {
          this.#nextLevel = level;
          this.#nextSlot = slot;
          const blockTicks = SPAN_TICKS[level + 1]!;
          return Math.floor(this.#currentTick / blockTicks) * blockTicks + slot * SPAN_TICKS[level]!;
        }
        bits &= bits - 1;
        this.#occupied[level] = bits;
      }
    }
    if (this.#overflow.first === null) return Number.POSITIVE_INFINITY;
    this.#nextLevel = LEVEL_COUNT;
    const wheelTicks = SPAN_TICKS[LEVEL_COUNT];
    return (Math.floor(this.#currentTick / wheelTicks) + 1) * wheelTicks;
  }

  /** Moves the slot that #findNext found: to the due list from level 0, else down. */
  #open(): void {
    if (this.#nextLevel === LEVEL_COUNT) {
      this.#replaceAll(this.#overflow);
      return;
    }
    const list = this.#lists[this.#nextLevel * SLOT_COUNT + this.#nextSlot]!;
    this.#occupied[this.#nextLevel]! &= ~(1 << this.#nextSlot);
    if (this.#nextLevel > 0) {
      this.#replaceAll(list);
      return;
    }
    for (let timer = list.first; timer !== null; timer = list.first) {
      assert(timer.dueTick === this.#currentTick, "W1: a timer stands in the slot of its tick");
      list.remove(timer);
      this.#due.push(timer);
    }
  }

  #replaceAll(list: TimerList): void {
    // Up to the last one there was: a timer far out goes back to the end of the same overflow list.
    const last = list.last;
    for (let timer = list.first; timer !== null; timer = list.first) {
      list.remove(timer);
      this.#place(timer);
      if (timer === last) return;
    }
  }

  #fireDue(): void {
    for (let timer = this.#due.first; timer !== null; timer = this.#due.first) {
      this.#due.remove(timer);
      this.noteRemoved();
      timer.callback();
    }
  }
}
