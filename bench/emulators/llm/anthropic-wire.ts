/** Anthropic's Messages on the wire, before the engine that answers everybody. */
import { type ModelRefusal, refusal } from "./errors.js";
import { parseMessagesRequest } from "./anthropic-request.js";
import type { ModelFault } from "./faults.js";
import type { ToolCallDelta } from "./reply.js";
import type { AnswerFacts, Finish, ModelWire, StreamWriter } from "./wire.js";

const MODELS = ["claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"];

const STOP_REASONS: Readonly<Record<Finish, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
};

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  504: "timeout_error",
  529: "overloaded_error",
};

export const anthropicWire: ModelWire = {
  chatPath: "/v1/messages",
  modelsPath: "/v1/models",
  // The SDK sends the key the first way, older clients the second.
  isAuthorised: (headers, apiKey) =>
    headers.authorization === `Bearer ${apiKey}` || headers["x-api-key"] === apiKey,
  parse: (body, headers) =>
    typeof headers["anthropic-version"] === "string"
      ? parseMessagesRequest(body, MODELS)
      : refusal(400, { message: "anthropic-version: header is required" }),
  stream: (facts) => new MessagesStreamWriter(facts),
  whole: (facts, text, calls, finish, tokens) => ({
    ...message(facts),
    content: [
      ...(text === "" ? [] : [{ type: "text", text, citations: null }]),
      ...calls.map(({ id, function: { name, arguments: json } }) => ({
        type: "tool_use",
        id,
        name,
        input: JSON.parse(json) as unknown,
      })),
    ],
    stop_reason: STOP_REASONS[finish],
    usage: { input_tokens: facts.promptTokens, output_tokens: tokens },
  }),
  models: () => ({
    data: MODELS.map((id) => ({
      id,
      type: "model",
      display_name: id,
      created_at: "2026-01-01T00:00:00Z",
    })),
    has_more: false,
    first_id: MODELS[0],
    last_id: MODELS.at(-1),
  }),
  refused: ({ status, body }: ModelRefusal, requestId) => ({
    type: "error",
    error: { type: ERROR_TYPES[status] ?? "api_error", message: body.error.message },
    request_id: requestId,
  }),
  headers: (requestId, limits) => ({
    "request-id": requestId,
    ...Object.fromEntries(
      Object.entries(limits).flatMap(([name, value]) => {
        const [, what, which] = /^x-ratelimit-(limit|remaining)-(requests|tokens)$/.exec(name) ?? [];
        return what === undefined ? [] : [[`anthropic-ratelimit-${which}-${what}`, value]];
      }),
    ),
  }),
};

class MessagesStreamWriter implements StreamWriter {
  readonly #facts: AnswerFacts;
  #blockCount = 0;
  #open: "text" | "tool_use" | null = null;

  constructor(facts: AnswerFacts) {
    this.#facts = facts;
  }

  begin(): readonly string[] {
    const usage = { input_tokens: this.#facts.promptTokens, output_tokens: 1 };
    const start = { ...message(this.#facts), content: [], stop_reason: null, usage };
    return [event({ type: "message_start", message: start }), event({ type: "ping" })];
  }

  text(text: string): readonly string[] {
    const began = this.#open === "text" ? [] : this.#begin({ type: "text", text: "" });
    return [...began, this.#delta({ type: "text_delta", text })];
  }

  toolFragment({ id, function: { name, arguments: json = "" } }: ToolCallDelta): readonly string[] {
    const began = id === undefined ? [] : this.#begin({ type: "tool_use", id, name, input: {} });
    return [...began, this.#delta({ type: "input_json_delta", partial_json: json })];
  }

  finish(finish: Finish, completionTokens: number): readonly string[] {
    const delta = { stop_reason: STOP_REASONS[finish], stop_sequence: null };
    const usage = { output_tokens: completionTokens };
    return [...this.#end(), event({ type: "message_delta", delta, usage })];
  }

  lastWord(): readonly string[] {
    return [event({ type: "message_stop" })];
  }

  error(fault: Extract<ModelFault, { kind: "streamError" }>): readonly string[] {
    const { code = "overloaded_error", message: text = "Overloaded" } = fault;
    const error = { type: code, message: text };
    return [event({ type: "error", error, request_id: this.#facts.requestId })];
  }

  #begin(block: { readonly type: "text" | "tool_use"; readonly [field: string]: unknown }): string[] {
    const ended = this.#end();
    this.#open = block.type;
    const index = this.#blockCount;
    this.#blockCount += 1;
    return [...ended, event({ type: "content_block_start", index, content_block: block })];
  }

  #end(): string[] {
    if (this.#open === null) return [];
    this.#open = null;
    return [event({ type: "content_block_stop", index: this.#blockCount - 1 })];
  }

  #delta(delta: object): string {
    return event({ type: "content_block_delta", index: this.#blockCount - 1, delta });
  }
}

function message({ id, model }: AnswerFacts) {
  return {
    id: id.replace("chatcmpl-", "msg_"),
    type: "message",
    role: "assistant",
    model,
    stop_sequence: null,
  };
}

function event(payload: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${payload.type}\ndata: ${JSON.stringify(payload)}`;
}
