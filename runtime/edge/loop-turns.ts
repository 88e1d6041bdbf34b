/**
 * How the edge's thread goes through its event loop when there is much to do.
 *
 * A packet that wakes a sleeping loop costs two system calls and two context switches beyond its own, which is more than
 * all the rest of it. So above a rate the thread no longer sleeps in the kernel for the next packet: it naps until the
 * next instant of a grid, takes all packets that have come meanwhile in one turn of the loop, wakes the shards they
 * are for, and naps again. A shard that has something to send ends the nap at once.
 *
 * ```
 *   nap ─────▶ grid: pump ─▶ loop: packets, timers, messages ─▶ wake shards ─▶ pump ─▶ look at bells ─▶ nap
 *     ▲                                                                                      │
 *     └──────────────────────────────────────────────────────────────────────────────────────┘
 * ```
 *
 * T1  The pump's grid is a multiple of this one, so pieces leave on time; both are late by the nap's own lateness alone.
 * T2  A turn that took longer than the grid is followed by the next without a nap: with load the naps disappear.
 * T3  Naps are short while anybody waits for a promise (an admission, a claim), and while a call that comes in is
 *     about to take its next step: its caller hears nothing yet.
 * T4  With little to do nothing runs here: the loop sleeps in the kernel as ever.
 */
import type { Clock } from "#runtime/actor";
import { FrameGrid, type NapFlag } from "#runtime/media";

/** The most that a packet waits for its turn; half of it on average. A whole number of them is a pump's tick: T1. */
export const TURN_MS = 2.5;
/** The same while there is less to do: as often as shards would poll their rings, so that their wake-ups cost no more. */
export const LONG_TURN_MS = 5;
/** T3 */
const HURRIED_NAP_MS = 1;
/** From a webhook's answer to the connection, from there to the stream: a round trip to most carriers. */
export const STEP_WITHIN_MS = 50;
/** Shorter naps cost more than they gather. */
const SHORTEST_NAP_MS = 0.1;
/**
 * Packets a second above which turns begin: eighty calls. Below, naps and the shards' wake-ups take what the packets
 * save, and a call that comes in is greeted some milliseconds sooner without; docs/BENCHMARKS.md.
 */
const BEGIN_RATE = 4_000;
/** And below which they end. */
const END_RATE = 2_500;
/** From here on turns are short: two hundred calls. Each then gathers so many that four hundred naps a second are cheap. */
const BUSY_RATE = 10_000;
/** How many packets are counted to know the rate: up to a quarter of a second, since they come in clumps of many calls. */
const COUNTED_PACKETS = 1_000;
/** How long one looks, at least, before turns end: carriers' packets come in clumps. */
const END_AFTER_MS = 500;

export interface LoopTurnsHandlers {
  /** All packets there were are in the rings: whoever polls them may be told. */
  readonly onPacketsTaken: () => void;
  /** Pump each slot whose out-ring was written. */
  readonly lookAtBells: () => void;
  /** Send what is due at this instant. */
  readonly pump: (nowMs: number) => void;
}

export class LoopTurns {
  readonly #clock: Clock;
  readonly #flag: NapFlag | null;
  readonly #handlers: LoopTurnsHandlers;
  readonly #shortGrid: FrameGrid;
  readonly #longGrid: FrameGrid;
  #grid: FrameGrid;
  /** Made once, not per turn. */
  readonly #onTurn = (): void => this.#turn();
  #turning = false;
  #closed = false;
  #hurried = 0;
  #hurriedUntilMs = Number.NEGATIVE_INFINITY;
  #wokeAtMs = 0;
  #packets = 0;
  #countedSinceMs: number;

  /** Without a flag there are no turns: on virtual time, say, where a thread must not block. */
  constructor(clock: Clock, flag: NapFlag | null, grid: FrameGrid, handlers: LoopTurnsHandlers) {
    this.#clock = clock;
    this.#flag = flag;
    this.#handlers = handlers;
    this.#shortGrid = new FrameGrid(grid.originMs, TURN_MS);
    this.#longGrid = new FrameGrid(grid.originMs, LONG_TURN_MS);
    this.#grid = this.#longGrid;
    this.#countedSinceMs = clock.nowMs();
  }

  /** A packet came, at this instant. */
  count(nowMs: number): void {
    if (++this.#packets < COUNTED_PACKETS || this.#turning || this.#flag === null) return;
    const rate = (this.#packets * 1_000) / (nowMs - this.#countedSinceMs);
    this.#packets = 0;
    this.#countedSinceMs = nowMs;
    if (rate < BEGIN_RATE || this.#closed) return;
    this.#setPace(rate);
    this.#turning = true;
    this.#flag.begin();
    this.#wokeAtMs = nowMs;
    setImmediate(this.#onTurn);
  }

  /** T3: somebody waits from now on; call what it returns once he does no more. */
  hurry(): () => void {
    this.#hurried++;
    let isOver = false;
    return () => {
      if (!isOver) this.#hurried--;
      isOver = true;
    };
  }

  /** T3: a call that comes in takes its next step soon. */
  expectStep(): void {
    this.#hurriedUntilMs = this.#clock.nowMs() + STEP_WITHIN_MS;
  }

  get isTurning(): boolean {
    return this.#turning;
  }

  /** No more turns. */
  close(): void {
    this.#closed = true;
  }

  #turn(): void {
    const flag = this.#flag!;
    const { onPacketsTaken, lookAtBells, pump } = this.#handlers;
    onPacketsTaken();
    let nowMs = this.#clock.nowMs();
    if (this.#mayEnd(nowMs)) {
      this.#turning = false;
      flag.end();
      lookAtBells();
      return;
    }
    pump(nowMs);
    // From the turn's beginning: one that was too long is past it already. T2
    const isHurried = this.#hurried > 0 || nowMs < this.#hurriedUntilMs;
    const untilMs = isHurried
      ? nowMs + HURRIED_NAP_MS
      : this.#grid.deadlineFrom(this.#wokeAtMs + SHORTEST_NAP_MS);
    for (;;) {
      flag.lieDown();
      lookAtBells();
      nowMs = this.#clock.nowMs();
      if (untilMs - nowMs < SHORTEST_NAP_MS) break;
      if (!flag.nap(untilMs - nowMs)) break;
    }
    flag.begin();
    this.#wokeAtMs = this.#clock.nowMs();
    pump(this.#wokeAtMs);
    setImmediate(this.#onTurn);
  }

  #mayEnd(nowMs: number): boolean {
    if (this.#closed) return true;
    const elapsedMs = nowMs - this.#countedSinceMs;
    if (elapsedMs < END_AFTER_MS) return false;
    const rate = (this.#packets * 1_000) / elapsedMs;
    this.#packets = 0;
    this.#countedSinceMs = nowMs;
    this.#setPace(rate);
    return rate < END_RATE;
  }

  #setPace(rate: number): void {
    this.#grid = rate < BUSY_RATE ? this.#longGrid : this.#shortGrid;
  }
}
