/** The providers' part of the settings, as the shards take it; and whether tenants can be served with it. */
import { LumentraError } from "#runtime/errors";
import { type ProviderKind, type ProviderSettings, accountOf, providerDefaults } from "#actors/providers";
import { LLM_NAMES, STT_NAMES, TTS_NAMES, type TenantConfig } from "#actors/tenants";
import { PROVIDER_ACCOUNTS, type ProviderAccount, addressOf } from "./provider-accounts.js";
import type { Settings } from "./settings.js";

const ACCOUNT_NAMES = Object.keys(PROVIDER_ACCOUNTS) as readonly ProviderAccount[];

/** Accounts whose key (or address, for servers of one's own) is not set: `npm start` emulates these. */
export function accountsNotSetUp(settings: Settings): readonly ProviderAccount[] {
  return ACCOUNT_NAMES.filter((account) => settings[neededBy(account)] === undefined);
}

/** Of `environment`, the keys and addresses of these accounts. */
export function variablesOf(
  accounts: readonly ProviderAccount[],
  environment: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const names = new Set<string>(
    accounts.flatMap((name) => [PROVIDER_ACCOUNTS[name].key, PROVIDER_ACCOUNTS[name].url]),
  );
  return Object.fromEntries(Object.entries(environment).filter(([name]) => names.has(name)));
}

/** Only what is set up: a provider nobody uses needs no key. */
export function providerSettings(settings: Settings): ProviderSettings {
  const missing = new Set(accountsNotSetUp(settings));
  const offered = ACCOUNT_NAMES.filter((account) => !missing.has(account)).map((account) => {
    const { key, url } = PROVIDER_ACCOUNTS[account];
    const address = settings[url] ?? addressOf(account);
    return [account, { ...providerDefaults[account], apiKey: settings[key] ?? "", url: address }];
  });
  return Object.fromEntries(offered) as ProviderSettings;
}

/**
 * Each shard's part of LUMENTRA_PROVIDER_LIMITS: rounded down, as the account's own limit is for all, but at least 1.
 * @throws LumentraError SETTING_INVALID for a name that no provider has.
 */
export function providerLimits(settings: Settings): Readonly<Record<string, number>> {
  const names = new Set<string>([...STT_NAMES, ...LLM_NAMES, ...TTS_NAMES]);
  const limits = (settings.LUMENTRA_PROVIDER_LIMITS ?? "").split(",").filter(Boolean);
  return Object.fromEntries(
    limits.map((limit) => {
      const [name = "", count = ""] = limit.split("=");
      if (!names.has(name)) {
        throw new LumentraError("SETTING_INVALID", `LUMENTRA_PROVIDER_LIMITS: no provider is named ${name}`);
      }
      return [name, Math.max(1, Math.floor(Number(count) / settings.LUMENTRA_SHARDS))];
    }),
  );
}

/** Which of the tenant's choices this node cannot serve, in a sentence that says what to set; null: none. */
export function missingFor(tenant: TenantConfig, offered: ProviderSettings): string | null {
  const chosen: readonly (readonly [ProviderKind, string])[] = [
    ["STT", tenant.stt.provider],
    ["LLM", tenant.llm.provider],
    ["TTS", tenant.tts.provider],
  ];
  for (const [kind, name] of chosen) {
    const account = accountOf(kind, name);
    if (account === undefined || offered[account] !== undefined) continue;
    return `tenant ${tenant.id} chose ${name}, but ${neededBy(account)} is not set (set it, or run \`npm start\`, which emulates what is not)`;
  }
  return null;
}

/** @throws LumentraError PROVIDER_NOT_SET_UP */
export function requireProviders(tenants: readonly TenantConfig[], offered: ProviderSettings): void {
  for (const tenant of tenants) {
    const missing = missingFor(tenant, offered);
    if (missing !== null) throw new LumentraError("PROVIDER_NOT_SET_UP", missing);
  }
}

/** For the banner: which providers there are, and where. */
export function describeProviders(settings: Settings): readonly string[] {
  const emulated = new Set((settings.LUMENTRA_EMULATED ?? "").split(","));
  return Object.entries(providerSettings(settings)).map(([account, { url }]) => {
    const { title } = PROVIDER_ACCOUNTS[account as ProviderAccount];
    return `${title}: ${emulated.has(account) ? "EMULATED" : "not emulated"}, ${String(url)}`;
  });
}

function neededBy(account: ProviderAccount) {
  const row = PROVIDER_ACCOUNTS[account];
  return row[row.needs];
}
