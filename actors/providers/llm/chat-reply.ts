/**
 * Reads the chunks of OpenAI-style chat completions, in all the ways servers write them: usage in the last
 * chunk, in one of its own or in Groq's corner of it; `choices` empty or null; a role on every delta.
 */
import { errorInChunk } from "./chat-errors.js";
import type { Reply, ReplyReader } from "./dialect.js";
import { type Fields, parseFields } from "./json-fields.js";

export class ChatReply implements ReplyReader {
  readonly #reply: Reply;
  #finishReason = "";

  constructor(reply: Reply) {
    this.#reply = reply;
  }

  read(name: string, data: string): void {
    if (data.startsWith("[DONE]")) {
      this.#finish();
      return;
    }
    const chunk = parseFields(data);
    if (chunk === null) {
      this.#reply.fail({ reason: "PROTOCOL_ERROR", what: "sent a chunk that is not a JSON object" });
      return;
    }
    const failed = errorInChunk(name, chunk, this.#reply.failures);
    if (failed === null) this.#readChunk(chunk);
    else this.#reply.failWith(failed);
  }

  #readChunk(chunk: Fields): void {
    this.#noteUsage(chunk["usage"] ?? (chunk["x_groq"] as Fields | undefined)?.["usage"]);
    const choices = chunk["choices"] as readonly Fields[] | null | undefined;
    const choice = Array.isArray(choices) ? (choices[0] as Fields | undefined) : undefined;
    if (choice === undefined) return;
    const finish = choice["finish_reason"];
    if (typeof finish === "string") this.#finishReason = finish;
    const delta = choice["delta"] as Fields | null | undefined;
    if (typeof delta !== "object" || delta === null) return;
    this.#noteProgress(delta);
    if (Array.isArray(delta["tool_calls"])) {
      for (const fragment of delta["tool_calls"]) this.#reply.toolFragment(fragment);
    }
    const text = delta["content"];
    if (typeof text === "string") this.#reply.text(text);
  }

  /** A chunk with nothing but a role is the server's greeting, not the model's first token. */
  #noteProgress(delta: Fields): void {
    const { content, reasoning, reasoning_content, tool_calls } = delta;
    if (!content && !reasoning && !reasoning_content && !tool_calls && this.#finishReason === "") return;
    this.#reply.progress();
  }

  #noteUsage(value: unknown): void {
    const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = (value ?? {}) as Fields;
    if (typeof inputTokens === "number" && typeof outputTokens === "number") {
      this.#reply.usage = { inputTokens, outputTokens };
    }
  }

  #finish(): void {
    if (this.#finishReason === "content_filter") {
      const detail = { providerCode: "content_filter" };
      this.#reply.fail({ reason: "REJECTED", what: "filtered its own reply", detail });
      return;
    }
    this.#reply.finish(this.#finishReason === "length");
  }
}
