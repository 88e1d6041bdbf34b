/**
 * Which failures of the model are worth asking once more for, and how. A caller is waiting meanwhile: only
 * where the second answer is likely to be another one, and soon.
 */
import type { LumentraError } from "#runtime/errors";

/** Per reply. Each costs the caller another wait for a first token; a second failure is an outage. */
export const MAX_RETRIES = 1;
/** Longest wait for the account's limit. Told a longer one we would be refused again: no retry then. */
export const RETRY_WAIT_MAX_MS = 1_000;

export interface Retry {
  readonly waitMs: number;
  /** It shall answer in words. */
  readonly withoutTools: boolean;
}

/** Null: asking again would not help. */
export function retryAfter(error: LumentraError): Retry | null {
  if (isOfTools(error)) return { waitMs: 0, withoutTools: true };
  if (error.code !== "LLM_RATE_LIMITED") return null;
  const told = error.detail["retryAfterMs"];
  const waitMs = typeof told === "number" ? told : RETRY_WAIT_MAX_MS;
  return waitMs <= RETRY_WAIT_MAX_MS ? { waitMs, withoutTools: false } : null;
}

/** Per reply. A second model that breaks off as well leaves a caller who has waited twice. */
export const MAX_CONTINUATIONS = 2;

/** The model began to answer and could not end: another, or it itself, may go on from there. */
export function isBreak(error: LumentraError): boolean {
  if (isOfTools(error)) return true;
  return /^LLM_(CONNECT_FAILED|TIMEOUT|STREAM_BROKEN|PROTOCOL_ERROR|RATE_LIMITED)$/.test(error.code);
}

/** The model cannot write the call it wants. */
export function isOfTools({ code }: LumentraError): boolean {
  return code === "LLM_TOOL_USE_FAILED";
}
