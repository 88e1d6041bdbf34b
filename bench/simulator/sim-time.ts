/**
 * Time of a simulated world. One virtual clock for all; a thread (a node's main thread, a shard) has its own view of it:
 * its timers are late by a little, wait while it stands still, and never fire once it is dead.
 *
 * After each timer the promises and immediates it left run to their end, as they do between two timers of the event loop.
 */
import { type Clock, type Random, type TimerHandle, VirtualClock } from "#runtime/actor";
import { runImmediates, turnLoop } from "./immediates.js";

/** A timer of a busy machine is this late, sometimes. */
const LATE_MAX_MS = 12;
const LATE_SHARE = 0.05;
const QUIET_TURNS = 16;

export class SimTime extends VirtualClock {
  readonly random: Random;
  readonly #turnsLoop: boolean;

  /** `turnsLoop`: real time passes after each timer, for what a process does for the first time loads modules. */
  constructor(random: Random, turnsLoop = false) {
    super({ shuffle: random });
    this.random = random;
    this.#turnsLoop = turnsLoop;
  }

  /** A whole number of milliseconds: events of many calls meet in one instant, in any order. */
  between(minMs: number, maxMs: number): number {
    return Math.round(minMs + this.random.next() * (maxMs - minMs));
  }

  /** Some promises take several turns of the loop to set their next timer: closing, above all. */
  async #isQuiet(byMs: number): Promise<boolean> {
    for (let turn = 0; turn < QUIET_TURNS; turn++) {
      await turnLoop();
      await runImmediates();
      if (this.nextDueAtMs() <= byMs) return false;
    }
    return true;
  }

  /** Runs until the condition holds, or `byMs`, or nothing is left to happen. */
  async runUntil(isOver: () => boolean, byMs: number): Promise<void> {
    await runImmediates();
    while (!isOver()) {
      if (this.fireNext(byMs)) {
        if (this.#turnsLoop) await turnLoop();
        await runImmediates();
      } else if (await this.#isQuiet(byMs)) return this.advanceTo(byMs); // nothing is due by then
    }
  }
}

export class SimThread implements Clock {
  readonly #time: SimTime;
  readonly #timers = new Set<TimerHandle>();
  readonly #onUncaught: (error: unknown) => void;
  #heldUntilMs = 0;
  isDead = false;

  /** `onUncaught`: what a callback threw; as in a thread of Node's, that is its end. */
  constructor(
    time: SimTime,
    onUncaught: (error: unknown) => void = (error) => {
      throw error;
    },
  ) {
    this.#time = time;
    this.#onUncaught = onUncaught;
  }

  nowMs(): number {
    return this.#time.nowMs();
  }

  unixMs(): number {
    return this.#time.unixMs();
  }

  setTimer(delayMs: number, callback: () => void): TimerHandle {
    if (this.isDead) return { cancel: () => {} };
    const isLate = this.#time.random.next() < LATE_SHARE;
    return this.#set(Math.ceil(delayMs) + (isLate ? this.#time.between(1, LATE_MAX_MS) : 0), callback);
  }

  /** In this thread, at this instant or when it moves again: how what comes from outside gets in. */
  after(delayMs: number, callback: () => void): void {
    if (!this.isDead) this.#set(delayMs, callback);
  }

  /** Stands still. */
  hold(ms: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, this.nowMs() + ms);
  }

  get isHeld(): boolean {
    return this.nowMs() < this.#heldUntilMs;
  }

  die(): void {
    this.isDead = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** Timers set and not fired. */
  get timerCount(): number {
    return this.#timers.size;
  }

  #set(delayMs: number, callback: () => void): TimerHandle {
    const fire = (): void => {
      if (this.isHeld) {
        inner = this.#time.setTimer(this.#heldUntilMs - this.nowMs(), fire);
        return;
      }
      this.#timers.delete(handle);
      try {
        callback();
      } catch (error) {
        this.#onUncaught(error);
      }
    };
    let inner = this.#time.setTimer(delayMs, fire);
    const handle: TimerHandle = {
      cancel: () => {
        inner.cancel();
        this.#timers.delete(handle);
      },
    };
    this.#timers.add(handle);
    return handle;
  }
}
