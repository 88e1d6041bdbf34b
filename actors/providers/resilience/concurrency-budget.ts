/**
 * How much of one account may run at once: additive increase, multiplicative decrease (AIMD), as TCP finds its
 * share of a line. Each 429 says that the account's real limit is below what runs; every plan has another, and a
 * neighbour on the same account moves it.
 *
 *   limit  ceiling ──┐ 429
 *                    └─ × 0.7 ─╱ + 1 per round ─╱ … ╱ ceiling again when long nothing was refused
 *
 * Fair: once the budget is half used nobody is let in who already holds more than an even share, so one tenant's
 * rush leaves the others room.
 *
 * Invariants
 * A1 `inFlight` is what entered and has not left; a refusal to enter takes nothing.
 * A2 what the provider said how long to wait is waited, up to WAIT_MAX_MS.
 * A3 one burst of refusals shrinks the limit once: those that left together come back together.
 */
import type { Clock } from "#runtime/actor";

/** Of what ran when the 429 came. Half, as TCP has it, would silence every second caller at once. */
export const DECREASE = 0.7;
/** A3. About the longest round trip of a refusal. */
export const DECREASE_PAUSE_MS = 1_000;
/** A2. A longer wait is a daily quota: asking once a minute costs nothing and finds out when it is over. */
export const WAIT_MAX_MS = 60_000;
/** Without a refusal for this long the account is another one than it was: back to the ceiling. */
export const FORGET_MS = 300_000;
/** The budget is contended from this share on. */
const CONTENDED = 0.5;

export class ConcurrencyBudget {
  readonly #clock: Clock;
  #ceiling: number;
  readonly #held = new Map<string, number>();
  #limit: number;
  #inFlight = 0;
  #waitUntilMs = 0;
  #limitedAtMs = Number.NEGATIVE_INFINITY;

  /** `ceiling`: at most so many at once, whatever the provider takes; Infinity for as many as it does. */
  constructor(clock: Clock, ceiling = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#ceiling = Math.max(1, ceiling);
    this.#limit = this.#ceiling;
  }

  /** Somebody else who shares it has a lower one. */
  lowerCeiling(ceiling: number): void {
    this.#ceiling = Math.min(this.#ceiling, Math.max(1, ceiling));
    this.#limit = Math.min(this.#limit, this.#ceiling);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Infinity as long as nothing was ever refused and there is no ceiling. */
  get limit(): number {
    if (this.#limit < this.#ceiling && this.#clock.nowMs() - this.#limitedAtMs >= FORGET_MS) {
      this.#limit = this.#ceiling;
    }
    return Math.floor(this.#limit);
  }

  /** Share in use, 0 to 1; 1 while we are told to wait. */
  get usage(): number {
    if (this.#clock.nowMs() < this.#waitUntilMs) return 1;
    return Math.min(1, this.#inFlight / this.limit);
  }

  /** How long nobody is let in, since the provider said so; 0 when it is for lack of room alone. */
  get closedForMs(): number {
    return Math.max(0, this.#waitUntilMs - this.#clock.nowMs());
  }

  mayEnter(holder: string): boolean {
    const limit = this.limit;
    if (this.#inFlight >= limit || this.#clock.nowMs() < this.#waitUntilMs) return false;
    if (this.#inFlight < limit * CONTENDED) return true;
    const held = this.#held.get(holder) ?? 0;
    const holderCount = this.#held.size + (held === 0 ? 1 : 0);
    return held < Math.ceil(limit / holderCount);
  }

  tryEnter(holder: string): boolean {
    if (!this.mayEnter(holder)) return false;
    this.#inFlight += 1;
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + 1);
    return true;
  }

  leave(holder: string): void {
    const held = this.#held.get(holder);
    if (held === undefined) return;
    this.#inFlight -= 1;
    if (held === 1) this.#held.delete(holder);
    else this.#held.set(holder, held - 1);
  }

  /** One went well: the limit grows by one for each round of them, and only while it is what holds us back. */
  succeeded(): void {
    if (this.#limit < this.#ceiling && this.#inFlight >= this.#limit * CONTENDED) {
      this.#limit = Math.min(this.#ceiling, this.#limit + 1 / this.#limit);
    }
  }

  /** A 429. `waitMs`: what it said. */
  limited(waitMs: number | null): void {
    const nowMs = this.#clock.nowMs();
    if (waitMs !== null)
      this.#waitUntilMs = Math.max(this.#waitUntilMs, nowMs + Math.min(waitMs, WAIT_MAX_MS));
    if (nowMs - this.#limitedAtMs < DECREASE_PAUSE_MS) return; // A3
    this.#limitedAtMs = nowMs;
    this.#limit = Math.max(1, Math.min(this.#limit, this.#inFlight) * DECREASE);
  }
}
