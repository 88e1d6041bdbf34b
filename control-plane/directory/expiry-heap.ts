/**
 * Which lease runs out next, for the memory directory: a binary heap with lazy correction. A renewal, which is what
 * happens most, costs nothing here: the entry is found stale when it comes up, and put back with the new instant.
 *
 * Invariants
 * H1 An item has one entry in force, due at `item.heapDueAtMs`; entries with another instant are leftovers, dropped
 *    when they come up.
 * H2 That entry is never later than the item expires.
 */

export interface Expiring {
  readonly callId: string;
  /** Infinity: it does not expire. */
  expiresAtMs: number;
  /** The heap's own. */
  heapDueAtMs: number;
}

interface Entry<Item> {
  readonly dueAtMs: number;
  readonly item: Item;
}

export class ExpiryHeap<Item extends Expiring> {
  readonly #heap: Entry<Item>[] = [];

  /** The item's `expiresAtMs` was set. */
  watch(item: Item): void {
    if (item.expiresAtMs >= item.heapDueAtMs) return;
    item.heapDueAtMs = item.expiresAtMs;
    this.#push({ dueAtMs: item.expiresAtMs, item });
  }

  /** The next item that expired at `nowMs` or before, the longest ago first; undefined when there is none. */
  takeDue(nowMs: number): Item | undefined {
    for (let first = this.#heap[0]; first !== undefined && first.dueAtMs <= nowMs; first = this.#heap[0]) {
      const { item, dueAtMs } = this.#pop();
      if (item.heapDueAtMs !== dueAtMs) continue;
      item.heapDueAtMs = Number.POSITIVE_INFINITY;
      if (item.expiresAtMs <= dueAtMs) return item;
      this.watch(item);
    }
    return undefined;
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #push(entry: Entry<Item>): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): Entry<Item> {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

/** By instant, then by name, as a sorted set of Redis has it. */
function before<Item extends Expiring>(a: Entry<Item>, b: Entry<Item>): boolean {
  return a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.item.callId < b.item.callId);
}
