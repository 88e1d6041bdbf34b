/**
 * Reads the events of Anthropic's Messages. A message is a row of blocks, text or a tool's use, each begun,
 * filled by deltas and ended; `message_delta` brings why it stopped, `message_stop` is the last word.
 *
 * Kinds of events and deltas that are not ours to know are passed over, as the API asks of its readers.
 */
import type { LumentraError } from "#runtime/errors";
import type { Failures } from "../failures.js";
import type { Reply, ReplyReader } from "./dialect.js";
import { type Fields, fieldsOf, parseFields } from "./json-fields.js";

export class AnthropicReply implements ReplyReader {
  readonly #reply: Reply;
  readonly #errorOf: (error: unknown, failures: Failures) => LumentraError;
  #stopReason = "";
  #inputTokens = 0;
  #outputTokens = 0;

  constructor(reply: Reply, errorOf: (error: unknown, failures: Failures) => LumentraError) {
    this.#reply = reply;
    this.#errorOf = errorOf;
  }

  read(name: string, data: string): void {
    if (name === "ping") return;
    const event = parseFields(data);
    if (event === null) {
      this.#reply.fail({ reason: "PROTOCOL_ERROR", what: "sent an event that is not a JSON object" });
      return;
    }
    switch (event["type"]) {
      case "content_block_delta":
        this.#readDelta(event["index"], fieldsOf(event["delta"]));
        return;
      case "content_block_start":
        this.#readStart(event["index"], fieldsOf(event["content_block"]));
        return;
      case "message_start":
        this.#noteUsage(fieldsOf(fieldsOf(event["message"])["usage"]));
        return;
      case "message_delta":
        this.#readMessageDelta(fieldsOf(event["delta"]));
        this.#noteUsage(fieldsOf(event["usage"]));
        return;
      case "message_stop":
        this.#finish();
        return;
      case "error":
        this.#reply.failWith(this.#errorOf(event["error"], this.#reply.failures));
        return;
    }
  }

  #readDelta(index: unknown, delta: Fields): void {
    this.#reply.progress();
    const { text, partial_json: json } = delta;
    if (delta["type"] === "text_delta" && typeof text === "string") this.#reply.text(text);
    else if (delta["type"] === "input_json_delta") {
      this.#reply.toolFragment({ index, function: { arguments: json } });
    }
  }

  #readStart(index: unknown, block: Fields): void {
    if (block["type"] !== "tool_use") return;
    this.#reply.progress();
    const { id, name, input } = block;
    // Deltas bring the input; a server that has it at once puts it here, whole.
    const whole = Object.keys(fieldsOf(input)).length > 0 ? { arguments: input } : {};
    this.#reply.toolFragment({ index, id, function: { name, ...whole } });
  }

  #readMessageDelta({ stop_reason: stopReason }: Fields): void {
    if (typeof stopReason !== "string") return;
    this.#stopReason = stopReason;
    this.#reply.progress();
  }

  /** Output tokens are counted up: the last word stands. What was read from a cache was read all the same. */
  #noteUsage(usage: Fields): void {
    const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens } = usage;
    if (typeof input_tokens === "number") {
      this.#inputTokens =
        input_tokens + numberOr0(cache_read_input_tokens) + numberOr0(cache_creation_input_tokens);
    }
    if (typeof output_tokens !== "number") return;
    this.#outputTokens = output_tokens;
    this.#reply.usage = { inputTokens: this.#inputTokens, outputTokens: this.#outputTokens };
  }

  #finish(): void {
    if (this.#stopReason === "refusal") {
      const detail = { providerCode: "refusal" };
      this.#reply.fail({ reason: "REJECTED", what: "refused to go on with its reply", detail });
      return;
    }
    const isCut = this.#stopReason === "max_tokens" || this.#stopReason === "model_context_window_exceeded";
    this.#reply.finish(isCut);
  }
}

function numberOr0(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
