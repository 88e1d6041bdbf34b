/** Errors of a node, from its settings to its threads and sockets; and of the simulated phone that calls it. */
import type { ErrorDefinition } from "./definition.js";

export const nodeErrors = {
  // settings and tenants
  SETTING_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "A setting is missing, unknown or out of range; the process does not start.",
    remedy: "Mend the setting that the message names (docs/SETTINGS.md), and start again.",
  },
  TENANT_CONFIG_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The tenants file does not satisfy its schema; the last good version stays in force.",
    remedy:
      "Mend the field that the message names (docs/TENANTS.md); the file is read again when it changes.",
  },
  PROVIDER_NOT_SET_UP: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning:
      "A tenant chose a provider for which this node has no key or address; the message names what to set.",
    remedy: "Set that key or address on the node, or have the tenant choose another provider.",
  },
  TENANT_QUARANTINED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The tenant's calls crashed what carries them: new ones get the overflow for a while.",
    remedy:
      "Look at the crashes before it in the log, and change the tenant's configuration: that lifts it at once.",
  },

  // runtime/media
  ARENA_HEADER_INVALID: {
    retryable: false,
    grpcStatus: "INTERNAL",
    meaning: "A shared buffer is not an arena of this version and shape.",
    remedy: "A bug of ours, or two builds mixed in one process: build anew and report it.",
  },

  // runtime/actor
  ACTOR_MAILBOX_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The actor's mailbox is at its bound; the message was not accepted.",
    remedy: "Send less, or wait; for a call's actor it is a bug of ours.",
  },
  ACTOR_STOPPED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The actor is gone; the message was not accepted.",
    remedy: "Nothing: what it was asked for is over.",
  },
  ACTOR_ASK_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "The actor did not answer an ask before its deadline.",
    remedy: "Ask again; if it stays, look at the shard's event-loop delay in /metrics.",
  },

  // runtime/cluster
  SHARD_START_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A shard thread did not become ready in time.",
    remedy:
      "Look at the shard's last words in the log; a machine that is short of memory or CPU starts them too slowly.",
  },
  SHARD_LOST: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A shard thread died or was terminated by the watchdog; its requests are rejected.",
    remedy: "Nothing: its calls go on in another shard. If it stays, look for what the log says of it.",
  },
  SHARD_ASK_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "A shard did not answer a request before its deadline.",
    remedy: "Ask again; the watchdog ends a shard that answers nothing.",
  },
  SHARD_ASKS_FULL: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "As many requests as may wait for a shard are waiting; this one was not sent.",
    remedy: "Ask less often, of /metrics for instance.",
  },

  // bench/caller
  BENCH_MIX_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "A mix of callers, a chaos scenario, or an earlier result, could not be read; the message says where and what is wrong in it.",
    remedy: "Mend what the message names.",
  },
  CALLER_NODE_UNREACHABLE: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "The simulated phone found nobody listening where the node should be.",
    remedy: "Start a node (`npm start`), or tell the phone where it is.",
  },
  CALLER_MARKUP_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning: "The node answered the webhook with markup that a carrier would refuse.",
    remedy: "Mend the carrier's file that wrote the markup.",
  },
  CALLER_CALL_ENDED: {
    retryable: false,
    grpcStatus: "FAILED_PRECONDITION",
    meaning: "The simulated call was over before what the script wanted.",
    remedy: "Read the call's journal for why it ended.",
  },
  CALLER_WAIT_TIMEOUT: {
    retryable: true,
    grpcStatus: "DEADLINE_EXCEEDED",
    meaning: "What the simulated caller waited for did not happen in time.",
    remedy: "Read the call's journal for what happened instead; on a busy machine wait longer.",
  },
  CALLER_BUSY: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "Too many utterances wait to be said by the simulated caller.",
    remedy: "Say less at once: wait until what was said has been heard.",
  },

  // runtime/edge
  EDGE_LISTEN_FAILED: {
    retryable: true,
    grpcStatus: "UNAVAILABLE",
    meaning: "A port of the edge could not be opened: it is taken, or the address is not this machine's.",
    remedy: "Free the port or set another: LUMENTRA_EDGE_PORT, LUMENTRA_ADMIN_PORT and their hosts.",
  },
  EDGE_REQUEST_INVALID: {
    retryable: false,
    grpcStatus: "INVALID_ARGUMENT",
    meaning:
      "An HTTP request to the edge has a wrong path, method, type, size or form; the message says which.",
    remedy: "Mend the request; of a carrier's, compare the address in its console with the README.",
  },
  EDGE_REQUEST_FAILED: {
    retryable: true,
    grpcStatus: "INTERNAL",
    meaning: "Answering an HTTP request threw; the log has the error.",
    remedy: "A bug of ours: report it with the log's lines.",
  },
  EDGE_SIGNATURE_INVALID: {
    retryable: false,
    grpcStatus: "UNAUTHENTICATED",
    meaning: "A carrier's signature is missing or wrong, or an unsigned request did not come from loopback.",
    remedy:
      "Compare token or signing key and LUMENTRA_PUBLIC_URL with the carrier's console: both are signed over.",
  },
  EDGE_SOCKETS_EXHAUSTED: {
    retryable: true,
    grpcStatus: "RESOURCE_EXHAUSTED",
    meaning: "The carriers' port has as many connections as it may; this one was closed unread.",
    remedy: "See who opens them; raise LUMENTRA_MAX_SOCKETS if they are calls.",
  },
  MEDIA_TOKEN_INVALID: {
    retryable: false,
    grpcStatus: "PERMISSION_DENIED",
    meaning: "The token of a media socket is forged, expired, used before or for another carrier.",
    remedy:
      "Nothing, of strangers. Of calls: clocks of nodes that differ, or a carrier that connects too late.",
  },
} as const satisfies Record<string, ErrorDefinition>;
