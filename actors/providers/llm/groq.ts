/**
 * Language models by Groq, or by anything that speaks the OpenAI-style chat API: `groq-sdk` writes the
 * request and names what is wrong with an answer; HttpTransport carries it; Generation reads the stream.
 *
 * The SDK's own retries, time-outs, stream reader and console logging are off: an aborted stream ends
 * there as if it were complete, and a missing `[DONE]` goes unnoticed.
 */
import Groq, { APIError } from "groq-sdk";
import type {
  ChatCompletionCreateParamsStreaming,
  ChatCompletionMessageParam,
} from "groq-sdk/resources/chat/completions";
import type { Clock } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failures } from "../failures.js";
import type { Network } from "../network.js";
import type { GroqSettings } from "../settings.js";
import { Generation } from "./generation.js";
import { HttpTransport, SINK } from "./http-transport.js";
import type { LlmEvents, LlmMessage, LlmProvider, LlmRequest, LlmStream } from "./provider.js";

/** The SDK arms a timer of its own until the answer's headers; our deadlines are shorter and clear it. */
const SDK_TIMEOUT_MS = 600_000;
/** A connection unused this long is used once more, so that no server or NAT on the way forgets it. */
const REFRESH_INTERVAL_MS = 50_000;
/** The request that opens a connection ahead is given up after this. */
const WARM_TIMEOUT_MS = 5_000;

export interface GroqDeps {
  readonly settings: GroqSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

export class GroqProvider implements LlmProvider, Due {
  readonly name = "groq";
  dueAtMs = NEVER;
  readonly #deps: GroqDeps;
  readonly #transport: HttpTransport;
  readonly #client: Groq;
  readonly #running = new Set<Generation>();
  #warming: Promise<void> | null = null;
  #abandonWarming: (() => void) | null = null;
  #closed = false;

  constructor(deps: GroqDeps) {
    this.#deps = deps;
    const { apiKey, url, requestsMax, connectTimeoutMs } = deps.settings;
    const origin = url.replace(/\/+$/, "");
    // One socket more than requests, for keeping warm.
    this.#transport = new HttpTransport(origin, requestsMax + 1, connectTimeoutMs, deps.network);
    this.#client = new Groq({
      apiKey,
      baseURL: origin,
      maxRetries: 0,
      timeout: SDK_TIMEOUT_MS,
      logLevel: "off",
      fetch: this.#transport.fetch,
    });
  }

  get usage(): number {
    return this.#running.size / this.#deps.settings.requestsMax;
  }

  generate(request: LlmRequest, events: LlmEvents): LlmStream {
    const { settings, failures, clock, sweep, log } = this.#deps;
    const generation = new Generation(request.callId, events, {
      settings,
      failures,
      clock,
      sweep,
      log,
      onEnded: (ended) => void this.#running.delete(ended),
    });
    if (this.#closed) {
      generation.failSoon({ reason: "CLOSED", what: "is closed on this shard" });
    } else if (this.#running.size >= settings.requestsMax) {
      generation.failSoon({ reason: "OVERFLOW", what: "already runs as many requests as we allow" });
    } else {
      this.#running.add(generation);
      this.#send(request, generation);
    }
    return generation;
  }

  /** Opens a connection by asking for the list of models: small, free, and it tells whether the key is good. */
  warm(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.dueAtMs === NEVER) {
      this.dueAtMs = this.#deps.clock.nowMs() + REFRESH_INTERVAL_MS;
      this.#deps.sweep.add(this);
    }
    this.#warming ??= this.#touch().finally(() => {
      this.#warming = null;
    });
    return this.#warming;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#deps.sweep.remove(this);
    this.dueAtMs = NEVER;
    await Promise.resolve(); // no event runs inside a call of theirs
    for (const generation of this.#running) {
      generation.fail({ reason: "CLOSED", what: "is closed on this shard" });
    }
    this.#abandonWarming?.();
    await this.#transport.close();
  }

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + REFRESH_INTERVAL_MS;
    if (this.#running.size === 0) void this.warm();
  }

  #send(request: LlmRequest, generation: Generation): void {
    const fetchOptions = { [SINK]: generation } as NonNullable<Groq.RequestOptions["fetchOptions"]>;
    this.#client.chat.completions
      .create(bodyOf(request), { fetchOptions })
      .asResponse()
      .catch((error: unknown) => generation.onRequestFailed(error));
  }

  async #touch(): Promise<void> {
    const answered = this.#client.models
      .list()
      .asResponse()
      .then(() => undefined)
      .catch((error: unknown) => {
        const status = error instanceof APIError ? error.status : undefined;
        if (!this.#closed)
          this.#deps.log.warn({ provider: this.name, status }, "could not warm a connection");
      });
    const abandoned = new Promise<void>((resolve) => {
      const timer = this.#deps.clock.setTimer(WARM_TIMEOUT_MS, resolve);
      this.#abandonWarming = () => {
        timer.cancel();
        resolve();
      };
    });
    await Promise.race([answered, abandoned]);
    this.#abandonWarming?.();
    this.#abandonWarming = null;
    // The pool takes a connection for free a turn of the event loop after its answer has ended.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

type Body = ChatCompletionCreateParamsStreaming;

/** Of the protocol, though not of the SDK's types. */
const USAGE_PLEASE = { stream_options: { include_usage: true } };

function bodyOf(request: LlmRequest): Body {
  const { model, messages, tools, temperature, maxOutputTokens, callId } = request;
  return {
    model,
    stream: true,
    ...USAGE_PLEASE,
    messages: messages.map(messageOf),
    temperature,
    max_completion_tokens: maxOutputTokens,
    // For the provider's logs; a call is nobody's name.
    user: callId,
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, parameters }) => ({
            type: "function" as const,
            function: { name, description, parameters: { ...parameters } },
          })),
        }),
    ...reasoningOf(model),
  };
}

/** Thinking costs the caller a silence; where a model lets us, it thinks as little as it can. */
function reasoningOf(model: string): Partial<Pick<Body, "reasoning_effort">> {
  if (model.includes("gpt-oss")) return { reasoning_effort: "low" };
  if (model.includes("qwen3")) return { reasoning_effort: "none" };
  return {};
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
