import { inspect } from "node:util";
import t from "tap";
import { errorTable } from "#runtime/errors";
import { Failures, PROVIDER_MESSAGE_MAX_CHARS, reasonOfStatus, retryAfterMs } from "./failures.js";

const KEY = "sk_planted_0123456789";

/** Each of its requests was waited for and sent again, and its breaker stayed closed, as if it had been asked too often. */
void t.test("an account without money is no matter of waiting, whichever status tells of it", async (t) => {
  const quota = '{"error":{"message":"You exceeded your current quota.","code":"insufficient_quota"}}';
  t.equal(reasonOfStatus(429, quota), "UNAUTHORIZED");
  t.equal(reasonOfStatus(400, "Your credit balance is too low to access the API."), "UNAUTHORIZED");
  t.equal(reasonOfStatus(429, "Rate limit reached for requests"), "RATE_LIMITED");
  t.equal(reasonOfStatus(400, "max_tokens: must be positive"), "REJECTED");
});

void t.test("an HTTP status becomes the reason a caller would act on", async (t) => {
  const reasons = [400, 401, 402, 403, 404, 408, 429, 498, 500, 503, 504, 302].map((status) =>
    reasonOfStatus(status),
  );
  t.same(reasons, [
    "REJECTED",
    "UNAUTHORIZED",
    "UNAUTHORIZED",
    "UNAUTHORIZED",
    "REJECTED",
    "TIMEOUT",
    "RATE_LIMITED",
    "RATE_LIMITED",
    "CONNECT_FAILED",
    "CONNECT_FAILED",
    "TIMEOUT",
    "PROTOCOL_ERROR",
  ]);
});

void t.test("retry-after is read as seconds or as a date, and bounded", async (t) => {
  const nowUnixMs = Date.parse("2026-09-01T12:00:00Z");
  t.equal(retryAfterMs("2", nowUnixMs), 2_000);
  t.equal(retryAfterMs("0.5", nowUnixMs), 500);
  t.equal(retryAfterMs("Tue, 01 Sep 2026 12:00:30 GMT", nowUnixMs), 30_000);
  t.equal(retryAfterMs("-5", nowUnixMs), 0);
  t.equal(retryAfterMs("999999999", nowUnixMs), 600_000);
  for (const none of [undefined, "", "soon"]) t.equal(retryAfterMs(none, nowUnixMs), undefined);
});

void t.test("every kind and reason has its code in the table", async (t) => {
  const failures = new Failures("TTS", "cartesia", KEY, undefined);
  const { code, message, retryable } = failures.error({ reason: "STREAM_BROKEN", what: "closed (1006)" });
  t.same([code, message, retryable], ["TTS_STREAM_BROKEN", "cartesia closed (1006)", true]);
  t.ok(code in errorTable);
});

void t.test("neither the key nor the provider's own words stand outside pii", async (t) => {
  const seen: string[] = [];
  const failures = new Failures("LLM", "groq", KEY, (provider, code) => seen.push(`${provider} ${code}`));
  const error = failures.error({
    reason: "UNAUTHORIZED",
    what: "refused the request (401)",
    detail: {
      status: 401,
      providerCode: KEY,
      requestId: `req ${KEY}`,
      providerMessage: `Incorrect key ${KEY}; the caller said my name is Ada ${"x".repeat(500)}`,
    },
  });
  const { pii, ...rest } = error.detail;
  t.same(rest, { status: 401 });
  t.notMatch(inspect(error, { depth: null, showHidden: true }), KEY);
  const { providerMessage } = pii as { readonly providerMessage: string };
  t.match(providerMessage, /^Incorrect key \[key\]; the caller said/);
  t.equal(providerMessage.length, PROVIDER_MESSAGE_MAX_CHARS);
  t.same(seen, ["groq LLM_UNAUTHORIZED"], "and it was counted");
});

void t.test("a key astride the bound of the text leaves no half of itself", async (t) => {
  const failures = new Failures("STT", "deepgram", KEY, undefined);
  const providerMessage = "x".repeat(PROVIDER_MESSAGE_MAX_CHARS - 8) + KEY;
  const error = failures.error({ reason: "REJECTED", what: "refused", detail: { providerMessage } });
  t.notMatch(JSON.stringify(error.detail), KEY.slice(0, 8));
});
