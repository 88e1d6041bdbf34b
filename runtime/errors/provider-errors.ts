/**
 * Errors of the providers: the same kinds of failure for recognisers, language models and voices, a code for each, so that
 * whoever reads one knows which is gone.
 */
import type { ErrorDefinition } from "./definition.js";

/** `{}` stands for the provider. */
const FAILURES = {
  CONNECT_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The {} could not be reached, or answered a server error before it began.",
    remedy:
      "Nothing, once: the tenant's next provider is asked. If it stays, look at the vendor's status, and the way out of the network.",
  },
  UNAUTHORIZED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The {} does not accept our key, or the key may not use this model.",
    remedy: "Set a key that may, on the node; the message says whose.",
  },
  RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The {} is at the limit of our account; detail.retryAfterMs when it said for how long.",
    remedy: "Have the vendor raise it, or give tenants `fallbacks`; LUMENTRA_PROVIDER_LIMITS keeps below it.",
  },
  TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning:
      "The {} went quiet; detail.phase says whether at connect, before the first event or between two.",
    remedy:
      "Nothing, once: another is asked. If it stays, look at the vendor's status, and for strain in /metrics.",
  },
  STREAM_BROKEN: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The {} ended a stream before it was complete.",
    remedy: "Nothing, once: another goes on. If it stays, look at the vendor's status.",
  },
  PROTOCOL_ERROR: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "The {} sent something that is not its protocol.",
    remedy:
      "See whether its address is the right one; else the vendor has changed something: report it with the log's line.",
  },
  REJECTED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The {} refused what was asked: a model, a language or an option that it does not take.",
    remedy: "Mend what the tenant chose of it, as the message says (docs/TENANTS.md: `stt`, `llm`, `tts`).",
  },
  OVERFLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "More was asked of the {} than our own bound on what waits or runs at once.",
    remedy: "Add shards or nodes; docs/LIMITS.md has the bounds.",
  },
  UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "No {} of the tenant's list may be asked now: their breakers are open, or retries are used up.",
    remedy: "Look at the failures before it in the log; give the tenant `fallbacks` at another vendor.",
  },
  CLOSED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The {} was closed by us: this shard is ending.",
    remedy: "Nothing: its calls go on in another shard, or have ended.",
  },
} as const satisfies Record<string, ErrorDefinition>;

type Failure = keyof typeof FAILURES;

export const providerErrors = {
  ...failuresOf("STT", "recogniser"),
  ...failuresOf("LLM", "language model"),
  LLM_TOOL_USE_FAILED: {
    retryable: true,
    grpcStatus: "ABORTED",
    meaning: "The language model wrote a tool call that its own server could not read.",
    remedy:
      "Nothing, once: the reply is asked for again without tools. If it stays, choose a model that is good at them.",
  },
  LLM_CONTEXT_TOO_LONG: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The conversation is longer than the language model takes.",
    remedy: "Shorten the tenant's facts, or choose a model that takes more.",
  },
  ...failuresOf("TTS", "voice"),
} as const satisfies Record<string, ErrorDefinition>;

function failuresOf<Kind extends string>(
  kind: Kind,
  name: string,
): Readonly<Record<`${Kind}_${Failure}`, ErrorDefinition>> {
  const failures = Object.entries<ErrorDefinition>(FAILURES).map(([failure, definition]) => [
    `${kind}_${failure}`,
    { ...definition, meaning: definition.meaning.replace("{}", name) },
  ]);
  return Object.fromEntries(failures) as Record<`${Kind}_${Failure}`, ErrorDefinition>;
}
