/** Error bodies as Groq writes them. */

export interface ModelErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code?: string;
    /** With `tool_use_failed` and `json_validate_failed`: what the model wrote. */
    readonly failed_generation?: string;
  };
}

/** A refusal: status, body, and the seconds of a `retry-after` header (429 alone has one). */
export interface ModelRefusal {
  readonly status: number;
  readonly body: ModelErrorBody;
  readonly retryAfterSeconds?: number;
}

interface Usual {
  readonly type: string;
  readonly code?: string;
  readonly message: string;
}

/** What each status says when nobody asks for something else. */
const usual: Readonly<Record<number, Usual>> = {
  400: { type: "invalid_request_error", message: "The request was invalid." },
  401: { type: "invalid_request_error", code: "invalid_api_key", message: "Invalid API Key" },
  403: {
    type: "permissions_error",
    code: "permission_denied",
    message: "You do not have access to this resource.",
  },
  404: {
    type: "invalid_request_error",
    code: "model_not_found",
    message: "The model does not exist or you do not have access to it.",
  },
  413: {
    type: "tokens",
    code: "rate_limit_exceeded",
    message:
      "Request too large for model on tokens per minute (TPM): please reduce your message size and try again.",
  },
  422: { type: "invalid_request_error", message: "The request was well-formed but could not be followed." },
  424: { type: "invalid_request_error", code: "failed_dependency", message: "A remote dependency failed." },
  429: {
    type: "requests",
    code: "rate_limit_exceeded",
    message: "Rate limit reached on requests per minute (RPM).",
  },
  498: { type: "flex_tier_error", code: "capacity_exceeded", message: "Flex tier capacity exceeded." },
  500: { type: "internal_server_error", message: "Internal Server Error" },
  502: { type: "internal_server_error", message: "Bad Gateway" },
  503: {
    type: "internal_server_error",
    code: "service_unavailable",
    message: "Service Unavailable: overloaded.",
  },
};

/** The usual refusal for `status`, with what differs. */
export function refusal(
  status: number,
  differs: {
    message?: string;
    code?: string;
    type?: string;
    failedGeneration?: string;
    retryAfterSeconds?: number;
  } = {},
): ModelRefusal {
  const base = usual[status] ?? { type: "internal_server_error", message: `HTTP ${status}` };
  const code = differs.code ?? base.code;
  const retryAfterSeconds = differs.retryAfterSeconds ?? (status === 429 ? 2 : undefined);
  let message = differs.message ?? base.message;
  if (retryAfterSeconds !== undefined && !message.includes("Please try again")) {
    message += ` Please try again in ${retryAfterSeconds}s.`;
  }
  return {
    status,
    body: {
      error: {
        message,
        type: differs.type ?? base.type,
        ...(code === undefined ? {} : { code }),
        ...(differs.failedGeneration === undefined ? {} : { failed_generation: differs.failedGeneration }),
      },
    },
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

/** 400, as when the model's tool call does not fit. */
export function toolUseFailed(failedGeneration: string): ModelRefusal {
  return refusal(400, {
    code: "tool_use_failed",
    message:
      "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
    failedGeneration,
  });
}
