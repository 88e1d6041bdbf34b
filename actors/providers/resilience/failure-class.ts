/** What a failure says about the provider behind it: whether others should stay away, wait, or not care. */
import type { ErrorCode, LumentraError } from "#runtime/errors";

/**
 * - `fault`: it is ill: unreachable, stalled, broken off, talking nonsense. Enough of these open its breaker.
 * - `denied`: the account's key is not good. No call's luck: the breaker opens at the first.
 * - `limited`: it is well and has had enough of us. The budget shrinks; the breaker does not move.
 * - `own`: this request's fault, or ours (a wrong model, a filtered answer, a full pool). Says nothing of it.
 */
export type FailureClass = "fault" | "denied" | "limited" | "own";

const CLASS_OF_REASON: Readonly<Record<string, FailureClass>> = {
  CONNECT_FAILED: "fault",
  TIMEOUT: "fault",
  STREAM_BROKEN: "fault",
  PROTOCOL_ERROR: "fault",
  UNAUTHORIZED: "denied",
  RATE_LIMITED: "limited",
};

export function classOfFailure(code: ErrorCode): FailureClass {
  return CLASS_OF_REASON[code.replace(/^(STT|LLM|TTS)_/, "")] ?? "own";
}

/** What the provider said how long to wait, if it did. */
export function toldWaitMs(error: LumentraError): number | null {
  const told = error.detail["retryAfterMs"];
  return typeof told === "number" ? told : null;
}
