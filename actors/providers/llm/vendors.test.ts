/** Every language model, through its real client, against a server that speaks its protocol. */
import t from "tap";
import { type ModelFault, type ModelVendor, exactly, lastUserText, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { tenantWith } from "../resilience/chain.fixture.js";
import { providerDefaults } from "../settings.js";
import { type LlmFault, type LlmFaultTable, type LlmReplyScript, llmCompliance } from "./llm.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { llmFirstTokenMs: exactly(2) },
  llmTokensPerSecond: 2_000,
});
t.teardown(() => emulators.close());
const { models, log, urls } = emulators;

/** A call has one of each; nobody is asked here. */
const OTHER_KINDS = {
  deepgram: { ...providerDefaults.deepgram, apiKey: PLANTED_KEY },
  cartesia: { ...providerDefaults.cartesia, apiKey: PLANTED_KEY },
};
/** Tokens before a fault in mid-reply strikes. */
const STRIKE_AFTER_TOKENS = 2;

const chatFaults: LlmFaultTable = {
  writings: ["oneCharArguments", "wholeToolCalls", "repeatedNames", "noToolIndex", "stopDespiteTools"],
  refusals: [
    [{ status: 400 }, "LLM_REJECTED"],
    [{ status: 400, code: "tool_use_failed" }, "LLM_TOOL_USE_FAILED"],
    [{ status: 400, code: "context_length_exceeded" }, "LLM_CONTEXT_TOO_LONG"],
    [{ status: 400, message: "This model's maximum context length is 8192 tokens." }, "LLM_CONTEXT_TOO_LONG"],
    [{ status: 401 }, "LLM_UNAUTHORIZED"],
    [{ status: 403 }, "LLM_UNAUTHORIZED"],
    [{ status: 404 }, "LLM_REJECTED"],
    [{ status: 413, code: "request_too_large" }, "LLM_CONTEXT_TOO_LONG"],
    [{ status: 413, code: "rate_limit_exceeded" }, "LLM_RATE_LIMITED"],
    [{ status: 422 }, "LLM_REJECTED"],
    [{ status: 429, retryAfterSeconds: 3 }, "LLM_RATE_LIMITED"],
    [{ status: 498 }, "LLM_RATE_LIMITED"],
    [{ status: 500 }, "LLM_CONNECT_FAILED"],
    [{ status: 503 }, "LLM_CONNECT_FAILED"],
  ],
  streamErrors: [
    [{ kind: "streamError", form: "data" }, "LLM_TOOL_USE_FAILED"],
    [{ kind: "streamError", form: "event" }, "LLM_TOOL_USE_FAILED"],
    [{ kind: "streamError", form: "xGroq" }, "LLM_TOOL_USE_FAILED"],
    [{ kind: "streamError", form: "data", code: "overloaded" }, "LLM_STREAM_BROKEN"],
    [{ kind: "streamError", form: "event", code: "rate_limit_exceeded" }, "LLM_RATE_LIMITED"],
  ],
};

const anthropicFaults: LlmFaultTable = {
  writings: ["oneCharArguments", "wholeToolCalls"],
  refusals: [
    [{ status: 400 }, "LLM_REJECTED"],
    [{ status: 400, message: "prompt is too long: 9 tokens > 8 maximum" }, "LLM_CONTEXT_TOO_LONG"],
    [{ status: 401 }, "LLM_UNAUTHORIZED"],
    [{ status: 402 }, "LLM_UNAUTHORIZED"],
    [{ status: 403 }, "LLM_UNAUTHORIZED"],
    [{ status: 404 }, "LLM_REJECTED"],
    [{ status: 413 }, "LLM_CONTEXT_TOO_LONG"],
    [{ status: 429, retryAfterSeconds: 3 }, "LLM_RATE_LIMITED"],
    [{ status: 500 }, "LLM_CONNECT_FAILED"],
    [{ status: 504 }, "LLM_TIMEOUT"],
    [{ status: 529 }, "LLM_CONNECT_FAILED"],
  ],
  streamErrors: [
    [{ kind: "streamError", form: "event" }, "LLM_STREAM_BROKEN"],
    [{ kind: "streamError", form: "event", code: "rate_limit_error" }, "LLM_RATE_LIMITED"],
  ],
};

