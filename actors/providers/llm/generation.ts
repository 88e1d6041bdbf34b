/**
 * One streamed reply of a model: reads the chunks, keeps the deadlines, ends once.
 *
 * Stages: asked (no token yet) -> speaking (tokens come) -> settled (done, failed or cancelled).
 *
 * Invariants:
 * G1  After `cancel()`, `onDone` or `onError` no event fires.
 * G2  `onDone` comes only after `[DONE]`: a stream that ends without it was cut, however complete it looks.
 * G3  No event runs synchronously inside `generate` or `cancel`.
 * G4  Every way out but `[DONE]` closes the socket: the rest of the answer is still on its way on it.
 */
import { APIError } from "groq-sdk";
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import { type Failure, type Failures, systemCode } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { GroqSettings } from "../settings.js";
import { errorInChunk, errorOfAnswer } from "./groq-errors.js";
import type { Exchange, ResponseSink } from "./http-transport.js";
import type { LlmEvents, LlmStream, LlmUsage } from "./provider.js";
import { SseParser, type SseSink } from "./sse-parser.js";
import { ToolCallAssembler } from "./tool-calls.js";

/** After `[DONE]` the answer ends within a round trip and its socket is free for the next; else it is closed. */
const END_GRACE_MS = 1_000;

export interface GenerationDeps {
  readonly settings: GroqSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  /** Told once, when its socket is free or closed. */
  readonly onEnded: (generation: Generation) => void;
}

type Fields = Readonly<Record<string, unknown>>;

export class Generation implements LlmStream, ResponseSink, SseSink, Due {
  dueAtMs: number;
  readonly #callId: string;
  readonly #events: LlmEvents;
  readonly #deps: GenerationDeps;
  readonly #parser = new SseParser(this);
  #toolCalls: ToolCallAssembler | null = null;
  #exchange: Exchange | null = null;
  #stage: "asked" | "speaking" | "settled" = "asked";
  /** Settled, and the socket is free or closed. */
  #released = false;
  #finishReason = "";
  #usage: LlmUsage | null = null;

  constructor(callId: string, events: LlmEvents, deps: GenerationDeps) {
    this.#callId = callId;
    this.#events = events;
    this.#deps = deps;
    this.dueAtMs = deps.clock.nowMs() + deps.settings.firstTokenTimeoutMs;
    deps.sweep.add(this);
  }

  cancel(): void {
    this.#settle();
    this.#release();
  }

