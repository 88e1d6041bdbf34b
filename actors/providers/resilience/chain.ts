/** What the chains of all kinds have in common: when to try again, whom to ask last, and how it is counted. */
import { LumentraError } from "#runtime/errors";
import type { ProviderKind } from "../failures.js";
import type { Denial } from "./account.js";

/** What failed a call is asked last for this long: the call shall not meet the same trouble in its next breath. */
export const SHUN_MS = 10_000;

/**
 * So long room is waited for where nobody else is left: answers end within a second or two, and vendors that count by the
 * second say to wait no longer. The caller hears a filler meanwhile (FILLER_AFTER_MS); told a longer wait, nobody waits.
 */
export const ROOM_PATIENCE_MS = 3_000;

export interface ChainMetrics {
  /** `to` was asked because `from` failed. */
  fallback(from: string, to: string): void;
  /** `won`: the second was first; `lost`: its tokens were for nothing. */
  hedge(provider: string, result: "won" | "lost" | "failed"): void;
}

/**
 * The same provider at once: only where a connection broke, which may have been one server of many. A time-out has
 * cost the caller too much to risk another, and the rest would be answered the same.
 */
export function isWorthRetry(error: LumentraError): boolean {
  return /_(CONNECT_FAILED|STREAM_BROKEN)$/.test(error.code);
}

/** Nobody of the list could even be asked. */
export function unavailable(kind: ProviderKind, denial: Denial | null): LumentraError {
  const code = denial === "budget" ? (`${kind}_OVERFLOW` as const) : (`${kind}_UNAVAILABLE` as const);
  return new LumentraError(code, "no provider of the tenant's list may be asked now", { detail: { denial } });
}
