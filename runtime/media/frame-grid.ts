/**
 * The instants at which something paced is due: deadline n lies at origin + n * period exactly, whenever
 * the ones before it were met. An interval timer, which adds its lateness each time, loses up to 2.9 s a
 * minute.
 */
import assert from "node:assert/strict";

/** In periods. The last bit of a division must not move an instant on the grid to the next deadline. */
const ROUNDING = 1e-6;

export class FrameGrid {
  readonly originMs: number;
  readonly periodMs: number;

  constructor(originMs: number, periodMs: number) {
    assert(periodMs > 0, "a period is longer than nothing");
    this.originMs = originMs;
    this.periodMs = periodMs;
  }

  deadlineMs(index: number): number {
    return this.originMs + index * this.periodMs;
  }

  /** The first deadline that is not before `atMs`. */
  deadlineFrom(atMs: number): number {
    return this.deadlineMs(Math.ceil((atMs - this.originMs) / this.periodMs - ROUNDING));
  }

  /** The index of the last deadline that is not after `atMs`. */
  indexAt(atMs: number): number {
    const index = Math.floor((atMs - this.originMs) / this.periodMs);
    // The division may round either way at a deadline; the deadlines themselves decide.
    if (this.deadlineMs(index) > atMs) return index - 1;
    return this.deadlineMs(index + 1) <= atMs ? index + 1 : index;
  }
}
