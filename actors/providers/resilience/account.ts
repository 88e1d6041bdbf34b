/**
 * One provider as this shard knows it: is it well (breaker), what does its account take (budget), how much may we
 * repeat ourselves (retry budget), how long is its tail. Whoever asks the provider something enters here first and
 * tells afterwards how it went. Two providers of one vendor's account (Deepgram's two recognisers) share its budget.
 *
 * A breaker is each shard's own, and they tell each other (`ProviderNotice`, over the main thread): the first that
 * opens spares the others finding out. Words of shared memory would be a little faster, but a notice is rare, must
 * not be missed by a shard that comes up later than it, and the outage it is about lasts seconds.
 */
import type { Clock, Random } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { ProviderKind } from "../failures.js";
import { Breaker, type BreakerState } from "./breaker.js";
import type { ConcurrencyBudget } from "./concurrency-budget.js";
import { classOfFailure, toldWaitMs } from "./failure-class.js";
import { LatencyTail } from "./latency-tail.js";
import { RetryBudget } from "./retry-budget.js";

/** Why a provider is asked. `fallback` is first for the provider that is asked, see retry-budget.ts. */
export type Reason = "first" | "fallback" | "retry" | "hedge";

/** Why one may not ask. */
export type Denial = "breakerOpen" | "budget" | "retryBudget";

/** What one shard tells the others of an account. */
export interface ProviderNotice {
  readonly account: string;
  readonly state: "open" | "closed";
  /** How long it stays open. */
  readonly forMs: number;
  /** An open connection does not close it, see Breaker. @default false */
  readonly wasMute?: boolean;
}

export interface ProviderAccountState {
  readonly account: string;
  readonly kind: ProviderKind;
  readonly breaker: BreakerState;
  readonly inFlight: number;
  /** Null: no bound is known. */
  readonly limit: number | null;
}

/** What an account counts; see runtime/telemetry/metrics.ts. */
export interface AccountMetrics {
  /** `account` moved to `state`. */
  breaker(account: string, state: BreakerState): void;
  denied(account: string, denial: Denial, reason: Reason): void;
}

export interface AccountDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: AccountMetrics;
  readonly notify: (notice: ProviderNotice) => void;
}

export class ProviderAccount {
  /** `LLM groq`. */
  readonly name: string;
  readonly kind: ProviderKind;
  readonly tail = new LatencyTail();
  readonly budget: ConcurrencyBudget;
  readonly #deps: AccountDeps;
  readonly #breaker: Breaker;
  readonly #retries = new RetryBudget();
  /** What moves the breaker is another shard's word: it needs no telling on. */
  #isTold = false;

  constructor(kind: ProviderKind, provider: string, budget: ConcurrencyBudget, deps: AccountDeps) {
    this.kind = kind;
    this.name = accountName(kind, provider);
    this.#deps = deps;
    this.budget = budget;
    this.#breaker = new Breaker(deps.clock, deps.random, (state) => this.#onBreaker(state));
  }

  get state(): ProviderAccountState {
    const { limit, inFlight } = this.budget;
    return {
      account: this.name,
      kind: this.kind,
      breaker: this.#breaker.state,
      inFlight,
      limit: Number.isFinite(limit) ? limit : null,
    };
  }

  /** Its breaker would let somebody through. */
  get isOpen(): boolean {
    return this.#breaker.mayTry();
  }

  /** Whether somebody could enter now; takes nothing and counts nothing. */
  mayEnter(holder: string): boolean {
    return this.#breaker.mayTry() && this.budget.mayEnter(holder);
  }

  /** One request, for `holder` (a tenant); `isLast`: it has nobody else to ask. The ticket must be ended. */
  enter(holder: string, reason: Reason, isLast = false): Ticket | Denial {
    const denial = this.#enter(holder, reason, isLast);
    if (denial === null) return new OpenTicket(this, holder);
    this.#deps.metrics.denied(this.name, denial, reason);
    return denial;
  }

