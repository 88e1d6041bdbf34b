/**
 * What sets the servers apart on the wire. The engine behind them (rules, scripts, latencies, faults, limits) is
 * one; a `ModelWire` reads a vendor's requests into its form, and writes its answers in the vendor's.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { ModelRefusal } from "./errors.js";
import type { ModelFault } from "./faults.js";
import type { ToolCallDelta, WholeToolCall } from "./reply.js";
import type { ChatRequest } from "./request.js";

export type Finish = "stop" | "length" | "tool_calls";

/** Of one answer. */
export interface AnswerFacts {
  readonly id: string;
  readonly requestId: string;
  readonly model: string;
  readonly promptTokens: number;
  readonly includeUsage: boolean;
  /** OpenAI pads its chunks, unless told not to. */
  readonly isObfuscated: boolean;
  readonly firstTokenMs: number;
  readonly tokenDelayMs: number;
  /** Wall clock, as the answer is written. */
  readonly unixMs: () => number;
}

/** The events of one streamed answer, each as its lines, without the blank one at its end. */
export interface StreamWriter {
  /** Before anything else. */
  begin(): readonly string[];
  text(text: string): readonly string[];
  toolFragment(delta: ToolCallDelta): readonly string[];
  finish(finish: Finish, completionTokens: number): readonly string[];
  /** That nothing is missing: left out by `missingDone`. */
  lastWord(): readonly string[];
  error(fault: Extract<ModelFault, { kind: "streamError" }>): readonly string[];
}

export interface ModelWire {
  readonly chatPath: string;
  readonly modelsPath: string;
  /** Ways of writing that others show only as faults. @default none */
  readonly habits?: readonly ModelFault[];
  isAuthorised(headers: IncomingHttpHeaders, apiKey: string): boolean;
  parse(body: string, headers: IncomingHttpHeaders): ChatRequest | ModelRefusal;
  stream(facts: AnswerFacts): StreamWriter;
  whole(
    facts: AnswerFacts,
    text: string,
    calls: readonly WholeToolCall[],
    finish: Finish,
    tokens: number,
  ): object;
  models(): object;
  /** Body of a refusal. */
  refused(refusal: ModelRefusal, requestId: string): object;
  /** On every answer: its id, and what is left of the limits, as Groq names them, where the vendor tells. */
  headers(requestId: string, limits: Readonly<Record<string, string>>): Readonly<Record<string, string>>;
}
