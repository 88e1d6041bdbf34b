import t from "tap";
import { type GroqFault, exactly, lastUserText, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { type LlmFault, type LlmReplyScript, llmCompliance } from "./llm.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { llmFirstTokenMs: exactly(2) },
  llmTokensPerSecond: 2_000,
});
t.teardown(() => emulators.close());
const { groq, log, urls } = emulators;

/** Tokens before a fault in mid-reply strikes. */
const STRIKE_AFTER_TOKENS = 2;

llmCompliance({
  name: "groq",
  model: "openai/gpt-oss-120b",
  server: {
    failNext: (fault, count = 1) => groq.faults.arm(groqFault(fault), { count }),
    clearFaults: () => groq.faults.clear(),
    script: (prompt, reply) =>
      void groq.script((request) => lastUserText(request) === prompt, scripted(reply)),
    connectionsSinceStart: () => groq.connectionCount,
    requests: (callId) => log.llm(callId),
  },
  start: (deps, { requestsMax = 64 }) => {
    const settings = { ...providerDefaults.groq, apiKey: PLANTED_KEY, url: urls.groq, requestsMax };
    return createProviders({ groq: settings }, deps).llm("groq");
  },
});

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

function groqFault(fault: LlmFault): GroqFault {
  switch (fault.kind) {
    case "cut":
    case "stall":
    case "endEarly":
      return { kind: fault.kind, afterTokens: STRIKE_AFTER_TOKENS };
    case "streamError":
      return { ...fault, afterTokens: STRIKE_AFTER_TOKENS };
    default:
      return fault;
  }
}
