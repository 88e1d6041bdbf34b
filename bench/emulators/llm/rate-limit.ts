/** Requests and tokens in the last minute, and the headers that tell of them. */
import type { Clock } from "#runtime/actor";
import type { EmulatorLimits } from "../options.js";
import { type ModelRefusal, refusal } from "./errors.js";

const WINDOW_MS = 60_000;
/** The day's limit is only ever told, never reached: tests do not last a day. */
const REQUESTS_PER_DAY = 14_400_000;

interface Spent {
  readonly atMs: number;
  tokens: number;
}

export class RateLimit {
  readonly #clock: Clock;
  /** At most llmRequestsPerMinute long: those over the limit are refused and not kept. */
  #spent: Spent[] = [];
  #requestsToday = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a request of `tokens`, or says why it must wait. `settle` corrects the tokens afterwards. */
  admit(tokens: number, limits: EmulatorLimits): { settle(tokens: number): void } | ModelRefusal {
    const nowMs = this.#clock.nowMs();
    this.#forget(nowMs);
    if (tokens > limits.llmTokensPerMinute) {
      return refusal(413, {
        message: `Request too large for model on tokens per minute (TPM): Limit ${limits.llmTokensPerMinute}, Requested ${tokens}, please reduce your message size and try again.`,
      });
    }
    const used = this.#tokens();
    const overRequests = this.#spent.length >= limits.llmRequestsPerMinute;
    if (overRequests || used + tokens > limits.llmTokensPerMinute) {
      const waitMs = this.#spent.length === 0 ? WINDOW_MS : this.#spent[0]!.atMs + WINDOW_MS - nowMs;
      const what = overRequests
        ? `requests per minute (RPM): Limit ${limits.llmRequestsPerMinute}, Used ${this.#spent.length}, Requested 1.`
        : `tokens per minute (TPM): Limit ${limits.llmTokensPerMinute}, Used ${used}, Requested ${tokens}.`;
      return refusal(429, {
        type: overRequests ? "requests" : "tokens",
        message: `Rate limit reached for model in organization \`org_emulated\` on ${what} Please try again in ${(waitMs / 1000).toFixed(3)}s.`,
        retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
      });
    }
    const spent: Spent = { atMs: nowMs, tokens };
    this.#spent.push(spent);
    this.#requestsToday += 1;
    return {
      settle: (actual) => {
        spent.tokens = actual;
      },
    };
  }

  headers(limits: EmulatorLimits): Readonly<Record<string, string>> {
    const remainingTokens = Math.max(0, limits.llmTokensPerMinute - this.#tokens());
    const dayShare = this.#requestsToday / REQUESTS_PER_DAY;
    const tokenShare = 1 - remainingTokens / limits.llmTokensPerMinute;
    return {
      "x-ratelimit-limit-requests": String(REQUESTS_PER_DAY),
      "x-ratelimit-limit-tokens": String(limits.llmTokensPerMinute),
      "x-ratelimit-remaining-requests": String(Math.max(0, REQUESTS_PER_DAY - this.#requestsToday)),
      "x-ratelimit-remaining-tokens": String(remainingTokens),
      "x-ratelimit-reset-requests": duration(dayShare * 86_400),
      "x-ratelimit-reset-tokens": duration(tokenShare * 60),
    };
  }

  #tokens(): number {
    let sum = 0;
    for (const spent of this.#spent) sum += spent.tokens;
    return sum;
  }

  #forget(nowMs: number): void {
    const firstKept = this.#spent.findIndex((spent) => spent.atMs > nowMs - WINDOW_MS);
    if (firstKept === -1) this.#spent = [];
    else if (firstKept > 0) this.#spent.splice(0, firstKept);
  }
}

/** `2m59.56s`, `7.66s`, `120ms` */
function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  const minutes = Math.floor(seconds / 60);
  const rest = Number((seconds - minutes * 60).toFixed(2));
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
