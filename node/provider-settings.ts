/** The providers' part of the settings, as the shards take it. */
import { LumentraError } from "#runtime/errors";
import { type ProviderSettings, providerDefaults } from "#actors/providers";
import type { Settings } from "./settings.js";

const PROVIDERS = {
  deepgram: { name: "Deepgram (speech to text)", key: "DEEPGRAM_API_KEY", url: "DEEPGRAM_URL" },
  groq: { name: "Groq (language model)", key: "GROQ_API_KEY", url: "GROQ_URL" },
  cartesia: { name: "Cartesia (voice)", key: "CARTESIA_API_KEY", url: "CARTESIA_URL" },
} as const;

export type ProviderName = keyof typeof PROVIDERS;
export const PROVIDER_NAMES = Object.keys(PROVIDERS) as readonly ProviderName[];

/** Providers without a key: `npm start` emulates these. */
export function providersWithoutKey(settings: Settings): readonly ProviderName[] {
  return PROVIDER_NAMES.filter((provider) => settings[PROVIDERS[provider].key] === undefined);
}

/** @throws LumentraError SETTING_INVALID when a key is missing. */
export function providerSettings(settings: Settings): ProviderSettings {
  const [missing] = providersWithoutKey(settings);
  if (missing !== undefined) {
    throw new LumentraError(
      "SETTING_INVALID",
      `${PROVIDERS[missing].key} is required (set it, or run \`npm start\`, which emulates providers without a key)`,
    );
  }
  const { deepgram, groq, cartesia } = providerDefaults;
  return {
    deepgram: { ...deepgram, apiKey: settings.DEEPGRAM_API_KEY!, url: settings.DEEPGRAM_URL },
    groq: { ...groq, apiKey: settings.GROQ_API_KEY!, url: settings.GROQ_URL },
    cartesia: { ...cartesia, apiKey: settings.CARTESIA_API_KEY!, url: settings.CARTESIA_URL },
  };
}

/** One line per provider for the banner: which of the two it is, and where. */
export function describeProviders(settings: Settings): readonly string[] {
  const emulated = new Set((settings.LUMENTRA_EMULATED ?? "").split(","));
  return PROVIDER_NAMES.map((provider) => {
    const { name, url } = PROVIDERS[provider];
    return `${name}: ${emulated.has(provider) ? "EMULATED" : "the vendor"}, ${settings[url]}`;
  });
}