/** The other servers' errors go the way of Groq's. */
const samePathFaults: LlmFaultTable = {
  writings: ["wholeToolCalls", "noToolIndex"],
  refusals: [
    [{ status: 401 }, "LLM_UNAUTHORIZED"],
    [{ status: 429, retryAfterSeconds: 3 }, "LLM_RATE_LIMITED"],
    [{ status: 503 }, "LLM_CONNECT_FAILED"],
  ],
  streamErrors: [[{ kind: "streamError", form: "data", code: "overloaded" }, "LLM_STREAM_BROKEN"]],
};

const faultTables: Partial<Record<ModelVendor, LlmFaultTable>> = {
  groq: chatFaults,
  anthropic: anthropicFaults,
};

const MODELS: Readonly<Record<ModelVendor, string>> = {
  groq: "openai/gpt-oss-120b",
  cerebras: "gpt-oss-120b",
  together: "meta-llama/Llama-3.3-70B-Instruct-Turbo",
  openai: "gpt-5-mini",
  ollama: "qwen3:8b",
  vllm: "Qwen/Qwen3-8B",
  anthropic: "claude-haiku-4-5",
};

/** As calls have them: through the list of a tenant's models, which for each of these is of one. */
const chained = new Set<ModelVendor>(["groq", "anthropic"]);

for (const [name, model] of Object.entries(MODELS) as [ModelVendor, string][]) {
  comply(name, model, false);
  if (chained.has(name)) comply(name, model, true);
}

function comply(name: ModelVendor, model: string, inChain: boolean): void {
  const control = models[name];
  /** Not every vendor is told the call's id: its request is known by what was asked, and when. */
  const asked = new Map<string, { readonly seq: number; readonly prompt: string }>();
  llmCompliance({
    name,
    model,
    faults: faultTables[name] ?? samePathFaults,
    inChain,
    firstTokenTimeoutMs: providerDefaults[name].firstTokenTimeoutMs,
    server: {
      failNext: (fault, count = 1) => control.faults.arm(faultOnTheWire(fault), { count }),
      clearFaults: () => control.faults.clear(),
      script: (prompt, reply) =>
        void control.script((request) => lastUserText(request) === prompt, scripted(reply)),
      connectionsSinceStart: () => control.connectionCount,
      requests: (callId) => {
        const { seq, prompt } = asked.get(callId)!;
        return log
          .llm()
          .filter((entry) => entry.seq > seq && entry.provider === name && entry.prompt === prompt);
      },
    },
    start: (deps, { requestsMax = 64 }) => {
      const settings = { ...providerDefaults[name], apiKey: PLANTED_KEY, url: urls[name], requestsMax };
      const providers = createProviders({ ...OTHER_KINDS, [name]: settings }, deps);
      const alone = providers.llm(name);
      const llm = inChain ? providers.forCall(tenantWith({ llm: { provider: name, model } })).llm : alone;
      return {
        name: llm.name,
        warm: () => alone.warm(),
        close: () => alone.close(),
        generate: (request, events) => {
          const prompt = request.messages.findLast(({ role }) => role === "user")?.content ?? "";
          asked.set(request.callId, { seq: log.llm().at(-1)?.seq ?? 0, prompt });
          return llm.generate(request, events);
        },
      };
    },
  });
}

function scripted({ text, toolCalls = [], finish, gate }: LlmReplyScript) {
  return {
    parts: [
      ...(gate === undefined ? [] : [{ gate }]),
      ...(text === undefined ? [] : [{ text }]),
      ...toolCalls.map(({ name, argumentsJson }) => ({ toolCall: { name, arguments: argumentsJson } })),
    ],
    ...(finish === undefined ? {} : { finish }),
  };
}

function faultOnTheWire(fault: LlmFault): ModelFault {
  switch (fault.kind) {
    case "cut":
    case "stall":
    case "endEarly":
    case "garbage":
      return { kind: fault.kind, afterTokens: STRIKE_AFTER_TOKENS };
    case "streamError":
      return { ...fault, afterTokens: STRIKE_AFTER_TOKENS };
    default:
      return fault;
  }
}
