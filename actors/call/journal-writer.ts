/** Writes a call's journal in order (J1) and closes it once (J2). */
import type { Clock } from "#runtime/actor";
import type { JournalEvent, JournalFact } from "#actors/journal";

export class JournalWriter {
  readonly #callId: string;
  readonly #epoch: number;
  readonly #clock: Clock;
  readonly #emit: (event: JournalEvent) => boolean;
  #sequence: number;
  #ended = false;

  /**
   * `sequence`: of the next event; not 0 when another owner wrote before (J1). `emit` says whether it took the event:
   * a shard whose node does not read drops it.
   */
  constructor(
    callId: string,
    epoch: number,
    sequence: number,
    clock: Clock,
    emit: (event: JournalEvent) => boolean,
  ) {
    this.#sequence = sequence;
    this.#callId = callId;
    this.#epoch = epoch;
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Of the event that is recorded next. */
  get nextSequence(): number {
    return this.#sequence;
  }

  /** Nothing more is written, not even the end: the journal is another owner's. */
  close(): void {
    this.#ended = true;
  }

  /** False when the journal is closed already: what comes after the end of a call is not part of it. */
  record(fact: JournalFact): boolean {
    if (this.#ended) return false;
    // The fact last: V8 gives each `{ ...fact, more }` a hidden class of its own.
    const wasTaken = this.#emit({
      callId: this.#callId,
      sequence: this.#sequence,
      epoch: this.#epoch,
      atMs: this.#clock.nowMs(),
      atUnixMs: this.#clock.unixMs(),
      ...fact,
    });
    // Only now: what could not be handed on, or was dropped, has taken no number. After a gap nothing of the call could
    // be stored, its end least of all.
    if (wasTaken) this.#sequence += 1;
    this.#ended = fact.kind === "callEnded" || fact.kind === "legLost"; // after that, another owner writes
    return true;
  }
}
