/**
 * Time that moves only when told to, for tests and the simulator. Timers fire in the order of their due
 * instants, and in the order they were set when those are equal (or in any, from a seed); during a callback
 * `nowMs()` is exactly the instant the timer was due. Two runs with the same calls are the same, to the bit.
 */
import assert from "node:assert/strict";
import type { Clock, TimerHandle } from "./clock.js";
import type { Random } from "./random.js";

/** A clock that starts at 0 hides code that takes 0 for "never". */
const DEFAULT_START_MS = 1_000_000;
/** 2025-01-01T00:00:00Z: any fixed wall clock will do. */
const DEFAULT_START_UNIX_MS = 1_735_689_600_000;
/** A timer that sets itself again with no delay would hold virtual time still for ever. */
const MAX_TIMERS_PER_INSTANT = 100_000;

export class VirtualTimer implements TimerHandle {
  dueAtMs = 0;
  order = 0;
  isOff = false;
  readonly callback: () => void;

  constructor(callback: () => void) {
    this.callback = callback;
  }

  cancel(): void {
    this.isOff = true;
  }

  /** It is due. */
  fire(): void {
    this.callback();
  }

  before(other: VirtualTimer): boolean {
    return this.dueAtMs < other.dueAtMs || (this.dueAtMs === other.dueAtMs && this.order < other.order);
  }
}

export class VirtualClock implements Clock {
  readonly #unixOffsetMs: number;
  readonly #shuffle: Random | null;
  /** A binary heap; cancelled timers stay in it until they come up. */
  readonly #heap: VirtualTimer[] = [];
  #nowMs: number;
  #order = 0;

  /** `shuffle`: timers of one instant fire in an order drawn from it, which no code may rely on. */
  constructor(options: { startMs?: number; startUnixMs?: number; shuffle?: Random } = {}) {
    this.#shuffle = options.shuffle ?? null;
    this.#nowMs = options.startMs ?? DEFAULT_START_MS;
    this.#unixOffsetMs = (options.startUnixMs ?? DEFAULT_START_UNIX_MS) - this.#nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  unixMs(): number {
    return this.#nowMs + this.#unixOffsetMs;
  }

  setTimer(delayMs: number, callback: () => void): TimerHandle {
    const timer = new VirtualTimer(callback);
    this.schedule(timer, delayMs);
    return timer;
  }

  /**
   * `setTimer` for a timer of the caller's own kind; again once it has fired. `order`: its place among those of one
   * instant, before all that have none when negative.
   */
  schedule(timer: VirtualTimer, delayMs: number, order?: number): void {
    assert(Number.isFinite(delayMs), `a timer's delay must be finite (got ${delayMs})`);
    timer.dueAtMs = this.#nowMs + Math.max(delayMs, 0);
    timer.order = order ?? (this.#shuffle === null ? this.#order++ : this.#shuffle.next());
    timer.isOff = false;
    push(this.#heap, timer);
  }

  /** Cancels every timer of which this holds. */
  cancelAll(which: (timer: VirtualTimer) => boolean): void {
    for (const timer of this.#heap) if (which(timer)) timer.cancel();
  }

  /** Timers waiting now of which this holds. */
  countOf(which: (timer: VirtualTimer) => boolean): number {
    return this.#heap.reduce((count, timer) => (!timer.isOff && which(timer) ? count + 1 : count), 0);
  }

  /** Moves time on, firing what falls due on the way, also what callbacks set. */
  advance(ms: number): void {
    this.advanceTo(this.#nowMs + ms);
  }

  /** As `advance`, to an instant. */
  advanceTo(atMs: number): void {
    assert(atMs >= this.#nowMs, "time moves forward only");
    let firedAtInstant = 0;
    for (let dueAtMs = this.nextDueAtMs(); dueAtMs <= atMs; dueAtMs = this.nextDueAtMs()) {
      firedAtInstant = dueAtMs === this.#nowMs ? firedAtInstant + 1 : 0;
      assert(firedAtInstant < MAX_TIMERS_PER_INSTANT, "timers with no delay set each other for ever");
      this.#fireFirst();
    }
    this.#nowMs = atMs;
  }

  /**
   * As `advance`, but lets promises and immediates run after each timer and at the end, so that code
   * awaiting between timers keeps up with them.
   */
  async advanceAsync(ms: number): Promise<void> {
    const atMs = this.#nowMs + ms;
    await nextImmediate();
    while (this.nextDueAtMs() <= atMs) {
      this.#fireFirst();
      await nextImmediate();
    }
    this.#nowMs = atMs;
    await nextImmediate();
  }

  /** Fires the first timer due by then, and says whether there was one; time moves on to it. */
  fireNext(byMs: number): boolean {
    if (this.nextDueAtMs() > byMs) return false;
    this.#fireFirst();
    return true;
  }

  /** When the next timer is due; Infinity when none is set. */
  nextDueAtMs(): number {
    while (this.#heap[0]?.isOff === true) pop(this.#heap);
    return this.#heap[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** Timers waiting now; a test ends with 0. */
  get timerCount(): number {
    return this.countOf(() => true);
  }

  #fireFirst(): void {
    const timer = pop(this.#heap);
    this.#nowMs = timer.dueAtMs;
    timer.isOff = true;
    timer.fire();
  }
}

function nextImmediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function push(heap: VirtualTimer[], timer: VirtualTimer): void {
  let index = heap.length;
  heap.push(timer);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!timer.before(heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = timer;
}

function pop(heap: VirtualTimer[]): VirtualTimer {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]!.before(heap[child]!)) child++;
    if (!heap[child]!.before(last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
  return first;
}
