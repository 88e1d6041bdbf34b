/**
 * A bounded first-in-first-out queue of messages in an array made once.
 *
 * ```
 *        head                 head + count
 *          v                      v
 * [ - | - | a | b | c | d | e | f | - | - ]      indices wrap at the end of the array
 * ```
 * M1 adding and taking allocate nothing, and a taken message is not kept alive by its old place.
 */
import assert from "node:assert/strict";

/**
 * Different messages one actor may be told with tellOnce: it is meant for a few constants, and each is
 * looked up by walking this many.
 */
const MAX_ONCE_MESSAGES = 8;
/** A mailbox this deep is seconds of work: whoever wants more wants backpressure. */
const MAX_CAPACITY = 65_536;

const EMPTY = Symbol("empty");

export class Mailbox<M> {
  readonly #slots: (M | typeof EMPTY)[];
  /** Messages waiting that came by pushOnce; the first #onceCount entries count. */
  readonly #once: (M | typeof EMPTY)[] = Array.from({ length: MAX_ONCE_MESSAGES }, () => EMPTY);
  #onceCount = 0;
  #head = 0;
  #count = 0;

  constructor(capacity: number) {
    assert(
      Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY,
      `mailboxCapacity must be 1 to ${MAX_CAPACITY} (got ${capacity})`,
    );
    this.#slots = Array.from({ length: capacity }, () => EMPTY);
  }

  get count(): number {
    return this.#count;
  }

  /** False when full. */
  push(message: M): boolean {
    if (this.#count === this.#slots.length) return false;
    let index = this.#head + this.#count;
    if (index >= this.#slots.length) index -= this.#slots.length;
    this.#slots[index] = message;
    this.#count++;
    return true;
  }

  /** As push; true without adding when this message waits already. */
  pushOnce(message: M): boolean {
    for (let i = 0; i < this.#onceCount; i++) if (this.#once[i] === message) return true;
    assert(this.#onceCount < MAX_ONCE_MESSAGES, `more than ${MAX_ONCE_MESSAGES} different tellOnce messages`);
    if (!this.push(message)) return false;
    this.#once[this.#onceCount++] = message;
    return true;
  }

  /** The oldest message. Only when count > 0: messages may be undefined, so no value can say "none". */
  take(): M {
    const message = this.#slots[this.#head]!;
    assert(message !== EMPTY, "take from an empty mailbox");
    this.#slots[this.#head] = EMPTY;
    this.#head = this.#head + 1 === this.#slots.length ? 0 : this.#head + 1;
    this.#count--;
    if (this.#onceCount > 0) this.#forgetOnce(message);
    return message;
  }

  #forgetOnce(message: M): void {
    for (let i = 0; i < this.#onceCount; i++) {
      if (this.#once[i] !== message) continue;
      this.#once[i] = this.#once[--this.#onceCount]!;
      this.#once[this.#onceCount] = EMPTY;
      return;
    }
  }
}
