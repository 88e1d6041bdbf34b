/**
 * What a handler knows of an RPC besides its request. The interceptor makes it, before the handler runs; it travels
 * with the request's metadata, which is one object from the first interceptor to the handler.
 */
import type { Metadata } from "@grpc/grpc-js";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { type Principal, actorOf, scopeOf } from "../auth/index.js";
import type { Actor, Scope } from "../store/store.js";

export interface Caller {
  readonly kind: Principal["kind"];
  readonly principal: Principal;
  /** What its transactions may see. */
  readonly scope: Scope;
  /** For the audit log. */
  readonly actor: Actor;
  /** A node's own name; null for others. */
  readonly nodeId: string | null;
  /** A node's registration, new with each start of it; null for others. */
  readonly incarnation: string | null;
  /** The name in the client's certificate, where clients must show one (mutual TLS); null otherwise. */
  readonly certificateName: string | null;
  /** In the answer's metadata, in errors and in the log. */
  readonly requestId: string;
  /** Aborts when the client is gone, the deadline has passed or this server drains. */
  readonly signal: AbortSignal;
  /** Carries request id and path. */
  readonly log: Logger;
  /** Ends the RPC at once with this error's status; what was written and has not left is dropped. */
  readonly fail: (error: unknown) => void;
}

const callers = new WeakMap<Metadata, Caller>();

export interface CallerFacts {
  readonly principal: Principal;
  readonly certificateName: string | null;
  readonly requestId: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly fail: (error: unknown) => void;
}

export function setCaller(metadata: Metadata, facts: CallerFacts): void {
  const { principal } = facts;
  const node = principal.kind === "node" ? principal : null;
  callers.set(metadata, {
    ...facts,
    kind: principal.kind,
    scope: scopeOf(principal),
    actor: actorOf(principal),
    nodeId: node?.nodeId ?? null,
    incarnation: node?.incarnation ?? null,
  });
}

/** @throws LumentraError INTERNAL: the RPC did not come through the interceptor */
export function callerOf(call: { readonly metadata: Metadata }): Caller {
  const caller = callers.get(call.metadata);
  if (caller === undefined) throw new LumentraError("INTERNAL", "an RPC came past the interceptor");
  return caller;
}

/** @throws LumentraError PERMISSION_DENIED */
export function nodeOf(caller: Pick<Caller, "nodeId">): string {
  if (caller.nodeId === null) throw new LumentraError("PERMISSION_DENIED", "only a node may do this");
  return caller.nodeId;
}
