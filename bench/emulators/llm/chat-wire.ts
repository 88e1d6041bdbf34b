/** OpenAI's chat completions on the wire, in the forms its speakers give it. */
import type { ModelFault } from "./faults.js";
import { toolUseFailed } from "./errors.js";
import { completionMessage, modelList } from "./completion.js";
import type { ToolCallDelta } from "./reply.js";
import { type ChatRequest, parseChatRequest } from "./request.js";
import type { AnswerFacts, Finish, ModelWire, StreamWriter } from "./wire.js";

/** What a vendor adds to a chunk is made from. */
export interface ChunkFacts {
  /** The first chunk. */
  readonly begins: boolean;
  readonly requestId: string;
  /** With the last chunk, when usage goes there. */
  readonly usage: Readonly<Record<string, number>> | null;
  /** How long the completion took. */
  readonly seconds: number;
  readonly obfuscated: boolean;
}

export interface ChatVendor {
  readonly basePath: string;
  /** Others are unknown, 404. */
  readonly models: readonly string[];
  /** Fields that others know and this one refuses. @default none */
  readonly refuses?: readonly string[];
  /** What else it refuses, and its words. */
  readonly refusesWith?: (request: ChatRequest) => string | null;
  /** Fields nobody knows are no error. */
  readonly ignoresUnknown?: boolean;
  readonly wantsNoKey?: boolean;
  readonly tellsNoLimits?: boolean;
  readonly roleOnEveryDelta?: boolean;
  /** A tool call always comes in one fragment. */
  readonly wholeToolCalls?: boolean;
  /** In place of `stop`. */
  readonly stop?: string;
  /** Usage without being asked. @default in a chunk of its own, when asked */
  readonly usage?: "last chunk";
  /** Of the first delta, beside its role. */
  readonly greeting?: object;
  readonly delta?: (text: string) => object;
  readonly chunk: (facts: ChunkFacts) => object;
}

export function chatWire(vendor: ChatVendor): ModelWire {
  return {
    chatPath: `${vendor.basePath}/chat/completions`,
    modelsPath: `${vendor.basePath}/models`,
    ...(vendor.wholeToolCalls === true && { habits: [{ kind: "wholeToolCalls" }] }),
    isAuthorised: ({ authorization }, apiKey) =>
      vendor.wantsNoKey === true || authorization === `Bearer ${apiKey}`,
    parse: (body) => parseChatRequest(body, vendor),
    stream: (facts) => new ChatStreamWriter(facts, vendor),
    whole: ({ requestId, model, unixMs, promptTokens }, text, calls, finish, tokens) =>
      completionMessage(
        { requestId, model, unixMs: unixMs() },
        text,
        calls,
        finish,
        usageOf(promptTokens, tokens),
      ),
    models: () => modelList(vendor.models),
    refused: ({ body }) => body,
    headers: (requestId, limits) => ({
      "x-request-id": requestId,
      ...(vendor.tellsNoLimits === true ? {} : limits),
    }),
  };
}

class ChatStreamWriter implements StreamWriter {
  readonly #facts: AnswerFacts;
  readonly #vendor: ChatVendor;

  constructor(facts: AnswerFacts, vendor: ChatVendor) {
    this.#facts = facts;
    this.#vendor = vendor;
  }

  begin(): readonly string[] {
    const delta = { role: "assistant", content: "", ...this.#vendor.greeting };
    return [this.#chunk(delta, null, { begins: true })];
  }

  text(text: string): readonly string[] {
    return [this.#chunk(this.#delta(this.#vendor.delta?.(text) ?? { content: text }), null)];
  }

  toolFragment(fragment: ToolCallDelta): readonly string[] {
    return [this.#chunk(this.#delta({ tool_calls: [fragment] }), null)];
  }

  finish(finish: Finish, completionTokens: number): readonly string[] {
    const { promptTokens, firstTokenMs, tokenDelayMs, includeUsage } = this.#facts;
    const seconds = (completionTokens * tokenDelayMs) / 1000;
    const queueSeconds = firstTokenMs / 2000;
    const usage = {
      queue_time: queueSeconds,
      prompt_time: queueSeconds,
      completion_time: seconds,
      total_time: queueSeconds + seconds,
      ...usageOf(promptTokens, completionTokens),
    };
    const reason = finish === "stop" ? (this.#vendor.stop ?? finish) : finish;
    const last = this.#chunk({}, reason, { usage, seconds });
    if (this.#vendor.usage === "last chunk" || !includeUsage) return [last];
    return [last, data({ ...this.#envelope(), choices: [], usage })];
  }

  lastWord(): readonly string[] {
    return ["data: [DONE]"];
  }

  error(fault: Extract<ModelFault, { kind: "streamError" }>): readonly string[] {
    const usual = toolUseFailed('{"name": "book", "arguments": {').body.error;
    const message = fault.message ?? usual.message;
    const error = { ...usual, message, code: fault.code ?? usual.code };
    if (fault.form === "data") return [data({ error })];
    if (fault.form === "event") return [`event: error\ndata: ${JSON.stringify({ error })}`];
    const x_groq = { id: this.#facts.requestId, error: message };
    return [data({ ...this.#envelope(), choices: [choice({}, null)], x_groq })];
  }

  #delta(fields: object): object {
    return this.#vendor.roleOnEveryDelta === true ? { role: "assistant", ...fields } : fields;
  }

  #chunk(delta: object, finish: string | null, differs: Partial<ChunkFacts> = {}): string {
    const { requestId, includeUsage, isObfuscated: obfuscated } = this.#facts;
    const facts = { begins: false, requestId, usage: null, seconds: 0, obfuscated, ...differs };
    const inLast = this.#vendor.usage === "last chunk" && facts.usage !== null;
    return data({
      ...this.#envelope(),
      choices: [choice(delta, finish)],
      // OpenAI's rule: with include_usage every chunk but one says null.
      ...(inLast ? { usage: facts.usage } : includeUsage && { usage: null }),
      ...this.#vendor.chunk(facts),
    });
  }

  #envelope(): object {
    const { id, model, unixMs } = this.#facts;
    return { id, object: "chat.completion.chunk", created: Math.floor(unixMs() / 1000), model };
  }
}

function choice(delta: object, finish: string | null): object {
  return { index: 0, delta, logprobs: null, finish_reason: finish };
}

function usageOf(promptTokens: number, completionTokens: number) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

function data(payload: object): string {
  return `data: ${JSON.stringify(payload)}`;
}
