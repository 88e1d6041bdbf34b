/**
 * The few words a shard and the main thread share beside the arena: the instant of the shard's last
 * heartbeat, how loaded it is, whose code it runs, how many of its batches the main thread has yet to read, and the
 * node's rung of backpressure. Shared memory rather than messages, because a shard that hangs, or a main thread that is
 * behind, answers none.
 *
 * ```
 * word 0   beatAtMs       i32, Clock.nowMs() rounded down, wraps      written by the shard
 * word 1   loopDelay      i32, microseconds                           written by the shard
 * word 2   budgetUsage    i32, millionths                             written by the shard
 * word 3   runs           i32, generation of the call whose code runs; 0  written by the shard
 * word 4   progress       i32, counts stretches of a call's code      written by the shard
 * word 5   threadId       i32, the operating system's; 0 unknown      written by the shard, once
 * word 32  unreadBatches  i32                                         shard adds, main thread subtracts
 * word 48  pressure       i32                                         written by the main thread
 * ```
 */
const BEAT_AT_MS = 0;
const LOOP_DELAY_US = 1;
const BUDGET_USAGE_PPM = 2;
const RUNS = 3;
const PROGRESS = 4;
const THREAD_ID = 5;
/** 128 bytes on: the words are written at different paces by different threads. */
const UNREAD_BATCHES = 32;
const PRESSURE = 48;
const BYTE_LENGTH = 256;

/** How loaded a shard was in the second before it said so. */
export interface ShardLoad {
  /** p95. */
  readonly eventLoopDelayMs: number;
  /** Share of the tightest of its budgets in use, 0 to 1; what a budget is, its handler knows. */
  readonly budgetUsage: number;
}

export class Heartbeat {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** Made by the main thread without, and opened by the shard with, a buffer. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTE_LENGTH)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** The shard is alive. */
  beat(nowMs: number): void {
    Atomics.store(this.#words, BEAT_AT_MS, toWord(nowMs));
  }

  /** Differs from the last value when there was a beat in between (of another millisecond). */
  lastBeat(): number {
    return Atomics.load(this.#words, BEAT_AT_MS);
  }

  /** Since the last beat. Both threads' clocks count from one origin; right up to 24 days. */
  ageMs(nowMs: number): number {
    return Math.max((toWord(nowMs) - this.lastBeat()) | 0, 0);
  }

  /** By the shard. The two words may be read one from before and one from after: each is right by itself. */
  tellLoad({ eventLoopDelayMs, budgetUsage }: ShardLoad): void {
    Atomics.store(this.#words, LOOP_DELAY_US, Math.round(eventLoopDelayMs * 1e3));
    Atomics.store(this.#words, BUDGET_USAGE_PPM, Math.round(budgetUsage * 1e6));
  }

  /** Zeros until the shard has lived for a second. */
  load(): ShardLoad {
    return {
      eventLoopDelayMs: Atomics.load(this.#words, LOOP_DELAY_US) / 1e3,
      budgetUsage: Atomics.load(this.#words, BUDGET_USAGE_PPM) / 1e6,
    };
  }

  /** By the shard: its thread, as the operating system counts. */
  tellThread(threadId: number): void {
    Atomics.store(this.#words, THREAD_ID, threadId);
  }

  /** 0 until it is known. */
  threadId(): number {
    return Atomics.load(this.#words, THREAD_ID);
  }

  /**
   * By the shard, whenever it enters a call's code: who is to blame when it does not come back. Plain stores, of a
   * thread that will stand still if they matter. Left as it is by code that throws.
   */
  enter(generation: number): void {
    this.#words[RUNS] = generation;
    this.#words[PROGRESS] = (this.#words[PROGRESS]! + 1) | 0;
  }

  leave(): void {
    this.#words[RUNS] = 0;
  }

  /** The generation of the call whose code runs, 0 for none. Right of a thread that stands still or is gone. */
  runs(): number {
    return Atomics.load(this.#words, RUNS);
  }

  /** Differs from the last value when the shard got further: a beat, or another call's turn. */
  progress(): number {
    return (Atomics.load(this.#words, PROGRESS) + this.lastBeat()) | 0;
  }

  /** By the main thread: the node's rung of backpressure, 0 to 4. */
  tellPressure(rung: number): void {
    Atomics.store(this.#words, PRESSURE, rung);
  }

  pressure(): number {
    return Atomics.load(this.#words, PRESSURE);
  }

  /** The shard has posted a batch. */
  notePosted(): void {
    Atomics.add(this.#words, UNREAD_BATCHES, 1);
  }

  /** The main thread has read one. */
  noteRead(): void {
    Atomics.sub(this.#words, UNREAD_BATCHES, 1);
  }

  /** May say more than there are, never fewer. */
  unreadBatches(): number {
    return Atomics.load(this.#words, UNREAD_BATCHES);
  }
}

/** Milliseconds modulo 2^32, as a signed word: `| 0` alone would do it too, but says less. */
function toWord(ms: number): number {
  return Math.floor(ms) | 0;
}
