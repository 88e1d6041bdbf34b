/**
 * Keeps our own helpfulness from becoming the outage: of what we send to a provider, at most a share may be
 * things it was asked before.
 *
 * What draws from the bucket of the provider that is asked a second time: a retry (the same provider for the
 * same reply, a reconnect of a stream), and a hedge (a second request while the first is running). What does not:
 * a fallback. The provider behind it sees this request for the first time; every list is walked once per request,
 * so no provider sees it twice; and what it can take is its concurrency budget's and its breaker's to say. Were
 * fallbacks drawn from the failed provider's bucket, an outage (every request falls back) would silence four
 * callers in five while a healthy provider stands by.
 */

/** A fifth: an outage in which everything is tried again costs the provider 20 % more load, not 100. */
export const RETRY_SHARE = 0.2;
/** What may be saved up, and is there at the start: a node with a call a minute may retry that one. */
export const RETRY_RESERVE = 10;

export class RetryBudget {
  #tokens = RETRY_RESERVE;

  get tokens(): number {
    return this.#tokens;
  }

  /** A request of its own right was sent. */
  deposit(): void {
    this.#tokens = Math.min(RETRY_RESERVE, this.#tokens + RETRY_SHARE);
  }

  /** Whether one more may be sent that is not. */
  tryDraw(): boolean {
    // Five fifths are one, though not in binary.
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens = Math.max(0, this.#tokens - 1);
    return true;
  }
}
