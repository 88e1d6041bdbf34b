/** The vendors whose language models are emulated, as data: each is a `ModelWire`. */
import { anthropicWire } from "./anthropic-wire.js";
import { type ChatVendor, chatWire } from "./chat-wire.js";
import { MODELS } from "./request.js";
import type { ModelWire } from "./wire.js";

const groq: ChatVendor = {
  basePath: "/openai/v1",
  models: MODELS,
  chunk: ({ begins, requestId, usage }) => ({
    ...(begins && { system_fingerprint: "fp_emulated" }),
    ...((begins || usage !== null) && { x_groq: { id: requestId, ...(usage && { usage }) } }),
  }),
};

const cerebras: ChatVendor = {
  basePath: "/v1",
  models: ["gpt-oss-120b", "llama-3.3-70b", "llama3.1-8b", "qwen-3-32b"],
  refuses: ["frequency_penalty", "logit_bias", "presence_penalty", "service_tier"],
  usage: "last chunk",
  chunk: ({ usage, seconds }) => ({
    system_fingerprint: "fp_emulated",
    ...(usage && {
      time_info: { queue_time: 0.001, prompt_time: 0.002, completion_time: seconds, total_time: seconds },
    }),
  }),
};

const together: ChatVendor = {
  basePath: "/v1",
  models: [
    "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "openai/gpt-oss-120b",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-tput",
  ],
  refuses: ["max_completion_tokens", "user"],
  usage: "last chunk",
  roleOnEveryDelta: true,
  stop: "eos",
  delta: (text) => ({ token_id: text.length, content: text }),
  chunk: () => ({ warnings: null }),
};

const openai: ChatVendor = {
  basePath: "/v1",
  models: ["gpt-4.1-mini", "gpt-4.1", "gpt-4o-mini", "gpt-5-mini", "gpt-5-nano"],
  refuses: ["include_reasoning", "reasoning_format", "disable_tool_validation"],
  refusesWith: (request) => {
    if (!/^(o\d|gpt-5)/.test(request.model)) return null;
    if (request.max_tokens != null) {
      return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    }
    return request.temperature != null && request.temperature !== 1
      ? "Unsupported value: 'temperature' does not support this value with this model. Only the default (1) value is supported."
      : null;
  },
  greeting: { refusal: null },
  chunk: ({ obfuscated }) => ({
    service_tier: "default",
    system_fingerprint: "fp_emulated",
    ...(obfuscated && { obfuscation: "x8Kq2" }),
  }),
};

const ollama: ChatVendor = {
  basePath: "/v1",
  models: ["llama3.2:3b", "qwen3:8b", "gpt-oss:20b"],
  wantsNoKey: true,
  ignoresUnknown: true,
  tellsNoLimits: true,
  roleOnEveryDelta: true,
  wholeToolCalls: true,
  chunk: () => ({ system_fingerprint: "fp_ollama" }),
};

const vllm: ChatVendor = {
  basePath: "/v1",
  models: ["Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct"],
  wantsNoKey: true,
  ignoresUnknown: true,
  tellsNoLimits: true,
  delta: (text) => ({ content: text, reasoning_content: null }),
  chunk: () => ({}),
};

export const MODEL_WIRES = {
  groq: chatWire(groq),
  cerebras: chatWire(cerebras),
  together: chatWire(together),
  openai: chatWire(openai),
  ollama: chatWire(ollama),
  vllm: chatWire(vllm),
  anthropic: anthropicWire,
} as const satisfies Readonly<Record<string, ModelWire>>;

export type ModelVendor = keyof typeof MODEL_WIRES;
export const MODEL_VENDORS = Object.keys(MODEL_WIRES) as readonly ModelVendor[];
