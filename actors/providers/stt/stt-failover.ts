/**
 * Which recogniser to open next, and when, for one stream. Pure: time and chance are passed in.
 *
 * Recognisers are tried in rounds, each once a round, beginning with the one in use: a dropped socket is
 * mostly not the provider's end. Between rounds is a growing wait. What counts as a new trouble rather than
 * more of the same is for the stream to say (`progressed`).
 *
 * Invariants
 * R1 without progress there are at most ROUNDS_MAX rounds and GIVE_UP_AFTER_MS.
 * R2 with progress there are at most FAILURES_PER_MINUTE_MAX: one that always lasts a second ends too.
 * R3 one that refused what was asked, or our key, is not asked again for this stream.
 */
import type { Random } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import { backoffMs } from "../backoff.js";

/** Waits of 0.25, 0.5, 1 and 2 s at most between them: a caller takes 4 s of silence for thinking, not more. */
const ROUNDS_MAX = 5;
/** From the first failure; dials that hang use it up before the rounds do. */
export const GIVE_UP_AFTER_MS = 10_000;
/** A dozen breaks in a minute is a provider that is down, whatever it says in between. */
export const FAILURES_PER_MINUTE_MAX = 12;
const MINUTE_MS = 60_000;

export type FailoverStep =
  | { readonly kind: "open"; readonly index: number }
  | { readonly kind: "wait"; readonly forMs: number }
  | { readonly kind: "exhausted" };

interface Candidate {
  /** In this round. */
  tried: boolean;
  /** R3. */
  refused: boolean;
  /** It asked us to wait until then. */
  notBeforeMs: number;
}

export class SttFailover {
  readonly #random: Random;
  readonly #mayTry: (index: number) => boolean;
  readonly #candidates: readonly Candidate[];
  #first = 0;
  #round = 0;
  #givesUpAtMs = Number.POSITIVE_INFINITY;
  #minuteFromMs = Number.NEGATIVE_INFINITY;
  #failuresInMinute = 0;

  /** `mayTry` is asked just before each opening, at most once a round. */
  constructor(count: number, mayTry: (index: number) => boolean, random: Random) {
    this.#random = random;
    this.#mayTry = mayTry;
    this.#candidates = Array.from({ length: count }, () => ({
      tried: false,
      refused: false,
      notBeforeMs: 0,
    }));
  }

  /** `progressed`: it had got further than the failure before. */
  failed(index: number, error: LumentraError, progressed: boolean, nowMs: number): void {
    const candidate = this.#candidates[index]!;
    if (!error.retryable) candidate.refused = true; // R3
    const retryAfterMs = error.detail["retryAfterMs"];
    if (typeof retryAfterMs === "number") candidate.notBeforeMs = nowMs + retryAfterMs;
    if (progressed) {
      this.#round = 0;
      for (const other of this.#candidates) other.tried = false;
      // One that went quiet or does not take audio would make the caller wait for its next silence, too.
      const suspect = error.code === "STT_TIMEOUT" || error.code === "STT_OVERFLOW";
      this.#first = suspect ? (index + 1) % this.#candidates.length : index;
    }
    if (progressed || this.#givesUpAtMs === Number.POSITIVE_INFINITY) {
      this.#givesUpAtMs = nowMs + GIVE_UP_AFTER_MS;
    }
    if (nowMs - this.#minuteFromMs >= MINUTE_MS) {
      this.#minuteFromMs = nowMs;
      this.#failuresInMinute = 0;
    }
    this.#failuresInMinute += 1;
  }

  next(nowMs: number): FailoverStep {
    if (nowMs >= this.#givesUpAtMs || this.#failuresInMinute >= FAILURES_PER_MINUTE_MAX) {
      return { kind: "exhausted" }; // R1, R2
    }
    const count = this.#candidates.length;
    for (let step = 0; step < count; step++) {
      const index = (this.#first + step) % count;
      const candidate = this.#candidates[index]!;
      if (candidate.tried || candidate.refused || candidate.notBeforeMs > nowMs) continue;
      candidate.tried = true;
      if (this.#mayTry(index)) return { kind: "open", index };
    }
    return this.#nextRound(nowMs);
  }

  #nextRound(nowMs: number): FailoverStep {
    const left = this.#candidates.filter(({ refused }) => !refused);
    this.#round += 1;
    if (left.length === 0 || this.#round >= ROUNDS_MAX) return { kind: "exhausted" }; // R1
    for (const candidate of left) candidate.tried = false;
    if (this.#givesUpAtMs === Number.POSITIVE_INFINITY) this.#givesUpAtMs = nowMs + GIVE_UP_AFTER_MS;
    const askedForMs = Math.min(...left.map(({ notBeforeMs }) => notBeforeMs - nowMs));
    const forMs = Math.max(backoffMs(this.#round, this.#random), askedForMs);
    if (nowMs + forMs >= this.#givesUpAtMs) return { kind: "exhausted" };
    return { kind: "wait", forMs };
  }
}
