/**
 * Every error code there is, in one table; docs/ERRORS.md is checked against it by a test.
 *
 * Add a code when some caller would act differently on it; otherwise add detail to an existing one.
 * Codes are never reused: a retired one stays listed with `retired: true`.
 */

/** How gRPC reports the code; names as in google.rpc.Code. */
export type GrpcStatus =
  | "INVALID_ARGUMENT"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "RESOURCE_EXHAUSTED"
  | "DEADLINE_EXCEEDED"
  | "UNAVAILABLE"
  | "ABORTED"
  | "INTERNAL";

export interface ErrorDefinition {
  /** Whether doing the same again later may succeed. */
  readonly retryable: boolean;
  readonly grpcStatus: GrpcStatus;
  /** One line: what happened, from the point of view of whoever reads the log. */
  readonly meaning: string;
}

export const errorTable = {
  // settings and tenants
  SETTING_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "A setting is missing, unknown or out of range; the process does not start.",
  },
  TENANT_CONFIG_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The tenants file does not satisfy its schema; the last good version stays in force.",
  },
  PROVIDER_NOT_SET_UP: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning:
      "A tenant chose a provider for which this node has no key or address; the message names what to set.",
  },
  TENANT_QUARANTINED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The tenant's calls crashed what carries them: new ones get the overflow for a while.",
  },

  // runtime/media
  ARENA_HEADER_INVALID: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A shared buffer is not an arena of this version and shape.",
  },
  AUDIO_FORMAT_UNSUPPORTED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "An audio encoding or sample rate we cannot carry.",
  },

  // runtime/actor
  ACTOR_MAILBOX_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The actor's mailbox is at its bound; the message was not accepted.",
  },
  ACTOR_STOPPED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The actor is gone; the message was not accepted.",
  },
  ACTOR_ASK_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "The actor did not answer an ask before its deadline.",
  },

  // runtime/cluster
  SHARD_START_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A shard thread did not become ready in time.",
  },
  SHARD_LOST: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A shard thread died or was terminated by the watchdog; its requests are rejected.",
  },
  SHARD_ASK_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "A shard did not answer a request before its deadline.",
  },
  SHARD_ASKS_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "As many requests as may wait for a shard are waiting; this one was not sent.",
  },

  // bench/caller
  BENCH_MIX_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "A mix of callers, or an earlier result, could not be read; the message says what is wrong in it.",
  },
  CALLER_NODE_UNREACHABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The simulated phone found nobody listening where the node should be.",
  },
  CALLER_MARKUP_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The node answered the webhook with markup that a carrier would refuse.",
  },
  CALLER_CALL_ENDED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The simulated call was over before what the script wanted.",
  },
  CALLER_WAIT_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "What the simulated caller waited for did not happen in time.",
  },
  CALLER_BUSY: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "Too many utterances wait to be said by the simulated caller.",
  },

  // runtime/edge
  EDGE_LISTEN_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A port of the edge could not be opened: it is taken, or the address is not this machine's.",
  },
  EDGE_REQUEST_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "An HTTP request to the edge has a wrong path, method, type, size or form; the message says which.",
  },
  EDGE_REQUEST_FAILED: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "Answering an HTTP request threw; the log has the error.",
  },
  EDGE_SIGNATURE_INVALID: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "A carrier's signature is missing or wrong, or an unsigned request did not come from loopback.",
  },
  EDGE_SOCKETS_EXHAUSTED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The carriers' port has as many connections as it may; this one was closed unread.",
  },
  MEDIA_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The token of a media socket is forged, expired, used before or for another carrier.",
  },

  // actors/providers
  STT_CONNECT_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The recogniser could not be reached, or answered a server error before it began.",
  },
  STT_UNAUTHORIZED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The recogniser does not accept our key, or the key may not use this model.",
  },
  STT_RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The recogniser is at the limit of our account; detail.retryAfterMs when it said for how long.",
  },
  STT_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning:
      "The recogniser went quiet; detail.phase says whether at connect, before the first event or between two.",
  },
  STT_STREAM_BROKEN: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The recogniser ended a stream before it was complete.",
  },
  STT_PROTOCOL_ERROR: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "The recogniser sent something that is not its protocol.",
  },
  STT_REJECTED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The recogniser refused what was asked: a model, voice, option or audio it does not take.",
  },
  STT_OVERFLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "More was asked of the recogniser than our own bound on what waits or runs at once.",
  },
  STT_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning:
      "No recogniser of the tenant's list may be asked now: their breakers are open, or retries are used up.",
  },
  STT_CLOSED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The recogniser was closed by us: this shard is ending.",
  },
  LLM_CONNECT_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The language model could not be reached, or answered a server error before it began.",
  },
  LLM_UNAUTHORIZED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The language model does not accept our key, or the key may not use this model.",
  },
  LLM_RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning:
      "The language model is at the limit of our account; detail.retryAfterMs when it said for how long.",
  },
  LLM_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning:
      "The language model went quiet; detail.phase says whether at connect, before the first event or between two.",
  },
  LLM_STREAM_BROKEN: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The language model ended a stream before it was complete.",
  },
  LLM_PROTOCOL_ERROR: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "The language model sent something that is not its protocol.",
  },
  LLM_REJECTED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The language model refused what was asked: a model, voice, option or audio it does not take.",
  },
  LLM_TOOL_USE_FAILED: {
    retryable: true,
    grpcStatus: "ABORTED",
    meaning: "The language model wrote a tool call that its own server could not read.",
  },
  LLM_CONTEXT_TOO_LONG: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The conversation is longer than the language model takes; shorten it.",
  },
  LLM_OVERFLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "More was asked of the language model than our own bound on what waits or runs at once.",
  },
  LLM_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning:
      "No language model of the tenant's list may be asked now: their breakers are open, or retries are used up.",
  },
  LLM_CLOSED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The language model was closed by us: this shard is ending.",
  },
  TTS_CONNECT_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The voice could not be reached, or answered a server error before it began.",
  },
  TTS_UNAUTHORIZED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The voice does not accept our key, or the key may not use this model.",
  },
  TTS_RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The voice is at the limit of our account; detail.retryAfterMs when it said for how long.",
  },
  TTS_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning:
      "The voice went quiet; detail.phase says whether at connect, before the first event or between two.",
  },
  TTS_STREAM_BROKEN: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The voice ended a stream before it was complete.",
  },
  TTS_PROTOCOL_ERROR: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "The voice sent something that is not its protocol.",
  },
  TTS_REJECTED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The voice refused what was asked: a model, voice, option or audio it does not take.",
  },
  TTS_OVERFLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "More was asked of the voice than our own bound on what waits or runs at once.",
  },
  TTS_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning:
      "No voice of the tenant's list may be asked now: their breakers are open, or retries are used up.",
  },
  TTS_CLOSED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The voice was closed by us: this shard is ending.",
  },

  // requests to the control plane
  REQUEST_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "A field of a request is missing, malformed or out of range; the message and its details name it.",
  },
  UNAUTHENTICATED: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "No credential, or one that is unknown, expired or revoked.",
  },
  PERMISSION_DENIED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The credential does not hold the scope that the RPC needs.",
  },
  SCOPE_NOT_GRANTABLE: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "A key cannot be given a scope that does not exist or that its maker does not hold.",
  },
  RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning:
      "The credential has made more requests than it may in this second; the details say when to come back.",
  },
  NOT_FOUND: {
    retryable: false,
    grpcStatus: "NOT_FOUND",
    meaning: "There is no such resource, or it is somebody else's.",
  },
  ALREADY_EXISTS: {
    retryable: false,
    grpcStatus: "ALREADY_EXISTS",
    meaning: "The id or number is taken.",
  },
  ETAG_MISMATCH: {
    retryable: true,
    grpcStatus: "ABORTED",
    meaning: "The resource was changed by somebody else since it was read; read it again.",
  },
  REQUEST_ID_REUSED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The request id was used before for a different request.",
  },
  PAGE_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The page token is not one of ours, or belongs to another query.",
  },
  LIMIT_REACHED: {
    retryable: false,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A limit of the reseller or tenant does not allow one more.",
  },
  STILL_IN_USE: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The resource cannot be removed while others belong to it.",
  },
  DEADLINE_EXCEEDED: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "The request took longer than the RPC may, or than the caller wanted to wait.",
  },
  MESSAGE_TOO_LARGE: {
    retryable: false,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A message is longer than the other side takes.",
  },
  WATCHER_TOO_SLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A watcher did not read what was sent to it; connect again with the resume token.",
  },
  INTERNAL: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A bug of ours; the log has it under the request id in the details.",
  },

  CONTROL_PLANE_LISTEN_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning:
      "A port of the control plane could not be opened: it is taken, or the address is not this machine's.",
  },

  // control-plane/store
  STORE_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Postgres cannot be reached, or has no connection free in time.",
  },
  MIGRATION_FAILED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A migration could not be applied; the database is as it was before it.",
  },
  MIGRATION_HISTORY_EDITED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A migration that was applied is not the one in the folder any more; nothing was done.",
  },
  EMBEDDED_POSTGRES_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The embedded Postgres did not start; the message has its last words.",
  },
  SECRET_KEY_MISSING: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A stored secret is encrypted with a key that is not among those given.",
  },

  // control-plane/directory and placement
  DIRECTORY_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Redis cannot be reached.",
  },
  DIRECTORY_REBUILDING: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Redis has lost its memory and is being told again by the nodes; try again in a moment.",
  },
  CALL_LEASE_LOST: {
    retryable: false,
    grpcStatus: "ABORTED",
    meaning: "Another owner holds the call's lease; what the old one writes is refused.",
  },
  CALL_ENDED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The call is over.",
  },
  NODE_REPLACED: {
    retryable: false,
    grpcStatus: "ABORTED",
    meaning: "Another node with the same id has registered since; this one must stop.",
  },
  BOOTSTRAP_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "A node's bootstrap token is not the one the control plane knows.",
  },
  JOURNAL_GAP: {
    retryable: true,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "Events before these are missing; send from the sequence in the answer on.",
  },
  JOURNAL_EVENT_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "A journal event does not have the form it must have; it is set aside.",
  },

  // a node's side of the control plane
  CONTROL_PLANE_UNREACHABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "No control plane answers; known tenants are served, journals are spooled.",
  },
  TLS_REQUIRED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "Clear text is allowed on loopback only; give certificates, or --insecure.",
  },
  SPOOL_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning:
      "The journals' spool on disk is at its bound; the oldest ended calls' events make room, counted.",
  },
  SPOOL_DAMAGED: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A record of the journals' spool cannot be read; what follows it in its segment is set aside.",
  },
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof errorTable;
