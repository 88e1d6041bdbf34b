/**
 * What is wrong, from the error objects of OpenAI-style servers: as an answer with a status, or inside a
 * stream without one, in any of the places servers put them.
 */
import type { LumentraError } from "#runtime/errors";
import { type FailureDetail, type Failures, reasonOfStatus, retryAfterMs } from "../failures.js";
import type { HttpAnswer } from "../http-transport.js";
import { type Fields, fieldsOf, parseFields, wordOf } from "./json-fields.js";

/** In place of a status, for an error in the stream that has none. */
const IN_STREAM = 0;
/** Groq's `x_groq.error` is a sentence without a code; these are the ones about tool calls. */
const TOOL_USE_FAILED = /tool call validation failed|failed to call a function|did not call a tool/i;

/** Servers of one's own say so in words alone. */
const TOO_LONG = /maximum context length|context length exceeded|exceeds the context/i;

/** Of a request that was answered with an error status. */
export function errorOfAnswer(answer: HttpAnswer, failures: Failures, unixMs: number): LumentraError {
  // Most wrap the object once, some do not.
  const body = parseFields(answer.text);
  const found = body?.["error"] ?? body;
  const waitMs = retryAfterMs(answer.headers["retry-after"], unixMs);
  const requestId = answer.headers["x-request-id"];
  return errorOf(answer.status, found, wordOf(found) || answer.text, failures, {
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    ...(typeof requestId === "string" ? { requestId } : {}),
  });
}

/** Of a chunk, or null when nothing is wrong with it. `eventName` is the SSE event's. */
export function errorInChunk(eventName: string, chunk: Fields, failures: Failures): LumentraError | null {
  const found =
    chunk["error"] ??
    (chunk["x_groq"] as Fields | undefined)?.["error"] ??
    (eventName === "error" ? chunk : undefined);
  return found === undefined ? null : errorOf(statusIn(found), found, wordOf(found), failures, {});
}

function errorOf(
  status: number,
  error: unknown,
  text: string,
  failures: Failures,
  known: FailureDetail,
): LumentraError {
  const fields = fieldsOf(error);
  const message = typeof fields["message"] === "string" ? fields["message"] : text;
  const providerCode = wordOf(fields["code"]) || wordOf(fields["type"]);
  const hintMs = retryHintMs(message);
  const detail: FailureDetail = {
    ...(status === IN_STREAM ? {} : { status }),
    ...(hintMs === undefined ? {} : { retryAfterMs: hintMs }),
    ...known,
    providerCode,
    providerMessage: message,
  };
  if (providerCode === "tool_use_failed" || (providerCode === "" && TOOL_USE_FAILED.test(message))) {
    return failures.errorWithCode("LLM_TOOL_USE_FAILED", "could not read the tool call it wrote", detail);
  }
  // Groq answers 413 with a rate limit's code when one request alone is over the tokens per minute.
  if (providerCode === "rate_limit_exceeded") {
    return failures.error({ reason: "RATE_LIMITED", what: "is at its rate limit", detail });
  }
  if (providerCode === "context_length_exceeded" || status === 413 || TOO_LONG.test(message)) {
    return failures.errorWithCode("LLM_CONTEXT_TOO_LONG", "takes no conversation this long", detail);
  }
  if (status === IN_STREAM) {
    return failures.error({ reason: "STREAM_BROKEN", what: "gave up in a reply", detail });
  }
  const reason = reasonOfStatus(status, `${providerCode} ${message}`);
  return failures.error({ reason, what: `refused the request (${status})`, detail });
}

/** Inside a stream there is no status; some servers put one into the object. */
function statusIn(error: unknown): number {
  const fields = fieldsOf(error);
  const status = Number(fields["status_code"] ?? fields["status"] ?? fields["code"]);
  return status >= 400 && status < 600 ? status : IN_STREAM;
}

/** "Please try again in 5.289s", "in 2m59.56s": in bodies that come without the header. */
function retryHintMs(message: string): number | undefined {
  const hint = /try again in (?:(\d+)m)?(\d+(?:\.\d+)?)(ms|s)/.exec(message);
  if (hint === null) return undefined;
  const [, minutes = "0", amount = "0", unit] = hint;
  return Math.ceil(Number(minutes) * 60_000 + Number(amount) * (unit === "s" ? 1_000 : 1));
}
