/** Errors of the control plane, what stands behind it, and a node's side of it. */
import type { ErrorDefinition } from "./definition.js";

export const controlPlaneErrors = {
  // requests to the control plane
  REQUEST_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "A field of a request is missing, malformed or out of range; the message and its details name it.",
    remedy: "Mend the field (docs/API.md).",
  },
  UNAUTHENTICATED: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "No credential, or one that is unknown, expired or revoked.",
    remedy: "Send a valid API key, or have one made: `npm run lumentra -- key --help`.",
  },
  PERMISSION_DENIED: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The credential does not hold the scope that the RPC needs.",
    remedy: "Use a key with the scope that docs/API.md names at the RPC.",
  },
  SCOPE_NOT_GRANTABLE: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "A key cannot be given a scope that does not exist or that its maker does not hold.",
    remedy: "Ask for fewer scopes, or make the key with one that holds them.",
  },
  RATE_LIMITED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning:
      "The credential has made more requests than it may in this second; the details say when to come back.",
    remedy: "Come back when the details say; operators may raise LUMENTRA_RATE_LIMIT.",
  },
  NOT_FOUND: {
    retryable: false,
    grpcStatus: "NOT_FOUND",
    meaning: "There is no such resource, or it is somebody else's.",
    remedy: "Check the id, and whose key it is asked with.",
  },
  ALREADY_EXISTS: {
    retryable: false,
    grpcStatus: "ALREADY_EXISTS",
    meaning: "The id or number is taken.",
    remedy: "Take another, or change the one there is.",
  },
  ETAG_MISMATCH: {
    retryable: true,
    grpcStatus: "ABORTED",
    meaning: "The resource was changed by somebody else since it was read; read it again.",
    remedy: "Read it, make the change again and send it with the new etag.",
  },
  REQUEST_ID_REUSED: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The request id was used before for a different request.",
    remedy: "Make a new request id for each new request; repeat one only with the same request.",
  },
  PAGE_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The page token is not one of ours, or belongs to another query.",
    remedy: "Begin again at the first page.",
  },
  LIMIT_REACHED: {
    retryable: false,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A limit of the reseller or tenant does not allow one more.",
    remedy: "Remove what is not needed; a reseller's limits are raised by whoever runs the platform.",
  },
  STILL_IN_USE: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The resource cannot be removed while others belong to it.",
    remedy: "Remove those first.",
  },
  DEADLINE_EXCEEDED: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "The request took longer than the RPC may, or than the caller wanted to wait.",
    remedy: "Try again; reads of less (a shorter page, a shorter time) are quicker.",
  },
  MESSAGE_TOO_LARGE: {
    retryable: false,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A message is longer than the other side takes.",
    remedy: "Send or ask for less at once.",
  },
  WATCHER_TOO_SLOW: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "A watcher did not read what was sent to it; connect again with the resume token.",
    remedy: "Connect again with the resume token, and read without waiting for one's own work.",
  },
  INTERNAL: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A bug of ours; the log has it under the request id in the details.",
    remedy: "Report it with the request id.",
  },
  CONTROL_PLANE_LISTEN_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning:
      "A port of the control plane could not be opened: it is taken, or the address is not this machine's.",
    remedy:
      "Free the port or set another: LUMENTRA_GRPC_PORT, LUMENTRA_CONTROL_PLANE_ADMIN_PORT and their hosts.",
  },

  // control-plane/store
  STORE_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Postgres cannot be reached, or has no connection free in time.",
    remedy:
      "Try again; operators: see that Postgres is up (`npm run lumentra -- doctor`), and LUMENTRA_DATABASE_CONNECTIONS.",
  },
  MIGRATION_FAILED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A migration could not be applied; the database is as it was before it.",
    remedy: "Mend what Postgres says in the message, and migrate again.",
  },
  MIGRATION_HISTORY_EDITED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A migration that was applied is not the one in the folder any more; nothing was done.",
    remedy: "Put the file back as it was applied; changes go into the next number.",
  },
  EMBEDDED_POSTGRES_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The embedded Postgres did not start; the message has its last words.",
    remedy: "Mend what they say, or set DATABASE_URL to a server of one's own.",
  },
  SECRET_KEY_MISSING: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "A stored secret is encrypted with a key that is not among those given.",
    remedy: "Put that key back into LUMENTRA_SECRET_KEYS, behind the newest.",
  },

  // control-plane/directory and placement
  DIRECTORY_UNAVAILABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Redis cannot be reached.",
    remedy: "Try again; operators: see that Redis is up. Nodes place their calls themselves meanwhile.",
  },
  DIRECTORY_REBUILDING: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "Redis has lost its memory and is being told again by the nodes; try again in a moment.",
    remedy: "Try again in a moment.",
  },
  CALL_LEASE_LOST: {
    retryable: false,
    grpcStatus: "ABORTED",
    meaning: "Another owner holds the call's lease; what the old one writes is refused.",
    remedy: "Let the call go: its new owner goes on with it.",
  },
  CALL_ENDED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The call is over.",
    remedy: "Nothing: read its journal for how it ended.",
  },
  NODE_REPLACED: {
    retryable: false,
    grpcStatus: "ABORTED",
    meaning: "Another node with the same id has registered since; this one must stop.",
    remedy: "Give each node an id of its own: LUMENTRA_NODE_ID, or a LUMENTRA_DATA_DIR of its own.",
  },
  BOOTSTRAP_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "A node's bootstrap token is not the one the control plane knows.",
    remedy: "Give node and control plane the same LUMENTRA_BOOTSTRAP_TOKEN.",
  },
  JOURNAL_GAP: {
    retryable: true,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "Events before these are missing; send from the sequence in the answer on.",
    remedy: "Send from that sequence on; nodes do so by themselves.",
  },
  JOURNAL_EVENT_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "A journal event does not have the form it must have; it is set aside.",
    remedy:
      "Nodes and control planes of versions too far apart, or a bug of ours: report it with the log's line.",
  },

  // a node's side of the control plane
  CONTROL_PLANE_UNREACHABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "No control plane answers; known tenants are served, journals are spooled.",
    remedy:
      "Nodes try again by themselves; see that one is up at LUMENTRA_CONTROL_PLANE, or LUMENTRA_API_ADDRESS for commands.",
  },
  TLS_REQUIRED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "Clear text is allowed on loopback only; give certificates, or --insecure.",
    remedy:
      "Give certificates (docs/OPERATIONS.md), or set LUMENTRA_INSECURE on a network that encrypts by itself.",
  },
  SPOOL_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning:
      "The journals' spool on disk is at its bound; the oldest ended calls' events make room, counted.",
    remedy: "Bring a control plane back, or raise LUMENTRA_SPOOL_MAX_MIB.",
  },
  SPOOL_DAMAGED: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A record of the journals' spool cannot be read; what follows it in its segment is set aside.",
    remedy: "Check the disk under LUMENTRA_DATA_DIR; the segment that was set aside stays there.",
  },
} as const satisfies Record<string, ErrorDefinition>;
