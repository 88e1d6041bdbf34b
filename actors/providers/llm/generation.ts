/**
 * One streamed reply of a model: keeps the deadlines, ends once. What the events say is its dialect's reader's
 * to know, which tells it through `Reply`.
 *
 * Stages: asked (no token yet) -> speaking (tokens come) -> settled (done, failed or cancelled).
 *
 * Invariants:
 * G1  After `cancel()`, `onDone` or `onError` no event fires.
 * G2  `onDone` comes only after the protocol's own last word: a stream that ends without it was cut, however
 *     complete it looks.
 * G3  No event runs synchronously inside `generate` or `cancel`.
 * G4  Every way out but the last word closes the socket: the rest of the answer is still on its way on it.
 */
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import { type Failure, type Failures, systemCode } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { LlmSettings } from "../settings.js";
import type { LlmDialect, Reply, ReplyReader } from "./dialect.js";
import type { Exchange, HttpAnswer, ResponseSink } from "../http-transport.js";
import type { LlmEvents, LlmStream, LlmUsage } from "./provider.js";
import { SseParser, type SseSink } from "./sse-parser.js";
import { ToolCallAssembler } from "./tool-calls.js";

/** After its last word the answer ends within a round trip and its socket is free for the next; else it is closed. */
const END_GRACE_MS = 1_000;

export interface GenerationDeps {
  readonly settings: LlmSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  /** Told once, when its socket is free or closed. */
  readonly onEnded: (generation: Generation) => void;
}

export class Generation implements LlmStream, Reply, ResponseSink, SseSink, Due {
  dueAtMs: number;
  usage: LlmUsage | null = null;
  readonly failures: Failures;
  readonly #callId: string;
  readonly #events: LlmEvents;
  readonly #dialect: LlmDialect;
  readonly #deps: GenerationDeps;
  readonly #parser = new SseParser(this);
  readonly #reader: ReplyReader;
  #toolCalls: ToolCallAssembler | null = null;
  #exchange: Exchange | null = null;
  #stage: "asked" | "speaking" | "settled" = "asked";
  /** Settled, and the socket is free or closed. */
  #released = false;

  constructor(callId: string, events: LlmEvents, dialect: LlmDialect, deps: GenerationDeps) {
    this.#callId = callId;
    this.#events = events;
    this.#dialect = dialect;
    this.#deps = deps;
    this.failures = deps.failures;
    this.#reader = dialect.reader(this);
    this.dueAtMs = deps.clock.nowMs() + deps.settings.firstTokenTimeoutMs;
    deps.sweep.add(this);
  }

  cancel(): void {
    if (this.#stage === "settled") return; // the last word was said: its socket is about to be free
    this.#settle();
    this.#release();
  }

  /** On a later tick (G3). */
  failSoon(failure: Failure): void {
    queueMicrotask(() => this.fail(failure));
  }

  // ResponseSink

  onExchange(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  onResponseData(chunk: Buffer): void {
    if (this.#stage !== "settled") this.#parser.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#hasEnded()) return;
    this.fail({ reason: "STREAM_BROKEN", what: "ended a reply without saying that it is done" });
  }

  onResponseBroken(error: Error): void {
    if (this.#hasEnded()) return;
    const code = systemCode(error);
    const reason = code.startsWith("HPE_") ? "PROTOCOL_ERROR" : "STREAM_BROKEN";
    this.fail({ reason, what: `broke off in a reply (${code})`, detail: { systemCode: code } });
  }

  onRefused(answer: HttpAnswer): void {
    if (this.#hasEnded()) return;
    this.failWith(this.#dialect.errorOf(answer, this.failures, this.#deps.clock.unixMs()));
  }

  onUnanswered(error: Error): void {
    if (this.#hasEnded()) return;
    const code = systemCode(error);
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
      this.#reader.read(name, data);
    } catch (error) {
      this.#logThrown(error);
    }
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

  // Reply

  progress(): void {
    if (this.#stage === "settled") return;
    this.#stage = "speaking";
    this.dueAtMs = this.#deps.clock.nowMs() + this.#deps.settings.betweenTokensTimeoutMs;
  }

  text(delta: string): void {
    if (delta !== "" && this.#stage !== "settled") this.#events.onText(delta);
  }

  toolFragment(fragment: unknown): void {
    if (this.#stage === "settled") return;
    this.#toolCalls ??= new ToolCallAssembler();
    if (this.#toolCalls.add(fragment)) return;
    this.fail({ reason: "PROTOCOL_ERROR", what: "wrote tool calls past any sensible size" });
  }

  /** G2. */
  finish(cut: boolean): void {
    if (this.#stage === "settled") return;
    const calls = this.#toolCalls?.finish(cut, `call_${this.#deps.clock.unixMs().toString(36)}_`) ?? [];
    for (const call of calls) {
      this.#events.onToolCall(call);
      if (this.#isSettled) return; // G1: cancelled by the handler
    }
    this.#settle();
    this.dueAtMs = this.#deps.clock.nowMs() + END_GRACE_MS;
    this.#events.onDone(cut ? "length" : calls.length > 0 ? "toolCalls" : "stop", this.usage);
  }

  fail(failure: Failure): void {
    if (this.#stage !== "settled") this.failWith(this.failures.error(failure));
  }

  failWith(error: LumentraError): void {
    if (this.#stage === "settled") return;
    this.#settle();
    this.#release();
    try {
      this.#events.onError(error);
    } catch (thrown) {
      this.#logThrown(thrown);
    }
  }

  /** The answer is over. True when the reply was before it: the socket was all that it still held. */
  #hasEnded(): boolean {
    this.#exchange = null;
    if (this.#stage !== "settled") return false;
    this.#release();
    return true;
  }

  /** Asked anew after each handler: it may have cancelled. */
  get #isSettled(): boolean {
    return this.#stage === "settled";
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
    logThrown(this.#deps.log, this.#dialect.name, this.#callId, error);
  }
}
