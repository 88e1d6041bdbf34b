/** Restart intensity: at most so many restarts within a sliding window; whoever restarts things asks first. */
import assert from "node:assert/strict";

export interface RestartBudgetOptions {
  /** 0: never restart. */
  readonly maxRestarts: number;
  readonly withinMs: number;
}

export class RestartBudget {
  readonly #options: RestartBudgetOptions;
  /** Instants of the restarts granted, oldest first; at most maxRestarts of them. */
  readonly #grantedAtMs: number[] = [];

  constructor(options: RestartBudgetOptions) {
    assert(Number.isInteger(options.maxRestarts) && options.maxRestarts >= 0, "maxRestarts counts restarts");
    assert(options.withinMs > 0, "withinMs must be positive");
    this.#options = options;
  }

  /** True when one more restart is allowed now; it is counted at once. */
  tryTake(nowMs: number): boolean {
    if (this.usedAt(nowMs) >= this.#options.maxRestarts) return false;
    this.#grantedAtMs.push(nowMs);
    return true;
  }

  /** Restarts granted within the window that ends now. */
  usedAt(nowMs: number): number {
    while (this.#grantedAtMs.length > 0 && nowMs - this.#grantedAtMs[0]! >= this.#options.withinMs) {
      this.#grantedAtMs.shift();
    }
    return this.#grantedAtMs.length;
  }
}
