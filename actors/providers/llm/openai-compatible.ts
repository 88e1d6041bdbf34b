/**
 * Language models behind OpenAI's chat completions: Groq, Cerebras, Together, OpenAI, Ollama, vLLM and
 * whatever speaks like them. What sets them apart is a preset; `HttpLlm` does the rest.
 *
 * No SDK when it runs: without its own transport, time-outs, retries and stream reader (which takes an aborted
 * stream for a complete one) what is left of it, two headers, a path and an error class, took 0.2 of the 0.7 ms
 * of CPU per reply. Its types check the request below,
 * and the SDK itself checks the emulator.
 */
import type {
  ChatCompletionCreateParamsStreaming,
  ChatCompletionMessageParam,
} from "groq-sdk/resources/chat/completions";
import { errorOfAnswer } from "./chat-errors.js";
import type { ChatPreset } from "./chat-presets.js";
import { ChatReply } from "./chat-reply.js";
import type { LlmDialect } from "./dialect.js";
import type { LlmMessage, LlmRequest } from "./provider.js";

export function openAiCompatible(name: string, preset: ChatPreset): LlmDialect {
  return {
    name,
    basePath: preset.basePath,
    generatePath: "/chat/completions",
    // One's own server may want no key.
    headers: (apiKey) => (apiKey === "" ? {} : { authorization: `Bearer ${apiKey}` }),
    body: (request) => bodyOf(request, preset),
    reader: (reply) => new ChatReply(reply),
    errorOf: errorOfAnswer,
  };
}

type Body = ChatCompletionCreateParamsStreaming;
/** Of the protocol, though not of the SDK's types. */
type Extras = Readonly<Record<string, unknown>>;

function bodyOf(request: LlmRequest, preset: ChatPreset): Body & Extras {
  const { model, messages, tools, temperature, maxOutputTokens, callId } = request;
  return {
    model,
    stream: true,
    ...(preset.asksForUsage && { stream_options: { include_usage: true } }),
    messages: messages.map(messageOf),
    ...(preset.fixedTemperature?.test(model) !== true && { temperature }),
    [preset.tokenLimitField]: maxOutputTokens,
    // For the provider's logs; a call is nobody's name.
    ...(preset.takesUser && { user: callId }),
    // An empty list is refused by some.
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, parameters }) => ({
        type: "function" as const,
        function: { name, description, parameters: { ...parameters } },
      })),
    }),
    ...preset.forModel(model),
  };
}

function messageOf(message: LlmMessage): ChatCompletionMessageParam {
  if (message.role === "tool") {
    return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
  }
  if (message.role !== "assistant") return { role: message.role, content: message.content };
  const { content, toolCalls = [] } = message;
  if (toolCalls.length === 0) return { role: "assistant", content };
  return {
    role: "assistant",
    content: content === "" ? null : content,
    tool_calls: toolCalls.map(({ id, name, argumentsJson }) => ({
      id,
      type: "function",
      function: { name, arguments: argumentsJson },
    })),
  };
}
