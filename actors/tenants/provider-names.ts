/**
 * The names by which a tenant chooses its providers. Each has an entry in actors/providers/registry.ts, which
 * does not compile without it; data alone, so that the control plane checks names without the clients.
 */
export const STT_NAMES = ["deepgram", "deepgram-flux", "assemblyai", "whisper", "groq-whisper"] as const;
export const LLM_NAMES = ["groq", "cerebras", "together", "openai", "ollama", "vllm", "anthropic"] as const;
export const TTS_NAMES = ["cartesia", "elevenlabs", "openai-tts", "piper"] as const;

export type SttName = (typeof STT_NAMES)[number];
export type LlmName = (typeof LLM_NAMES)[number];
export type TtsName = (typeof TTS_NAMES)[number];
