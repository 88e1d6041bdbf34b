/**
 * The few words a shard and the main thread share beside the arena: the instant of the shard's last
 * heartbeat, and how many of its batches the main thread has yet to read. Shared memory rather than
 * messages, because a shard that hangs, or a main thread that is behind, answers none.
 *
 * ```
 * word 0   beatAtMs       i32, Clock.nowMs() rounded down, wraps      written by the shard
 * word 32  unreadBatches  i32                                         shard adds, main thread subtracts
 * ```
 */
const BEAT_AT_MS = 0;
/** 128 bytes on: the two words are written at different paces by different threads. */
const UNREAD_BATCHES = 32;
const BYTE_LENGTH = 256;

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
