/**
 * The journals of calls that somebody watches: read from the store once for all who stand at the same place.
 *
 * Invariants
 * F1 Whoever reads from a sequence on gets every event from there, in order, each once: all of it comes from the
 *    store, and hints only say when to look.
 * F2 Without hints a feed looks every LOOK_MS.
 * F3 The call's state is read before its events: an ended call's events that are read after are all there are.
 */
import type { JournalEvent } from "#actors/journal";
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Store } from "../store/store.js";
import type { CallHints } from "./call-hints.js";

/** F2. What a watcher waits at worst when a hint was lost. */
const LOOK_MS = 2_000;
/** Events of one read; a call has a few hundred. */
const EVENTS_PER_LOOK = 200;

export interface Look {
  readonly events: readonly JournalEvent[];
  /** Nothing follows these events. */
  readonly isLast: boolean;
}

interface Feed {
  readonly callId: string;
  readonly waiting: Set<() => void>;
  /** Reads under way, by where they begin. */
  readonly reading: Map<number, Promise<Look | null>>;
  watcherCount: number;
  /** The highest next sequence hinted at. */
  nextSequence: number;
  timer: TimerHandle | null;
  forget: (() => void) | null;
}

export class CallFeeds {
  readonly #store: Store;
  readonly #hints: CallHints;
  readonly #clock: Clock;
  readonly #feeds = new Map<string, Feed>();

  constructor(options: { readonly store: Store; readonly hints: CallHints; readonly clock: Clock }) {
    this.#store = options.store;
    this.#hints = options.hints;
    this.#clock = options.clock;
  }

  /** Somebody watches; the returned feed must be closed. */
  async open(callId: string, tenantId: string): Promise<CallFeed> {
    const feed = this.#feeds.get(callId) ?? this.#create(callId);
    feed.watcherCount++;
    if (feed.forget === null) {
      feed.forget = () => {};
      const forget = await this.#hints.listen(tenantId, (hint) => {
        if (hint.callId !== callId) return;
        feed.nextSequence = Math.max(feed.nextSequence, hint.nextSequence);
        wake(feed);
      });
      if (feed.watcherCount === 0) forget();
      else feed.forget = forget;
    }
    let isOpen = true;
    return {
      look: (fromSequence) => this.#look(feed, fromSequence),
      wait: (fromSequence, onWaiting) => wait(feed, fromSequence, onWaiting),
      close: () => {
        if (isOpen && --feed.watcherCount === 0) this.#drop(feed);
        isOpen = false;
      },
    };
  }

  #create(callId: string): Feed {
    const feed: Feed = {
      callId,
      waiting: new Set(),
      reading: new Map(),
      watcherCount: 0,
      nextSequence: 0,
      timer: null,
      forget: null,
    };
    const lookAround = (): void => {
      wake(feed);
      feed.timer = this.#clock.setTimer(LOOK_MS, lookAround);
    };
    feed.timer = this.#clock.setTimer(LOOK_MS, lookAround);
    this.#feeds.set(callId, feed);
    return feed;
  }

  #drop(feed: Feed): void {
    feed.timer?.cancel();
    feed.forget?.();
    if (this.#feeds.get(feed.callId) === feed) this.#feeds.delete(feed.callId);
  }

  #look(feed: Feed, fromSequence: number): Promise<Look | null> {
    const underWay = feed.reading.get(fromSequence);
    if (underWay !== undefined) return underWay;
    const { callId } = feed;
    const looking = this.#store
      .transaction({ kind: "system" }, "system", async (tx) => {
        const call = await tx.calls.get(callId); // F3
        const events = await tx.calls.journal(callId, fromSequence, EVENTS_PER_LOOK);
        if (call === null || events === null) return null;
        feed.nextSequence = Math.max(feed.nextSequence, call.nextSequence);
        return { events, isLast: call.state === "ended" && events.length < EVENTS_PER_LOOK };
      })
      .finally(() => feed.reading.delete(fromSequence));
    feed.reading.set(fromSequence, looking);
    return looking;
  }
}

export interface CallFeed {
  /** What is there from a sequence on, up to EVENTS_PER_LOOK. Null: the call is gone. @throws STORE_UNAVAILABLE */
  look(fromSequence: number): Promise<Look | null>;
  /** Resolves when there may be something from there on; `onWaiting` gets what ends the wait early. */
  wait(fromSequence: number, onWaiting: (stop: () => void) => void): Promise<void>;
  close(): void;
}

function wait(feed: Feed, fromSequence: number, onWaiting: (stop: () => void) => void): Promise<void> {
  if (feed.nextSequence > fromSequence) return Promise.resolve();
  return new Promise((resolve) => {
    const stop = (): void => {
      feed.waiting.delete(stop);
      resolve();
    };
    feed.waiting.add(stop);
    onWaiting(stop);
  });
}

function wake(feed: Feed): void {
  for (const stop of feed.waiting) stop(); // each takes itself out
}
