/**
 * Messages an actor is owed: its timers that have fired and its piped promises that have settled. They were
 * admitted when asked for, so delivery cannot be refused and needs no room in the mailbox.
 *
 * O1 an entry that was cancelled is never taken, even when it was already due.
 * O2 after `close` nothing is taken, and no timer of this lane is left on the clock.
 */
import assert from "node:assert/strict";
import type { Clock, TimerHandle } from "./clock.js";

/**
 * Timers and pipes one actor may have outstanding, together. A call holds a few dozen; a thousand is a leak
 * that should show as a failure of its actor, not as memory.
 */
const MAX_OWED_PER_ACTOR = 1_024;

const INERT_TIMER: TimerHandle = { cancel() {} };

class Owed<M> implements TimerHandle {
  readonly lane: OwedLane<M>;
  /** Makes the message, in the actor's turn; a timer's just returns it. */
  build: () => M;
  timer: TimerHandle = INERT_TIMER;
  next: Owed<M> | null = null;
  outstanding = true;

  constructor(lane: OwedLane<M>, build: () => M) {
    this.lane = lane;
    this.build = build;
  }

  cancel(): void {
    this.lane.forget(this);
  }
}

export class OwedLane<M> {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  /** Null until the first. */
  #outstanding: Set<Owed<M>> | null = null;
  #first: Owed<M> | null = null;
  #last: Owed<M> | null = null;
  #closed = false;

  /** `onDue` runs when an entry became ready to be taken. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  addTimer(delayMs: number, message: M): TimerHandle {
    if (this.#closed) return INERT_TIMER;
    const owed = this.#add(() => message);
    owed.timer = this.#clock.setTimer(delayMs, () => this.#enqueue(owed));
    return owed;
  }

  addPromise<T>(promise: Promise<T>, onValue: (value: T) => M, onError: (error: unknown) => M): void {
    const unset = (): M => assert.fail("a promise is taken only once settled");
    // A promise given to a lane that is over still needs its rejection handled.
    const owed = this.#closed ? null : this.#add(unset);
    const settle = (build: () => M): void => {
      if (owed === null || !owed.outstanding) return;
      owed.build = build;
      this.#enqueue(owed);
    };
    promise.then(
      (value) => settle(() => onValue(value)),
      (error: unknown) => settle(() => onError(error)),
    );
  }

  /** Whether `take` has something. */
  hasDue(): boolean {
    while (this.#first !== null && !this.#first.outstanding) this.#shift();
    return this.#first !== null;
  }

  /** The builder of the oldest due entry; only after hasDue(). */
  take(): () => M {
    const owed = this.#shift();
    this.forget(owed);
    return owed.build;
  }

  close(): void {
    this.#closed = true;
    for (const owed of this.#outstanding ?? []) this.forget(owed);
    this.#first = null;
    this.#last = null;
  }

  /** @internal for Owed */
  forget(owed: Owed<M>): void {
    owed.outstanding = false;
    owed.timer.cancel();
    this.#outstanding?.delete(owed);
  }

  #add(build: () => M): Owed<M> {
    const outstanding = (this.#outstanding ??= new Set());
    assert(
      outstanding.size < MAX_OWED_PER_ACTOR,
      `an actor has more than ${MAX_OWED_PER_ACTOR} timers and pipes outstanding`,
    );
    const owed = new Owed(this, build);
    outstanding.add(owed);
    return owed;
  }

  #enqueue(owed: Owed<M>): void {
    if (this.#last === null) this.#first = owed;
    else this.#last.next = owed;
    this.#last = owed;
    this.#onDue();
  }

  #shift(): Owed<M> {
    const owed = this.#first;
    assert(owed !== null, "take from an empty lane");
    this.#first = owed.next;
    if (this.#first === null) this.#last = null;
    owed.next = null;
    return owed;
  }
}
