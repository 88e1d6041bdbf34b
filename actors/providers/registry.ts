/**
 * Which provider stands behind each name a tenant may choose: one entry per name, and the settings it is
 * built from. Settings that a node does not have are absent; their providers are not offered.
 *
 * To add one: its name in actors/tenants/provider-names.ts, its settings in settings.ts, where they come from
 * in node/provider-accounts.ts, and its entry here.
 */
import type { Clock, Random } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { LlmName, SttName, TtsName } from "#actors/tenants";
import type { DueSweep } from "./due-sweep.js";
import { Failures, type ProviderErrorListener, type ProviderKind } from "./failures.js";
import { anthropic } from "./llm/anthropic.js";
import { CHAT_PRESETS, type ChatPresetName } from "./llm/chat-presets.js";
import { HttpLlm } from "./llm/http-llm.js";
import { openAiCompatible } from "./llm/openai-compatible.js";
import type { LlmProvider } from "./llm/provider.js";
import type { Network } from "./network.js";
import type { ProviderSettings } from "./settings.js";
import { assemblyStt } from "./stt/assemblyai.js";
import { deepgramV1 } from "./stt/deepgram.js";
import { deepgramFlux } from "./stt/deepgram-flux.js";
import { deepgramStt } from "./stt/deepgram-stt.js";
import type { SttProvider } from "./stt/provider.js";
import { WhisperStt } from "./stt/whisper.js";
import { CartesiaProvider } from "./tts/cartesia.js";
import { ElevenLabsProvider } from "./tts/elevenlabs.js";
import { HttpPcmProvider } from "./tts/http-pcm.js";
import { openAiSpeech, piper } from "./tts/http-pcm-voices.js";
import type { TtsProvider } from "./tts/provider.js";

export interface ProviderDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** For a counter: every failed stream and every failed dial ahead, by provider and code. */
  readonly onProviderError?: ProviderErrorListener;
  /** @default the machine's */
  readonly network?: Network | undefined;
}

/** What every provider is built from, beside its settings. */
export interface ProviderParts extends ProviderDeps {
  readonly failures: Failures;
  readonly sweep: DueSweep;
}

type Account = keyof ProviderSettings;

interface Entry<Provider> {
  readonly account: Account;
  readonly build: (settings: ProviderSettings, parts: ProviderParts) => Provider;
}

type Registry<Name extends string, Provider> = Readonly<Record<Name, Entry<Provider>>>;

const STT: Registry<SttName, SttProvider> = {
  deepgram: entry("deepgram", (settings, parts) => deepgramStt(deepgramV1, { settings, ...parts })),
  "deepgram-flux": entry("deepgram", (settings, parts) => deepgramStt(deepgramFlux, { settings, ...parts })),
  whisper: entry(
    "whisper",
    (settings, parts) => new WhisperStt({ name: "whisper", path: "/v1", settings, ...parts }),
  ),
  "groq-whisper": entry(
    "groqWhisper",
    (settings, parts) => new WhisperStt({ name: "groq-whisper", path: "/openai/v1", settings, ...parts }),
  ),
  assemblyai: entry("assemblyai", (settings, parts) => assemblyStt({ settings, ...parts })),
};

const LLM: Registry<LlmName, LlmProvider> = {
  groq: chatEntry("groq"),
  cerebras: chatEntry("cerebras"),
  together: chatEntry("together"),
  openai: chatEntry("openai"),
  ollama: chatEntry("ollama"),
  vllm: chatEntry("vllm"),
  anthropic: entry("anthropic", (settings, parts) => new HttpLlm(anthropic, { settings, ...parts })),
};

const TTS: Registry<TtsName, TtsProvider> = {
  cartesia: entry("cartesia", (settings, parts) => new CartesiaProvider(settings, parts)),
  elevenlabs: entry("elevenlabs", (settings, parts) => new ElevenLabsProvider(settings, parts)),
  "openai-tts": entry(
    "openaiSpeech",
    (settings, parts) => new HttpPcmProvider(openAiSpeech, settings, parts),
  ),
  piper: entry("piper", (settings, parts) => new HttpPcmProvider(piper, settings, parts)),
};

interface Kinds {
  readonly STT: SttProvider;
  readonly LLM: LlmProvider;
  readonly TTS: TtsProvider;
}

const REGISTRY: { readonly [Kind in ProviderKind]: Registry<string, Kinds[Kind]> } = { STT, LLM, TTS };

/** Whether there is such a provider, and the settings it needs. */
export function isOffered(kind: ProviderKind, name: string, settings: ProviderSettings): boolean {
  const entry = entryOf(kind, name);
  return entry !== undefined && settings[entry.account] !== undefined;
}

/**
 * @throws LumentraError TENANT_CONFIG_INVALID for a name that nobody has, PROVIDER_NOT_SET_UP for one whose
 * settings this node was not given.
 */
export function buildProvider<Kind extends ProviderKind>(
  kind: Kind,
  name: string,
  settings: ProviderSettings,
  deps: ProviderDeps & { readonly sweep: DueSweep },
): Kinds[Kind] {
  const found = entryOf(kind, name);
  if (found === undefined) {
    throw new LumentraError("TENANT_CONFIG_INVALID", `no provider is named ${JSON.stringify(name)}`);
  }
  const own = settings[found.account];
  if (own === undefined) throw notSetUp(kind, name);
  const failures = new Failures(kind, name, own.apiKey, deps.onProviderError);
  return found.build(settings, { ...deps, failures });
}

function notSetUp(kind: ProviderKind, name: string): LumentraError {
  return new LumentraError("PROVIDER_NOT_SET_UP", `${name} (${kind}) has no key or address on this node`);
}

/** The account a provider belongs to: whose key and address it needs. */
export function accountOf(kind: ProviderKind, name: string): keyof ProviderSettings | undefined {
  return entryOf(kind, name)?.account;
}

function entryOf<Kind extends ProviderKind>(kind: Kind, name: string): Entry<Kinds[Kind]> | undefined {
  // Not the names every object inherits.
  return Object.hasOwn(REGISTRY[kind], name) ? REGISTRY[kind][name] : undefined;
}

function entry<Name extends Account, Provider>(
  account: Name,
  build: (settings: NonNullable<ProviderSettings[Name]>, parts: ProviderParts) => Provider,
): Entry<Provider> {
  return { account, build: (all, parts) => build(all[account]!, parts) };
}

function chatEntry(name: ChatPresetName): Entry<LlmProvider> {
  const dialect = openAiCompatible(name, CHAT_PRESETS[name]);
  return entry(name, (settings, parts) => new HttpLlm(dialect, { settings, ...parts }));
}
