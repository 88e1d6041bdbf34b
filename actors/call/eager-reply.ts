/**
 * A reply begun in case the caller is done: asked for at the first sign of it, taken when the turn is
 * committed, thrown away when he goes on. It hides the recogniser's final behind the model's first token.
 *
 *   begin ──> under way ──take: the same words were committed──> the turn's
 *               │ └─discard: other words, another reply─────────> gone, and counted
 *               └─failed──> gone; nothing more is begun for this turn
 *
 * Invariants
 * E1 there is one at most, and only while nobody's turn is committed (T1 of turns.ts).
 * E2 at most MAX_EAGER_PER_TURN are begun in a turn.
 */
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { CallCounters } from "./counters.js";
import type { Generation } from "./generation.js";
import type { JournalWriter } from "./journal-writer.js";

/** Eager generations per turn: each costs tokens, and pauses between words can look like ends. */
export const MAX_EAGER_PER_TURN = 3;

export interface EagerReplyDeps {
  readonly log: Logger;
  readonly counters: CallCounters;
  readonly journal: JournalWriter;
  /** Whether eager generations may be begun now. */
  readonly maySpeculate: () => boolean;
  readonly generate: (said: string) => Generation;
  /** The turn it would be a reply to. */
  readonly nextTurn: () => number;
}

export class EagerReply {
  readonly #deps: EagerReplyDeps;
  #generation: Generation | null = null;
  #count = 0;

  constructor(deps: EagerReplyDeps) {
    this.#deps = deps;
  }

  /** Whether one is under way that answers these words. */
  answers(said: string): boolean {
    return this.#generation !== null && sameWords(this.#generation.basis, said);
  }

  /** Whether this is the one under way. */
  is(generation: Generation): boolean {
    return this.#generation === generation;
  }

  /** Begins one, unless this turn has had enough. The one before must be discarded. */
  begin(said: string): void {
    const { counters, maySpeculate, generate } = this.#deps;
    if (this.#count >= MAX_EAGER_PER_TURN) return; // E2
    if (!maySpeculate()) {
      // For the rest of this turn: a pressure that comes and goes in it is not worth a second look.
      this.#count = MAX_EAGER_PER_TURN;
      counters.speculationSuppressed();
      return;
    }
    this.#count += 1;
    this.#generation = generate(said);
    this.#generation.ledger.eagerStartAtMs = this.#generation.ledger.llmStartAtMs;
  }

  /** Hands over the one that answers these words; another is discarded. Null when there is none. */
  take(said: string): Generation | null {
    if (!this.answers(said)) this.discard();
    const generation = this.#generation;
    this.#generation = null; // E1
    return generation;
  }

  discard(): void {
    const { counters, journal, nextTurn } = this.#deps;
    if (this.#generation === null) return;
    counters.eagerDiscarded(this.#generation.intended.length);
    this.#generation.discard();
    this.#generation = null;
    journal.record({ kind: "eagerDiscarded", turn: nextTurn() });
  }

  /**
   * Nobody waits for it yet: the turn's commit asks again, and only that one's failure is the caller's.
   * Until then no more is begun ahead for this turn, else a provider in trouble would be asked at every frame.
   */
  onFailed({ code }: LumentraError, provider: string): void {
    this.#deps.log.info({ provider, code }, "an eager generation failed");
    this.#count = MAX_EAGER_PER_TURN;
    this.discard();
  }

  /** The next may be begun afresh: a reply is being spoken. */
  newTurn(): void {
    this.#count = 0;
  }
}

/** Eager work answers the same words, however they are written. */
function sameWords(one: string, other: string): boolean {
  return comparable(one) === comparable(other);
}

function comparable(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}