  /** Another shard's word. */
  hear(notice: ProviderNotice): void {
    this.#isTold = true;
    if (notice.state === "open") this.#breaker.openedElsewhere(notice.forMs, notice.wasMute);
    else this.#breaker.closedElsewhere();
    this.#isTold = false;
  }

  /** @internal for tickets */
  get era(): number {
    return this.#breaker.era;
  }

  /** @internal by tickets */
  reached(era: number): boolean {
    return this.#isOf(era) && this.#breaker.reached();
  }

  /** @internal by tickets */
  succeeded(era: number, hasProbed: boolean): void {
    if (this.#isOf(era)) this.#breaker.succeeded(hasProbed);
    this.budget.succeeded();
  }

  /** @internal by tickets. `wasSilent`: it had let us in, and told nothing. */
  failed(era: number, error: LumentraError, wasSilent: boolean): void {
    const kind = classOfFailure(error.code);
    if (kind === "limited") this.budget.limited(toldWaitMs(error));
    if (!this.#isOf(era)) return;
    switch (kind) {
      case "fault":
        return this.#breaker.failed({ mute: wasSilent && error.code.endsWith("_TIMEOUT") });
      case "denied":
        return this.#breaker.failed({ denied: true });
      case "limited":
      case "own":
        return this.#breaker.abandoned();
    }
  }

  /** @internal by tickets */
  abandoned(era: number): void {
    if (this.#isOf(era)) this.#breaker.abandoned();
  }

  /** B5. */
  #isOf(era: number): boolean {
    return era === this.#breaker.era;
  }

  #enter(holder: string, reason: Reason, isLast: boolean): Denial | null {
    if (!this.#breaker.mayTry(isLast)) return "breakerOpen";
    if (!this.budget.mayEnter(holder)) return "budget";
    if (reason === "first" || reason === "fallback") this.#retries.deposit();
    else if (!this.#retries.tryDraw()) return "retryBudget";
    this.#breaker.tryEnter(isLast);
    this.budget.tryEnter(holder);
    return null;
  }

  #onBreaker(state: BreakerState): void {
    this.#deps.metrics.breaker(this.name, state);
    if (this.#isTold || state === "halfOpen") return;
    const { closedForMs: forMs, wasMute } = this.#breaker;
    this.#deps.notify({ account: this.name, state, forMs, ...(wasMute && { wasMute }) });
  }
}

export function accountName(kind: ProviderKind, provider: string): string {
  return `${kind} ${provider}`;
}

/** The right to one request. Each of its ends is idempotent, and the first one counts. */
export interface Ticket {
  /** The connection is open, which is less than an answer; for streams that may wait long for one. */
  reached(): void;
  /** It works: told once, as early as it is known (the first token, the first words). It still runs. */
  succeeded(): void;
  /** It failed, and is over. */
  failed(error: LumentraError): void;
  /** It is over: well when it had succeeded, else for reasons that say nothing about the provider. */
  left(): void;
}

class OpenTicket implements Ticket {
  readonly #account: ProviderAccount;
  readonly #holder: string;
  readonly #era: number;
  #told = false;
  #reached = false;
  /** Its probe is over by that. */
  #hasProbed = false;
  #over = false;

  constructor(account: ProviderAccount, holder: string) {
    this.#account = account;
    this.#holder = holder;
    this.#era = account.era;
  }

  reached(): void {
    if (this.#reached || this.#told || this.#over) return;
    this.#reached = true;
    this.#hasProbed = this.#account.reached(this.#era);
  }

  succeeded(): void {
    if (this.#told || this.#over) return;
    this.#told = true;
    this.#account.succeeded(this.#era, this.#hasProbed);
  }

  failed(error: LumentraError): void {
    if (this.#over) return;
    // Before it leaves: what runs at a 429 is what the account had.
    this.#account.failed(this.#era, error, this.#reached && !this.#told);
    this.#leave();
  }

  left(): void {
    if (this.#over) return;
    if (!this.#told && !this.#hasProbed) this.#account.abandoned(this.#era);
    this.#leave();
  }

  #leave(): void {
    this.#over = true;
    this.#account.budget.leave(this.#holder);
  }
}
