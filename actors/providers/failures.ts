/**
 * How providers fail, made into errors of the table in one place.
 *
 * F1  Neither a key nor what a caller said reaches a message or a field outside `pii`: texts of ours name
 *     the provider and what happened; texts of the provider's own go to `detail.pii.providerMessage`,
 *     bounded and with the key blotted out.
 * F2  The errors of client libraries are never attached: they carry request headers and bodies with them.
 */
import { type ErrorCode, LumentraError } from "#runtime/errors";

export type ProviderKind = "STT" | "LLM" | "TTS";

/** What every kind of provider can fail with; the code is `<kind>_<reason>`. */
export type FailureReason =
  | "CONNECT_FAILED"
  | "UNAUTHORIZED"
  | "RATE_LIMITED"
  | "TIMEOUT"
  | "STREAM_BROKEN"
  | "PROTOCOL_ERROR"
  | "REJECTED"
  | "OVERFLOW"
  | "CLOSED";

/** A failure before it is anybody's error: one socket's failure may end many streams. */
export interface Failure {
  readonly reason: FailureReason;
  /** Ours, a clause that follows the provider's name: `refused the connection (429)`. */
  readonly what: string;
  /** For logs; see `FailureDetail`. */
  readonly detail?: FailureDetail;
}

/** Facts of a failure. `providerMessage` is the provider's own text and is moved under `pii`. */
export interface FailureDetail {
  readonly phase?: "connect" | "firstEvent" | "betweenEvents";
  readonly status?: number;
  readonly retryAfterMs?: number;
  readonly closeCode?: number;
  /** A word of the provider's vocabulary (`NET-0001`, `rate_limit_exceeded`); dropped when it is not one word. */
  readonly providerCode?: string;
  readonly providerMessage?: string;
  readonly requestId?: string;
  /** Of the operating system or TLS: `ECONNREFUSED`. */
  readonly systemCode?: string;
}

/** Called for every failed stream and every failed dial: a counter by provider and code. */
export type ProviderErrorListener = (provider: string, code: ErrorCode) => void;

/** Longest text of a provider that is kept: enough for its sentence, not for an echo of a whole prompt. */
export const PROVIDER_MESSAGE_MAX_CHARS = 300;
/** Codes and ids of theirs that we print as they are. */
const ONE_WORD = /^[\w.:-]{1,64}$/;
/** A wait longer than this is a mistake or an attack on us; treat it as this. */
const RETRY_AFTER_MAX_MS = 600_000;

export class Failures {
  readonly #kind: ProviderKind;
  readonly #provider: string;
  readonly #apiKey: string;
  readonly #onError: ProviderErrorListener | undefined;

  constructor(
    kind: ProviderKind,
    provider: string,
    apiKey: string,
    onError: ProviderErrorListener | undefined,
  ) {
    this.#kind = kind;
    this.#provider = provider;
    this.#apiKey = apiKey;
    this.#onError = onError;
  }

  /** The error a stream ends with; counted. */
  error(failure: Failure): LumentraError {
    return this.errorWithCode(`${this.#kind}_${failure.reason}`, failure.what, failure.detail);
  }

  /** For codes that one kind of provider has alone. */
  errorWithCode(code: ErrorCode, what: string, detail: FailureDetail = {}): LumentraError {
    this.#onError?.(this.#provider, code);
    return new LumentraError(code, `${this.#provider} ${what}`, { detail: this.#safe(detail) });
  }

  /** A failure that no stream suffered from, such as a dial ahead of need. Returns what a log line needs. */
  count(failure: Failure): Readonly<Record<string, unknown>> {
    const code: ErrorCode = `${this.#kind}_${failure.reason}`;
    this.#onError?.(this.#provider, code);
    return { provider: this.#provider, code, ...this.#safe(failure.detail ?? {}) };
  }

  /** F1. */
  #safe(detail: FailureDetail): Readonly<Record<string, unknown>> {
    const { providerMessage, providerCode, requestId, ...plain } = detail;
    const safe: Record<string, unknown> = plain;
    if (providerCode !== undefined && this.#isSafeWord(providerCode)) safe["providerCode"] = providerCode;
    if (requestId !== undefined && this.#isSafeWord(requestId)) safe["requestId"] = requestId;
    if (providerMessage !== undefined) safe["pii"] = { providerMessage: this.#blot(providerMessage) };
    return safe;
  }

  #isSafeWord(word: string): boolean {
    return ONE_WORD.test(word) && (this.#apiKey === "" || !word.includes(this.#apiKey));
  }

  #blot(text: string): string {
    // Blotted before it is cut, else a key astride the cut would leave its first half.
    const blotted = this.#apiKey === "" ? text : text.split(this.#apiKey).join("[key]");
    return blotted.slice(0, PROVIDER_MESSAGE_MAX_CHARS);
  }
}

/** OpenAI answers 429 and Anthropic 400 where others say 402: the account is out of money, and no wait helps. */
const OUT_OF_MONEY = /\binsufficient_quota\b|exceeded your current quota|credit balance is too low/i;

/** What an HTTP status means, at a socket's handshake, as an answer or inside a message; `said`: the answer's words. */
export function reasonOfStatus(status: number, said = ""): FailureReason {
  if ((status === 429 || status === 400) && OUT_OF_MONEY.test(said)) return "UNAUTHORIZED";
  if (status === 401 || status === 402 || status === 403) return "UNAUTHORIZED";
  // 498: Groq's flex tier is out of capacity.
  if (status === 429 || status === 498) return "RATE_LIMITED";
  if (status === 408 || status === 504) return "TIMEOUT";
  if (status >= 500) return "CONNECT_FAILED";
  if (status >= 400) return "REJECTED";
  return "PROTOCOL_ERROR";
}

/** `retry-after` as seconds or a date, or undefined. */
export function retryAfterMs(header: string | undefined, unixMs: number): number | undefined {
  if (header === undefined || header === "") return undefined;
  const seconds = Number(header);
  const waitMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - unixMs;
  return Number.isFinite(waitMs) ? Math.min(Math.max(0, waitMs), RETRY_AFTER_MAX_MS) : undefined;
}

/** The code of a system or TLS error, without its message: that one may hold addresses and paths. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "UNKNOWN";
}
