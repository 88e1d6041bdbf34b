/**
 * Servers that speak OpenAI's chat completions, as data: where each has them and how each wants to be asked.
 * What they answer differs too, but `ChatReply` reads all of it without being told whose it is.
 */

export interface ChatPreset {
  /** Of the API within the origin, unless the address that was set has a path of its own. */
  readonly basePath: string;
  /** OpenAI and those close to it refuse or deprecate `max_tokens`; the others know nothing else. */
  readonly tokenLimitField: "max_completion_tokens" | "max_tokens";
  /** Whether usage has to be asked for; the others send it with the last chunk, or refuse the option. */
  readonly asksForUsage: boolean;
  /** Whether it knows the field `user`, which ties its logs to our calls. */
  readonly takesUser: boolean;
  /** Fields for this model that keep it from thinking: that costs the caller a silence. */
  readonly forModel: (model: string) => Readonly<Record<string, unknown>>;
  /** These models refuse any temperature but their own. */
  readonly fixedTemperature?: RegExp;
}

export const CHAT_PRESETS = {
  groq: {
    basePath: "/openai/v1",
    tokenLimitField: "max_completion_tokens",
    asksForUsage: true,
    takesUser: true,
    forModel: leastEffort,
  },
  cerebras: {
    basePath: "/v1",
    tokenLimitField: "max_completion_tokens",
    asksForUsage: false,
    takesUser: true,
    forModel: (model) => (model.includes("gpt-oss") ? { reasoning_effort: "low" } : {}),
  },
  together: {
    basePath: "/v1",
    tokenLimitField: "max_tokens",
    asksForUsage: false,
    takesUser: false,
    forModel: (model) => (model.includes("gpt-oss") ? { reasoning_effort: "low" } : {}),
  },
  openai: {
    basePath: "/v1",
    tokenLimitField: "max_completion_tokens",
    asksForUsage: true,
    takesUser: true,
    // `low` is the least that all of them know. Padding against eavesdropping costs a third of the bytes.
    forModel: (model) => ({
      stream_options: { include_usage: true, include_obfuscation: false },
      ...(THINKING_OPENAI.test(model) && { reasoning_effort: "low" }),
    }),
    fixedTemperature: /^(o\d|gpt-5)/,
  },
  ollama: {
    basePath: "/v1",
    tokenLimitField: "max_tokens",
    asksForUsage: true,
    takesUser: false,
    forModel: leastEffort,
  },
  vllm: {
    basePath: "/v1",
    tokenLimitField: "max_tokens",
    asksForUsage: true,
    takesUser: true,
    forModel: (model) => {
      if (model.includes("gpt-oss")) return { reasoning_effort: "low" };
      if (/qwen3/i.test(model)) return { chat_template_kwargs: { enable_thinking: false } };
      return {};
    },
  },
} as const satisfies Readonly<Record<string, ChatPreset>>;

export type ChatPresetName = keyof typeof CHAT_PRESETS;

const THINKING_OPENAI = /^(o\d|gpt-5(?!.*chat))/;

function leastEffort(model: string): Readonly<Record<string, unknown>> {
  if (model.includes("gpt-oss")) return { reasoning_effort: "low" };
  if (model.includes("qwen3")) return { reasoning_effort: "none" };
  return {};
}
