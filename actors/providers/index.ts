/**
 * Speech to text, language models and voices, each behind one interface; a shard has one of each.
 *
 * ```ts
 * const providers = createProviders(settings, { clock, random, log });
 * await providers.stt("deepgram").warm({ model: "nova-3", language: "en", format: MULAW_8K, keyterms: [] });
 * const stream = providers.stt("deepgram").open(request, events);
 * stream.write(audio);
 * await providers.close();
 * ```
 */
export type { ProviderAccountState, ProviderNotice } from "./resilience/account.js";
export type { ProviderErrorListener, ProviderKind } from "./failures.js";
export { type CallProviders, type Providers, type ResilienceDeps, createProviders } from "./providers.js";
export { type ProviderDeps, accountOf } from "./registry.js";
export type { Network, NetworkPool, NetworkSocket } from "./network.js";
export {
  type CartesiaSettings,
  type DeepgramSettings,
  type ElevenLabsSettings,
  type HttpPcmSettings,
  type LlmSettings,
  type ProviderSettings,
  providerDefaults,
} from "./settings.js";
export type {
  LlmEvents,
  LlmMessage,
  LlmProvider,
  LlmRequest,
  LlmStream,
  LlmTool,
  LlmToolCall,
  LlmUsage,
} from "./llm/provider.js";
export type {
  SttEvents,
  SttProvider,
  SttRequest,
  SttStream,
  SttTranscript,
  SttWord,
} from "./stt/provider.js";
export type { ReplayingSttOptions } from "./stt/replaying-stt.js";
export type { SttChoice } from "./stt/replaying-stream.js";
export type { TtsEvents, TtsProvider, TtsRequest, TtsStream, TtsVoice, TtsWord } from "./tts/provider.js";
