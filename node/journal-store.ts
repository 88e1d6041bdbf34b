/**
 * Journals of live calls and of the last that ended, in memory, for the admin port and for whoever goes on with a call.
 * Bounded: the live ones by the slots, as the switchboard tells when it lets go of a call; of the ended ones the oldest
 * go first, and a call that writes too much keeps its beginning and says so. Events are kept packed.
 */
import { LRUCache } from "lru-cache";
import type { JournalEvent } from "#actors/journal";
import { PackedJournal } from "./packed-journal.js";

/** A day of a busy line; 5 MiB at thirty turns each. */
const ENDED_JOURNALS_MAX = 1_000;
/** A turn is three or four: a four-hour call with one every five seconds stays below it. As many as are replayed. */
export const EVENTS_PER_CALL_MAX = 20_000;

interface Kept {
  readonly journal: PackedJournal;
  /** Of the next event, also after ones that were not kept. */
  nextSequence: number;
  first: JournalEvent | null;
  last: JournalEvent | null;
}

export class JournalStore {
  readonly #live = new Map<string, Kept>();
  readonly #ended: LRUCache<string, Kept>;
  /** Carrier's id to ours: people have the one they see in the carrier's console. */
  readonly #aliases: LRUCache<string, string>;
  /** Events not kept because their call was at its bound. */
  droppedCount = 0;

  /** What is remembered is allocated at once: less of it for a node of a simulation, of which there are thousands. */
  constructor(endedJournalsMax = ENDED_JOURNALS_MAX) {
    this.#ended = new LRUCache({ max: endedJournalsMax });
    this.#aliases = new LRUCache({ max: endedJournalsMax * 2 });
  }

  append(event: JournalEvent): void {
    const { callId } = event;
    // Of a call that was let go, what the shard still had to say comes later.
    let kept = this.#find(callId);
    if (kept === undefined) this.#live.set(callId, (kept = nothing()));
    kept.nextSequence = event.sequence + 1;
    if (event.kind === "callStarted") this.#aliases.set(event.carrierCallId, callId);
    // The end is always kept: a journal without it would look like a live call (J2).
    if (kept.journal.count >= EVENTS_PER_CALL_MAX && event.kind !== "callEnded") {
      this.droppedCount += 1;
      return;
    }
    kept.journal.append(event);
    kept.first ??= event;
    kept.last = event;
    if (event.kind === "callEnded") this.release(callId);
  }

  /** The journal of a call that comes from another node, as its owners wrote it. */
  load(callId: string, events: readonly JournalEvent[]): void {
    this.#ended.delete(callId);
    this.#live.delete(callId);
    for (const event of events) this.append(event);
  }

  /**
   * The call is over for us, whatever its journal says: a shard that falls behind drops events, and the end
   * may be among them.
   */
  release(callId: string): void {
    if (this.#ended.has(callId)) return;
    const kept = this.#live.get(callId) ?? nothing();
    kept.journal.pack();
    this.#ended.set(callId, kept);
    this.#live.delete(callId);
  }

  get liveCount(): number {
    return this.#live.size;
  }

  /** By our call id or the carrier's; null when unknown or long gone. Unpacks: for who reads all of it. */
  get(id: string): readonly JournalEvent[] | null {
    return this.#find(id)?.journal.events() ?? null;
  }

  /** How it began and what was last in it, by either id; null when it is unknown, long gone or empty. */
  ends(id: string): { readonly first: JournalEvent; readonly last: JournalEvent } | null {
    const { first = null, last = null } = this.#find(id) ?? {};
    return first === null || last === null ? null : { first, last };
  }

  /** All of a live call's journal, or null: some of it was not kept, or did not come. */
  whole(callId: string): readonly JournalEvent[] | null {
    const kept = this.#live.get(callId) ?? nothing();
    return kept.journal.count === this.nextSequence(callId) ? kept.journal.events() : null;
  }

  /** Whether its end is written. */
  isComplete(callId: string): boolean {
    return this.#find(callId)?.last?.kind === "callEnded";
  }

  /** Next sequence number of a call: for what the node writes in the shard's stead. */
  nextSequence(callId: string): number {
    return this.#find(callId)?.nextSequence ?? 0;
  }

  #find(id: string): Kept | undefined {
    const callId = this.#aliases.get(id) ?? id;
    return this.#live.get(callId) ?? this.#ended.get(callId);
  }
}

function nothing(): Kept {
  return { journal: new PackedJournal(), nextSequence: 0, first: null, last: null };
}
