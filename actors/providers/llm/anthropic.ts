/**
 * Language models behind Anthropic's Messages API: what it is asked, and what its errors mean.
 *
 * No SDK when it runs, as in openai-compatible.ts: three headers and a path are all that would be left of it.
 * Its types check the request, and the SDK itself checks the emulator. Temperature is not sent: this version
 * of the API has none.
 *
 * Its conversations are stricter than ours: they begin and end with the user's, turns alternate, no text is
 * empty, and what a tool said stands first in the turn after it was called.
 */
import type {
  ContentBlockParam,
  MessageCreateParamsStreaming,
  MessageParam,
  Tool,
} from "@anthropic-ai/sdk/resources/messages";
import type { LumentraError } from "#runtime/errors";
import { type FailureDetail, type Failures, reasonOfStatus, retryAfterMs } from "../failures.js";
import { AnthropicReply } from "./anthropic-reply.js";
import type { LlmDialect } from "./dialect.js";
import type { HttpAnswer } from "../http-transport.js";
import { fieldsOf, parseFields, wordOf } from "./json-fields.js";
import type { LlmMessage, LlmRequest } from "./provider.js";

/** The API's date we speak. */
const VERSION = "2026-10-21";
/** Where we speak first, and where we speak last, the API wants a word of the caller's. */
const CALL_BEGINS = "(The call begins.)";
const CALLER_SILENT = "(The caller says nothing.)";

export const anthropic: LlmDialect = {
  name: "anthropic",
  basePath: "/v1",
  generatePath: "/messages",
  // As its SDK sends the key; `x-api-key` is the older form.
  headers: (apiKey) => ({ authorization: `Bearer ${apiKey}`, "anthropic-version": VERSION }),
  body: bodyOf,
  reader: (reply) => new AnthropicReply(reply, errorInStream),
  errorOf: errorOfAnswer,
};

// ---- the request

function bodyOf(request: LlmRequest): MessageCreateParamsStreaming {
  const { model, messages, tools, maxOutputTokens, callId } = request;
  const talkFrom = messages.findIndex(({ role }) => role !== "system");
  const system = (talkFrom === -1 ? messages : messages.slice(0, talkFrom)).map(({ content }) => content);
  return {
    model,
    stream: true,
    max_tokens: maxOutputTokens,
    ...(system.length > 0 && { system: system.join("\n\n") }),
    messages: turnsOf(talkFrom === -1 ? [] : messages.slice(talkFrom)),
    // Thinking costs the caller a silence.
    thinking: { type: "disabled" },
    // For the provider's logs; a call is nobody's name.
    metadata: { user_id: callId },
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, parameters }) => ({
        name,
        description,
        input_schema: { ...parameters, type: "object" } satisfies Tool.InputSchema,
      })),
    }),
  };
}

function turnsOf(messages: readonly LlmMessage[]): MessageParam[] {
  const turns: { role: "user" | "assistant"; content: ContentBlockParam[] }[] = [];
  const add = (role: "user" | "assistant", blocks: readonly ContentBlockParam[]): void => {
    if (blocks.length === 0) return;
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else turns.push({ role, content: [...blocks] });
  };
  for (const message of messages) {
    // A system message in mid-conversation is a note on what the caller said.
    const role = message.role === "assistant" ? "assistant" : "user";
    if (turns.length === 0 && role === "assistant") add("user", textOf(CALL_BEGINS));
    add(role, blocksOf(message));
  }
  if (turns.at(-1)?.role !== "user") add("user", textOf(CALLER_SILENT));
  return turns;
}

function blocksOf(message: LlmMessage): readonly ContentBlockParam[] {
  if (message.role === "tool") {
    return [{ type: "tool_result", tool_use_id: message.toolCallId, content: message.content }];
  }
  if (message.role !== "assistant") return textOf(message.content);
  const calls = (message.toolCalls ?? []).map(({ id, name, argumentsJson }) => ({
    type: "tool_use" as const,
    id,
    name,
    // The model's own nonsense comes back to it as a call without arguments; what was wrong is in the answer.
    input: parseFields(argumentsJson) ?? {},
  }));
  return [...textOf(message.content), ...calls];
}

/** The API refuses text that is empty or blank, and blanks at the end of a turn of the model's. */
function textOf(content: string): readonly ContentBlockParam[] {
  const text = content.trimEnd();
  return text === "" ? [] : [{ type: "text", text }];
}

// ---- errors

/** Of each type the status it comes with, for where it comes without: inside a stream. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
};
const TOO_LONG = /prompt is too long|exceeds? (?:the )?context/i;

function errorOfAnswer(answer: HttpAnswer, failures: Failures, unixMs: number): LumentraError {
  const body = parseFields(answer.text);
  const waitMs = retryAfterMs(answer.headers["retry-after"], unixMs);
  const requestId = answer.headers["request-id"] ?? (wordOf(body?.["request_id"]) || undefined);
  return errorOf(answer.status, body?.["error"] ?? answer.text, failures, {
    status: answer.status,
    ...(waitMs !== undefined && { retryAfterMs: waitMs }),
    ...(requestId !== undefined && { requestId }),
  });
}

/** Overload and the server's own faults end a reply that had begun: broken off, not unreachable. */
function errorInStream(error: unknown, failures: Failures): LumentraError {
  return errorOf(STATUS_OF_TYPE[wordOf(fieldsOf(error)["type"])] ?? null, error, failures, {});
}

function errorOf(
  status: number | null,
  error: unknown,
  failures: Failures,
  known: FailureDetail,
): LumentraError {
  const { type, message } = fieldsOf(error);
  const text = wordOf(message) || wordOf(error);
  const detail: FailureDetail = { ...known, providerCode: wordOf(type), providerMessage: text };
  if (status === 413 || (status === 400 && TOO_LONG.test(text))) {
    return failures.errorWithCode("LLM_CONTEXT_TOO_LONG", "takes no conversation this long", detail);
  }
  if (status === null) {
    return failures.error({ reason: "STREAM_BROKEN", what: "gave up in a reply", detail });
  }
  const reason = reasonOfStatus(status, text);
  return failures.error({ reason, what: `refused the request (${status})`, detail });
}
