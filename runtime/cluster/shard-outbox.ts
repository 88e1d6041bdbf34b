/**
 * What a shard has to say that can wait for the end of the tick. One postMessage per batch; and no more
 * batches on their way than the main thread can be expected to read, for a port has no bound of its own.
 *
 * O1 items leave in the order they came.
 * O2 when the main thread is behind, items wait here; past the bound events are dropped and counted, and
 *    the count is told once things move again. Nothing but events is ever dropped: the rest is bounded by
 *    the slots. Whoever emits is told, as a journal must number its events without gaps.
 */
import type { MessagePort } from "node:worker_threads";
import { toWire } from "#runtime/errors";
import type { Heartbeat } from "./heartbeat.js";
import type { FromShard, ShardItem } from "./messages.js";

/** At a batch per 5 ms tick this is a main thread that has not read for over a second. */
export const MAX_UNREAD_BATCHES = 256;
/** A call emits a few events a second: a thousand calls fill this in several seconds of a main thread stuck. */
export const MAX_HELD_ITEMS = 16_384;
/** A batch is cloned in one go on both threads; larger ones would hold up audio. */
export const MAX_BATCH_ITEMS = 512;

export interface OutboxBounds {
  readonly unreadBatches: number;
  readonly heldItems: number;
}

export class ShardOutbox {
  readonly #port: Pick<MessagePort, "postMessage">;
  readonly #heartbeat: Pick<Heartbeat, "unreadBatches" | "notePosted" | "noteRead">;
  readonly #bounds: OutboxBounds;
  readonly #onImmediate = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  #items: ShardItem[] = [];
  #scheduled = false;
  #droppedEvents = 0;

  constructor(
    port: Pick<MessagePort, "postMessage">,
    heartbeat: Pick<Heartbeat, "unreadBatches" | "notePosted" | "noteRead">,
    bounds: OutboxBounds = { unreadBatches: MAX_UNREAD_BATCHES, heldItems: MAX_HELD_ITEMS },
  ) {
    this.#port = port;
    this.#heartbeat = heartbeat;
    this.#bounds = bounds;
  }

  /** Leaves with the present tick, or soon after what runs now when that is not a tick. False: it was dropped. */
  add(item: ShardItem): boolean {
    if (item.kind === "event" && this.#items.length >= this.#bounds.heldItems) {
      this.#droppedEvents++;
      return false;
    }
    this.#items.push(item);
    if (this.#scheduled) return true;
    this.#scheduled = true;
    setImmediate(this.#onImmediate);
    return true;
  }

  addFault(what: string, error: unknown): void {
    this.add({ kind: "fault", what, error: toWire(error) });
  }

  /** Posts what there is, unless the main thread is too far behind. */
  flush(): void {
    while (this.#items.length > 0 && this.#heartbeat.unreadBatches() < this.#bounds.unreadBatches) {
      if (this.#droppedEvents > 0) this.#tellDropped();
      const batch =
        this.#items.length <= MAX_BATCH_ITEMS ? this.#items : this.#items.slice(0, MAX_BATCH_ITEMS);
      this.#items = batch === this.#items ? [] : this.#items.slice(MAX_BATCH_ITEMS);
      this.#postBatch(batch);
    }
  }

  #tellDropped(): void {
    const what = `${this.#droppedEvents} events were dropped: the main thread was behind`;
    this.#droppedEvents = 0;
    this.#items.push({ kind: "fault", what, error: toWire(new Error(what)) });
  }

  #postBatch(items: readonly ShardItem[]): void {
    try {
      this.#post({ kind: "batch", items });
    } catch {
      // Some event cannot be cloned. The others, and the calls' ends among them, must not go down with it.
      for (const item of items) this.#postAlone(item);
    }
  }

  #postAlone(item: ShardItem): void {
    try {
      this.#post({ kind: "batch", items: [item] });
    } catch (error) {
      const what = "an event could not be cloned and was dropped";
      this.#post({ kind: "batch", items: [{ kind: "fault", what, error: toWire(error) }] });
    }
  }

  #post(message: FromShard): void {
    // Counted first: the main thread may have read it before this returns.
    this.#heartbeat.notePosted();
    try {
      this.#port.postMessage(message);
    } catch (error) {
      this.#heartbeat.noteRead();
      throw error;
    }
  }
}
