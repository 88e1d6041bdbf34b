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
  /** Of accounts that nobody has asked for here; at most one per account there is. */
  readonly #early = new Map<string, ProviderNotice>();

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  get(kind: ProviderKind, provider: string): ProviderAccount {
    const name = accountName(kind, provider);
    const known = this.#accounts.get(name);
    if (known !== undefined) return known;
    const account = new ProviderAccount(kind, provider, this.#budget(kind, provider), this.#deps);
    this.#accounts.set(name, account);
    const notice = this.#early.get(name);
    if (notice !== undefined) account.hear(notice);
    this.#early.delete(name);
    return account;
  }

  /** Another shard's word. */
  hear(notice: ProviderNotice): void {
    const account = this.#accounts.get(notice.account);
    if (account !== undefined) return account.hear(notice);
    if (notice.state === "open") this.#early.set(notice.account, notice);
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
