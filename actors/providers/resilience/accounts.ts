/** Every provider's account of a shard, by kind and name, and the budgets they share; made when first asked for. */
import type { ProviderKind } from "../failures.js";
import {
  type AccountDeps,
  ProviderAccount,
  type ProviderAccountState,
  type ProviderNotice,
  accountName,
} from "./account.js";
import { ConcurrencyBudget } from "./concurrency-budget.js";

export interface AccountsDeps extends AccountDeps {
  /** Most at once on this shard, by name. @default Infinity */
  readonly ceilingOf?: (kind: ProviderKind, provider: string) => number;
  /** Those of one kind with the same answer share a budget; the lowest of their ceilings holds. @default each its own */
  readonly vendorAccountOf?: (kind: ProviderKind, provider: string) => string;
}

export class ProviderAccounts {
  readonly #deps: AccountsDeps;
  readonly #budgets = new Map<string, ConcurrencyBudget>();
  readonly #accounts = new Map<string, ProviderAccount>();
  /** Of accounts that nobody has asked for here, and when it came; at most one per account there is. */
  readonly #early = new Map<string, { readonly notice: ProviderNotice; readonly atMs: number }>();

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  get(kind: ProviderKind, provider: string): ProviderAccount {
    const name = accountName(kind, provider);
    const known = this.#accounts.get(name);
    if (known !== undefined) return known;
    const account = new ProviderAccount(kind, provider, this.#budget(kind, provider), this.#deps);
    this.#accounts.set(name, account);
    const early = this.#early.get(name);
    this.#early.delete(name);
    // It may have come long ago: a stay that is over says nothing any more, nor is one begun anew.
    const forMs = early === undefined ? 0 : early.notice.forMs - (this.#deps.clock.nowMs() - early.atMs);
    if (early !== undefined && forMs > 0) account.hear({ ...early.notice, forMs });
    return account;
  }

  /** Another shard's word. */
  hear(notice: ProviderNotice): void {
    const account = this.#accounts.get(notice.account);
    if (account !== undefined) return account.hear(notice);
    if (notice.state === "open") this.#early.set(notice.account, { notice, atMs: this.#deps.clock.nowMs() });
    else this.#early.delete(notice.account);
  }

  states(): readonly ProviderAccountState[] {
    return [...this.#accounts.values()].map((account) => account.state);
  }

  #budget(kind: ProviderKind, provider: string): ConcurrencyBudget {
    const { clock, ceilingOf, vendorAccountOf } = this.#deps;
    const name = accountName(kind, vendorAccountOf?.(kind, provider) ?? provider);
    const ceiling = ceilingOf?.(kind, provider) ?? Number.POSITIVE_INFINITY;
    const known = this.#budgets.get(name);
    if (known !== undefined) {
      known.lowerCeiling(ceiling);
      return known;
    }
    const budget = new ConcurrencyBudget(clock, ceiling);
    this.#budgets.set(name, budget);
    return budget;
  }
}
