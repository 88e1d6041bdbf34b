/**
 * The names by which a tenant chooses its providers, and what a choice means that says no more than the name. Each has
 * an entry in actors/providers/registry.ts, which does not compile without it; data alone, so that the control plane
 * checks names without the clients.
 */

/** A name, or one by language where the vendor's best for English knows nothing else. */
export type ByLanguage = string | { readonly en: string; readonly es: string; readonly fr: string };

interface ModelDefaults {
  readonly model: ByLanguage;
}

interface VoiceDefaults extends ModelDefaults {
  readonly voice: ByLanguage;
}

const FLUX_MULTI = "flux-general-multi";
const ASSEMBLY_MULTI = "universal-streaming-multilingual";

/** The first of each kind is whom a tenant has that chooses nobody. */
export const STT_DEFAULTS = {
  deepgram: { model: "nova-3" },
  "deepgram-flux": { model: { en: "flux-general-en", es: FLUX_MULTI, fr: FLUX_MULTI } },
  assemblyai: { model: { en: "universal-streaming-english", es: ASSEMBLY_MULTI, fr: ASSEMBLY_MULTI } },
  // What the usual servers load when asked; most others take any name for the one model they have.
  whisper: { model: "Systran/faster-whisper-small" },
  "groq-whisper": { model: "whisper-large-v3-turbo" },
} as const satisfies Readonly<Record<string, ModelDefaults>>;

export const LLM_DEFAULTS = {
  groq: { model: "llama-3.3-70b-versatile" },
  cerebras: { model: "llama-3.3-70b" },
  together: { model: "meta-llama/Llama-3.3-70B-Instruct-Turbo" },
  openai: { model: "gpt-4.1-mini" },
  // Small enough to answer in time without a data centre's GPU, and none that thinks before it speaks.
  ollama: { model: "llama3.2:3b" },
  vllm: { model: "meta-llama/Llama-3.1-8B-Instruct" },
  anthropic: { model: "claude-haiku-4-5" },
} as const satisfies Readonly<Record<string, ModelDefaults>>;

export const TTS_DEFAULTS = {
  cartesia: { model: "sonic-3", voice: "f786b574-daa5-4673-aa0c-cbe3e8534c02" },
  elevenlabs: { model: "eleven_flash_v2_5", voice: "21m00Tcm4TlvDq8ikWAM" },
  "openai-tts": { model: "gpt-4o-mini-tts", voice: "alloy" },
  // A voice is a model there; the server has the one by this name, or speaks with its own.
  piper: {
    model: "piper",
    voice: { en: "en_US-lessac-medium", es: "es_ES-davefx-medium", fr: "fr_FR-siwis-medium" },
  },
} as const satisfies Readonly<Record<string, VoiceDefaults>>;

export type SttName = keyof typeof STT_DEFAULTS;
export type LlmName = keyof typeof LLM_DEFAULTS;
export type TtsName = keyof typeof TTS_DEFAULTS;

export const STT_NAMES = Object.keys(STT_DEFAULTS) as SttName[];
export const LLM_NAMES = Object.keys(LLM_DEFAULTS) as LlmName[];
export const TTS_NAMES = Object.keys(TTS_DEFAULTS) as TtsName[];

type Language = keyof Extract<ByLanguage, object>;

/** The choice with the provider's own model, unless it says which. */
export function withModel<Choice extends { readonly model?: string | undefined }>(
  choice: Choice,
  { model }: ModelDefaults,
  language: Language,
): Choice & { readonly model: string } {
  return { ...choice, model: choice.model ?? inLanguage(model, language) };
}

/** As `withModel`, and with its voice. */
export function withVoice<
  Choice extends { readonly model?: string | undefined; readonly voice?: string | undefined },
>(
  choice: Choice,
  defaults: VoiceDefaults,
  language: Language,
): Choice & { readonly model: string; readonly voice: string } {
  const voice = choice.voice ?? inLanguage(defaults.voice, language);
  return { ...withModel(choice, defaults, language), voice };
}

function inLanguage(value: ByLanguage, language: Language): string {
  return typeof value === "string" ? value : value[language];
}
