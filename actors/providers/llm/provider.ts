/**
 * Language model: the one interface every model stands behind. Events arrive on the shard's thread,
 * never synchronously from inside `generate`. After `cancel()`, `onDone` or `onError` no event fires.
 */
import type { ErrorCode, LumentraError } from "#runtime/errors";

export interface LlmToolCall {
  readonly id: string;
  readonly name: string;
  /** As the model wrote it, put together from its fragments; `{}` when it wrote nothing. Not yet validated. */
  readonly argumentsJson: string;
}

export type LlmMessage =
  | { readonly role: "system" | "user"; readonly content: string }
  | { readonly role: "assistant"; readonly content: string; readonly toolCalls?: readonly LlmToolCall[] }
  | { readonly role: "tool"; readonly toolCallId: string; readonly content: string };

export interface LlmTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments, an object schema. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface LlmRequest {
  readonly callId: string;
  readonly model: string;
  readonly messages: readonly LlmMessage[];
  readonly tools: readonly LlmTool[];
  readonly temperature: number;
  readonly maxOutputTokens: number;
}

export interface LlmUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface LlmEvents {
  /** A piece of text, in order; the first call is the first token. Never empty. */
  onText(delta: string): void;
  /** A whole tool call; several may come. Always before `onDone`. */
  onToolCall(call: LlmToolCall): void;
  /** Terminal. `usage` is null when the server did not say. */
  onDone(finish: "stop" | "length" | "toolCalls", usage: LlmUsage | null): void;
  /** Another provider is asked, since this one failed with `code`; only of a chain of several. */
  onSwitched?(from: string, to: string, code: ErrorCode): void;
  /** Terminal. Codes: LLM_*. */
  onError(error: LumentraError): void;
}

export interface LlmStream {
  /** Idempotent; closes the request's socket. After `onDone` nothing: that socket serves the next request. */
  cancel(): void;
}

export interface LlmProvider {
  readonly name: string;
  generate(request: LlmRequest, events: LlmEvents): LlmStream;
  /** Share of what may run at once that runs now, 0 to 1. @default 0: it has no bound of its own */
  readonly usage?: number;
  /** Have a connection open and kept alive. */
  warm(): Promise<void>;
  close(): Promise<void>;
}
