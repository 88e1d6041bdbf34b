/** Every account of a shard, by kind and name; made when first asked for. */
import type { ProviderKind } from "../failures.js";
import {
  type AccountDeps,
  ProviderAccount,
  type ProviderAccountState,
  type ProviderNotice,
  accountName,
} from "./account.js";

export interface AccountsDeps extends Omit<AccountDeps, "ceiling"> {
  /** Most at once on this shard, by name. @default Infinity */
  readonly ceilingOf?: (kind: ProviderKind, provider: string) => number;
}

export class ProviderAccounts {
  readonly #deps: AccountsDeps;
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
    const { ceilingOf, ...deps } = this.#deps;
    const ceiling = ceilingOf?.(kind, provider) ?? Number.POSITIVE_INFINITY;
    const account = new ProviderAccount(kind, provider, { ...deps, ceiling });
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

  /** Share of the tightest budget in use. */
  usage(): number {
    return Math.max(0, ...[...this.#accounts.values()].map((account) => account.budget.usage));
  }
}
