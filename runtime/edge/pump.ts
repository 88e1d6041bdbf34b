/**
 * Calls each leg back at the instant it asked for, on a common grid. One frame clock serves all legs, woken
 * for the earliest of their instants; with nothing to send no timer runs.
 */
import type { Clock } from "#runtime/actor";
import { FrameClock, type FrameGrid } from "#runtime/media";
import { NEVER_MS } from "./playout.js";

/** Half a frame: at 500 calls some fifty share a wake-up, and it is the most that P3 adds to a piece. */
export const PUMP_TICK_MS = 10;

/** Something that is pumped. `pumpIndex` and `pumpDueAtMs` are the pump's own. */
export interface Pumped {
  /** Sends what is due; the instant on the grid to be called again, or NEVER_MS. Must not throw. */
  pump(nowMs: number): number;
  pumpIndex: number;
  pumpDueAtMs: number;
}

export class Pump {
  readonly #clock: Clock;
  readonly #frames: FrameClock;
  /** Those waiting for an instant, in no order; each knows its index. */
  readonly #waiting: Pumped[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#frames = new FrameClock(clock, PUMP_TICK_MS, () => this.#tick());
  }

  /** The instants at which legs are called. */
  get grid(): FrameGrid {
    return this.#frames.grid;
  }

  /** Pumps now, for instance because the shard wrote something. */
  wake(leg: Pumped): void {
    this.#place(leg, leg.pump(this.#clock.nowMs()));
    this.#frames.tickAt(leg.pumpDueAtMs);
  }

  /** Sends now what is due now. */
  pumpDue(nowMs: number): void {
    this.#frames.tickIfDue(nowMs);
  }

  remove(leg: Pumped): void {
    this.#place(leg, NEVER_MS);
  }

  close(): void {
    this.#frames.stop();
    while (this.#waiting.length > 0) this.remove(this.#waiting.at(-1)!);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  #tick(): void {
    let earliestMs = NEVER_MS;
    // From the end, since a leg that is done leaves its place to the last one.
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const leg = this.#waiting[index];
      // A leg may take others with it when it goes.
      if (leg === undefined) continue;
      // Read for each: fifty sends take a while, and pacing error is to be what it is.
      const nowMs = this.#clock.nowMs();
      if (leg.pumpDueAtMs <= nowMs) this.#place(leg, leg.pump(nowMs));
      if (leg.pumpDueAtMs < earliestMs) earliestMs = leg.pumpDueAtMs;
    }
    this.#frames.tickAt(earliestMs);
  }

  #place(leg: Pumped, dueAtMs: number): void {
    leg.pumpDueAtMs = dueAtMs;
    const isWaiting = leg.pumpIndex >= 0;
    if (dueAtMs === NEVER_MS) {
      if (!isWaiting) return;
      const last = this.#waiting.pop()!;
      if (last !== leg) {
        this.#waiting[leg.pumpIndex] = last;
        last.pumpIndex = leg.pumpIndex;
      }
      leg.pumpIndex = -1;
    } else if (!isWaiting) {
      leg.pumpIndex = this.#waiting.length;
      this.#waiting.push(leg);
    }
  }
}
