/**
 * Time of a simulated world. One virtual clock for all; a thread (a node's main thread, a shard) has its own view of it:
 * its timers are late by a little, wait while it stands still, and never fire once it is dead.
 *
 * After each timer the promises and immediates it left run to their end, as they do between two timers of the event loop.
 */
import { type Clock, type Random, type TimerHandle, VirtualClock, VirtualTimer } from "#runtime/actor";
import { onNextTurn, runImmediates } from "./immediates.js";

/** A timer of a busy machine is this late, sometimes. */
const LATE_MAX_MS = 12;
const LATE_SHARE = 0.05;
/** Some promises take several turns of the loop to set their next timer: closing, above all. */
const QUIET_TURNS = 16;

export class SimTime extends VirtualClock {
  readonly random: Random;
  readonly #turnsLoop: boolean;
  #quietTurns = 0;

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

  /** Runs until the condition holds, or `byMs`, or nothing is left to happen. */
  runUntil(isOver: () => boolean, byMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        try {
          if (this.#runTurn(isOver, byMs)) resolve();
          else onNextTurn(go);
        } catch (error) {
          reject(error);
        }
      };
      onNextTurn(go);
    });
  }

  /** In one turn of the process's loop; true when there is nothing more to do. */
  #runTurn(isOver: () => boolean, byMs: number): boolean {
    runImmediates();
    while (!isOver()) {
      if (this.fireNext(byMs)) {
        this.#quietTurns = 0;
        if (this.#turnsLoop) return false;
        runImmediates();
      } else if (++this.#quietTurns <= QUIET_TURNS) return false;
      else {
        // Nothing is due by then, and nothing comes.
        this.#quietTurns = 0;
        this.advanceTo(byMs);
        return true;
      }
    }
    this.#quietTurns = 0;
    return true;
  }
}

export class SimThread implements Clock {
  readonly #time: SimTime;
  readonly #onUncaught: (error: unknown) => void;
  #heldUntilMs = 0;
  #nextHeld = -1e9;
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
    const isLate = !this.isDead && this.#time.random.next() < LATE_SHARE;
    const timer = new ThreadTimer(this, callback, true);
    if (this.isDead) return timer;
    this.#time.schedule(timer, Math.ceil(delayMs) + (isLate ? this.#time.between(1, LATE_MAX_MS) : 0));
    return timer;
  }

  /** In this thread, at this instant or when it moves again: how what comes from outside gets in. */
  after(delayMs: number, callback: () => void): void {
    if (!this.isDead) this.#time.schedule(new ThreadTimer(this, callback, false), delayMs);
  }

  /** Stands still. */
  hold(ms: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, this.nowMs() + ms);
  }

  get isHeld(): boolean {
    return this.nowMs() < this.#heldUntilMs;
  }

  /** Timers that the code which runs in it has set and neither waited for nor cancelled. */
  get timerCount(): number {
    return this.#time.countOf(
      (timer) => timer instanceof ThreadTimer && timer.thread === this && timer.isSet,
    );
  }

  die(): void {
    this.isDead = true;
    this.#time.cancelAll((timer) => timer instanceof ThreadTimer && timer.thread === this);
  }

  /** One of its timers is due. */
  fire(timer: ThreadTimer): void {
    // As they would have fired: messages keep their order, also when it stands still for longer meanwhile.
    if (this.isHeld) {
      timer.heldOrder ??= this.#nextHeld++;
      return this.#time.schedule(timer, this.#heldUntilMs - this.nowMs(), timer.heldOrder);
    }
    try {
      timer.callback();
    } catch (error) {
      this.#onUncaught(error);
    }
  }
}

class ThreadTimer extends VirtualTimer {
  readonly thread: SimThread;
  /** By the code that runs there; else it is a message on its way, or the thread's own. */
  readonly isSet: boolean;
  /** Among those that wait for the thread to move again; null: it has not waited. */
  heldOrder: number | null = null;

  constructor(thread: SimThread, callback: () => void, isSet: boolean) {
    super(callback);
    this.thread = thread;
    this.isSet = isSet;
  }

  override fire(): void {
    this.thread.fire(this);
  }
}
