/**
 * What the rings lost, as totals for the metrics. The arena counts per slot and forgets when a slot is reset
 * for the next call; so what is new is taken over at each scrape and when a call closes.
 */
import type { Arena } from "#runtime/media";
import type { Metrics } from "#runtime/telemetry";

interface Counted {
  dropped: number;
  refused: number;
}

export class RingLosses {
  readonly #arena: Arena;
  readonly #drops: Metrics["ringDrops"];
  /** By slot of a live call, what the totals hold of it already. */
  readonly #counted = new Map<number, Counted>();

  constructor(arena: Arena, metrics: Metrics) {
    this.#arena = arena;
    this.#drops = metrics.ringDrops;
    // Both series from the start: a rate over one that appears with its first loss misses that loss.
    this.#drops.inc({ direction: "in" }, 0);
    this.#drops.inc({ direction: "out" }, 0);
  }

  /** The slot is a new call's. */
  opened(slot: number): void {
    this.#counted.set(slot, { dropped: 0, refused: 0 });
  }

  /** The last look at the call's counters; before anybody may reset the slot. */
  closed(slot: number): void {
    this.#count(slot);
    this.#counted.delete(slot);
  }

  /** Brings the totals up to date with the live calls. */
  collect(): void {
    for (const slot of this.#counted.keys()) this.#count(slot);
  }

  #count(slot: number): void {
    const counted = this.#counted.get(slot);
    if (counted === undefined) return;
    const { inDroppedCount, outRefusedCount } = this.#arena.stats(slot);
    this.#drops.inc({ direction: "in" }, inDroppedCount - counted.dropped);
    this.#drops.inc({ direction: "out" }, outRefusedCount - counted.refused);
    counted.dropped = inDroppedCount;
    counted.refused = outRefusedCount;
  }
}
