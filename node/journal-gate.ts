/**
 * What is written of this node's calls, by their actors and in their stead: into the journal here, and on to the control
 * plane. Nothing else writes either.
 *
 * Invariants
 * G1 what an owner writes after its lease was lost goes nowhere. Nor does what a call's earlier actors on this node write, nor
 *    what an actor that stood still writes of a call that was ended meanwhile.
 * G2 a call that is over has an end: when no actor is there to write it, or what it wrote was dropped, it is written here.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "#runtime/actor";
import type { CallOutcome } from "#runtime/cluster";
import type { Metrics } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import type { JournalStore } from "./journal-store.js";
import type { LiveCall } from "./live-calls.js";

/** Calls that were lost to another owner, or sent to one, and may still be heard of: minutes of either. */
export const GONE_KEPT_MAX = 10_000;

export interface JournalGateDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly journals: JournalStore;
  /** Every event that is ours to write, in order per call: for the spool. */
  readonly onJournal: ((event: JournalEvent) => void) | null;
  /**
   * Room for calls that are gone, allocated at once; a simulated node, of which there are thousands, needs little.
   * @default GONE_KEPT_MAX
   */
  readonly goneKeptMax?: number;
}

/** What the end of a journal says of its call. */
type EndedCall = Pick<LiveCall, "callId" | "epoch" | "startedAtUnixMs">;

export class JournalGate {
  readonly #deps: JournalGateDeps;
  /** G1: by call, the epoch from which on writing is allowed again. */
  readonly #epochs: LRUCache<string, number>;
  /** G1: by call that had several actors here under one lease, the tenure of the last; under another they count anew. */
  readonly #tenures: LRUCache<string, { readonly epoch: number; readonly tenure: number }>;

  constructor(deps: JournalGateDeps) {
    this.#deps = deps;
    const { goneKeptMax = GONE_KEPT_MAX } = deps;
    this.#epochs = new LRUCache({ max: goneKeptMax });
    this.#tenures = new LRUCache({ max: goneKeptMax });
  }

  /** The call is, or will be, another owner's: who writes under an earlier epoch is refused. */
  fence(callId: string, epoch: number): void {
    this.#epochs.set(callId, epoch);
  }

  /** Another actor of this node has the call, under the lease of the one before. */
  fenceTenure(callId: string, epoch: number, tenure: number): void {
    this.#tenures.set(callId, { epoch, tenure });
  }

  /** An actor's word. */
  take(event: JournalEvent, tenure: number): void {
    const last = this.#tenures.get(event.callId);
    const isEarlier =
      last !== undefined &&
      (event.epoch < last.epoch || (event.epoch === last.epoch && tenure < last.tenure));
    if (isEarlier || this.#deps.journals.isComplete(event.callId)) return this.#refuse();
    this.#write(event);
  }

  /** G2: counts it, and writes it unless it is written. */
  complete(call: EndedCall, outcome: CallOutcome): void {
    if (this.#deps.journals.isComplete(call.callId)) return;
    this.#deps.metrics.callsEnded.inc({ outcome: outcome.kind });
    this.writeEnd(call, outcome);
  }

  /** G2, of a call that is counted. */
  writeEnd({ callId, epoch, startedAtUnixMs }: EndedCall, outcome: CallOutcome): void {
    const { clock, journals } = this.#deps;
    if (journals.isComplete(callId)) return;
    const atUnixMs = clock.unixMs();
    this.#write({
      kind: "callEnded",
      outcome,
      durationMs: atUnixMs - startedAtUnixMs,
      callId,
      sequence: journals.nextSequence(callId),
      epoch,
      atMs: clock.nowMs(),
      atUnixMs,
    });
  }

  /** G1 */
  #write(event: JournalEvent): void {
    if (event.epoch < (this.#epochs.get(event.callId) ?? 0)) return this.#refuse();
    this.#deps.journals.append(event);
    this.#deps.onJournal?.(event);
  }

  #refuse(): void {
    this.#deps.metrics.journalEvents.inc({ result: "fenced" });
  }
}
