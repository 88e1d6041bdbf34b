/**
 * Journals of live calls and of the last that ended, in memory, for the admin port. Bounded: the live ones by
 * the slots, as the switchboard tells when it lets go of a call; of the ended ones the oldest go first, and a
 * call that writes too much keeps its beginning and says so.
 */
import { LRUCache } from "lru-cache";
import type { JournalEvent } from "#actors/journal";

/** A day of a busy line; about 10 MiB at a few dozen events each. */
export const ENDED_JOURNALS_MAX = 1_000;
/** A four-hour call with a turn every five seconds stays below it. */
export const EVENTS_PER_CALL_MAX = 10_000;
/** More than there can be live calls and ended journals. */
const SEQUENCES_KEPT_MAX = 100_000;

export class JournalStore {
  readonly #live = new Map<string, JournalEvent[]>();
  readonly #ended: LRUCache<string, JournalEvent[]>;
  /** Carrier's id to ours: people have the one they see in the carrier's console. */
  readonly #aliases: LRUCache<string, string>;
  /** Also of events that were not kept. */
  readonly #nextSequences: LRUCache<string, number>;
  /** Events not kept because their call was at its bound. */
  droppedCount = 0;

  /** What is remembered is allocated at once: less of it for a node of a simulation, of which there are thousands. */
  constructor(endedJournalsMax = ENDED_JOURNALS_MAX, sequencesKeptMax = SEQUENCES_KEPT_MAX) {
    this.#ended = new LRUCache({ max: endedJournalsMax });
    this.#aliases = new LRUCache({ max: endedJournalsMax * 2 });
    this.#nextSequences = new LRUCache({ max: sequencesKeptMax });
  }

  append(event: JournalEvent): void {
    const { callId } = event;
    // Of a call that was let go, what the shard still had to say comes later.
    let events = this.#live.get(callId) ?? this.#ended.get(callId);
    this.#nextSequences.set(callId, event.sequence + 1);
    if (events === undefined) {
      events = [];
      this.#live.set(callId, events);
    }
    if (event.kind === "callStarted") this.#aliases.set(event.carrierCallId, callId);
    // The end is always kept: a journal without it would look like a live call (J2).
    if (events.length >= EVENTS_PER_CALL_MAX && event.kind !== "callEnded") {
      this.droppedCount += 1;
      return;
    }
    events.push(event);
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
    this.#ended.set(callId, this.#live.get(callId) ?? []);
    this.#live.delete(callId);
  }

  get liveCount(): number {
    return this.#live.size;
  }

  /** By our call id or the carrier's; null when unknown or long gone. */
  get(id: string): readonly JournalEvent[] | null {
    const callId = this.#aliases.get(id) ?? id;
    return this.#live.get(callId) ?? this.#ended.get(callId) ?? null;
  }

  /** All of a live call's journal, or null: some of it was not kept, or did not come. */
  whole(callId: string): readonly JournalEvent[] | null {
    const events = this.#live.get(callId) ?? [];
    return events.length === this.nextSequence(callId) ? events : null;
  }

  /** Whether its end is written. */
  isComplete(callId: string): boolean {
    return this.get(callId)?.at(-1)?.kind === "callEnded";
  }

  /** Next sequence number of a call: for what the node writes in the shard's stead. */
  nextSequence(callId: string): number {
    return this.#nextSequences.get(callId) ?? 0;
  }
}