  fail(failure: Failure): void {
    if (this.#stage !== "settled") this.#failWith(this.#deps.failures.error(failure));
  }

  /** On a later tick (G3). */
  failSoon(failure: Failure): void {
    queueMicrotask(() => this.fail(failure));
  }

  // ResponseSink

  onExchange(exchange: Exchange): void {
    this.#exchange = exchange;
    if (this.#stage === "settled") exchange.abort(); // cancelled before the SDK got round to asking
  }

  onResponseData(chunk: Buffer): void {
    if (this.#stage !== "settled") this.#parser.push(chunk);
  }

  onResponseEnd(): void {
    this.#exchange = null;
    if (this.#stage === "settled") this.#release();
    else this.fail({ reason: "STREAM_BROKEN", what: "ended a reply without saying that it is done" });
  }

  onResponseBroken(error: Error): void {
    this.#exchange = null;
    if (this.#stage === "settled") {
      this.#release();
      return;
    }
    const code = systemCode(error);
    const reason = code.startsWith("HPE_") ? "PROTOCOL_ERROR" : "STREAM_BROKEN";
    this.fail({ reason, what: `broke off in a reply (${code})`, detail: { systemCode: code } });
  }

  /** No answer to stream: refused, or not reached. */
  onRequestFailed(error: unknown): void {
    this.#exchange = null;
    if (this.#stage === "settled") {
      this.#release();
      return;
    }
    if (error instanceof APIError && error.status !== undefined) {
      this.#failWith(errorOfAnswer(error, this.#deps.failures, this.#deps.clock.unixMs()));
      return;
    }
    const code = systemCode(error instanceof Error && error.cause !== undefined ? error.cause : error);
    const timedOut = code === "UND_ERR_CONNECT_TIMEOUT";
    this.fail({
      reason: timedOut ? "TIMEOUT" : "CONNECT_FAILED",
      what: timedOut ? "did not open a connection in time" : `could not be reached (${code})`,
      detail: { phase: "connect", systemCode: code },
    });
  }

  // SseSink

  onSseEvent(name: string, data: string): void {
    try {
      this.#readEvent(name, data);
    } catch (error) {
      this.#logThrown(error);
    }
  }

  #readEvent(name: string, data: string): void {
    if (data.startsWith("[DONE]")) {
      this.#finish();
      return;
    }
    let chunk: unknown;
    try {
      chunk = JSON.parse(data);
    } catch {
      chunk = null;
    }
    if (typeof chunk !== "object" || chunk === null) {
      this.fail({ reason: "PROTOCOL_ERROR", what: "sent a chunk that is not a JSON object" });
      return;
    }
    const failed = errorInChunk(name, chunk as Fields, this.#deps.failures);
    if (failed !== null) {
      this.#failWith(failed);
      return;
    }
    this.#readChunk(chunk as Fields);
  }

  onSseOverflow(): void {
    this.fail({ reason: "PROTOCOL_ERROR", what: "sent an event longer than any of its protocol" });
  }

  // Due

  onDue(): void {
    if (this.#stage === "settled") {
      this.#release();
      return;
    }
    const phase = this.#stage === "asked" ? "firstEvent" : "betweenEvents";
    const what = phase === "firstEvent" ? "did not begin its reply in time" : "stalled in its reply";
    this.fail({ reason: "TIMEOUT", what, detail: { phase } });
  }

  #readChunk(chunk: Fields): void {
    const usage = usageOf(chunk["usage"]) ?? usageOf((chunk["x_groq"] as Fields | undefined)?.["usage"]);
    if (usage !== null) this.#usage = usage;
    const choices = chunk["choices"] as readonly Fields[] | null | undefined;
    const choice = Array.isArray(choices) ? (choices[0] as Fields | undefined) : undefined;
    if (choice === undefined) return;
    const finish = choice["finish_reason"];
    if (typeof finish === "string") this.#finishReason = finish;
    const delta = choice["delta"] as Fields | null | undefined;
    if (typeof delta !== "object" || delta === null) return;
    this.#noteProgress(delta);
    if (Array.isArray(delta["tool_calls"])) this.#addToolCalls(delta["tool_calls"]);
    const text = delta["content"];
    if (typeof text === "string" && text !== "" && this.#stage !== "settled") {
      this.#events.onText(text);
    }
  }

  /** A chunk with nothing but a role is the server's greeting, not the model's first token. */
  #noteProgress(delta: Fields): void {
    const { content, reasoning, reasoning_content, tool_calls } = delta;
    if (!content && !reasoning && !reasoning_content && !tool_calls && this.#finishReason === "") return;
    if (this.#stage === "asked") this.#stage = "speaking";
    this.dueAtMs = this.#deps.clock.nowMs() + this.#deps.settings.betweenTokensTimeoutMs;
  }

  #addToolCalls(fragments: readonly unknown[]): void {
    this.#toolCalls ??= new ToolCallAssembler();
    for (const fragment of fragments) {
      if (this.#toolCalls.add(fragment)) continue;
      this.fail({ reason: "PROTOCOL_ERROR", what: "wrote tool calls past any sensible size" });
      return;
    }
  }

  /** G2. */
  #finish(): void {
    if (this.#stage === "settled") return;
    if (this.#finishReason === "content_filter") {
      this.fail({
        reason: "REJECTED",
        what: "filtered its own reply",
        detail: { providerCode: "content_filter" },
      });
      return;
    }
    const cut = this.#finishReason === "length";
    const calls = this.#toolCalls?.finish(cut, `call_${this.#deps.clock.unixMs().toString(36)}_`) ?? [];
    for (const call of calls) {
      this.#events.onToolCall(call);
      if (this.#isSettled) return; // G1: cancelled by the handler
    }
    const finish = cut ? "length" : calls.length > 0 ? "toolCalls" : "stop";
    this.#settle();
    this.dueAtMs = this.#deps.clock.nowMs() + END_GRACE_MS;
    this.#events.onDone(finish, this.#usage);
  }

  /** Asked anew after each handler: it may have cancelled. */
  get #isSettled(): boolean {
    return this.#stage === "settled";
  }

  #failWith(error: LumentraError): void {
    if (this.#stage === "settled") return;
    this.#settle();
    this.#release();
    try {
      this.#events.onError(error);
    } catch (thrown) {
      this.#logThrown(thrown);
    }
  }

  /** G1. */
  #settle(): void {
    this.#stage = "settled";
    this.#parser.stop();
    this.#toolCalls = null;
  }

  /** G4. */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#exchange?.abort();
    this.#exchange = null;
    this.#deps.onEnded(this);
  }

  /** A handler's fault is its call's: other calls' deadlines and sockets must not feel it. */
  #logThrown(error: unknown): void {
    logThrown(this.#deps.log, "groq", this.#callId, error);
  }
}

function usageOf(value: unknown): LlmUsage | null {
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = (value ?? {}) as Fields;
  if (typeof inputTokens !== "number" || typeof outputTokens !== "number") return null;
  return { inputTokens, outputTokens };
}
