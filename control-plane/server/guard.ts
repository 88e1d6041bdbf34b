/**
 * What happens to every RPC before and after its handler: who asks and whether it may (by the proto's annotation), how
 * often, how long, and what is logged and counted.
 *
 * Stages of an RPC: admitting -> running -> done. It is done once, with one status: the handler's, the deadline's, the
 * drain's or the client's own cancel, whichever comes first; what comes later is dropped.
 *
 * Invariants
 * G1 No handler of ours runs for an RPC without annotation, and none before its caller is known to hold its scope.
 * G2 Every status that is not OK carries our details, or comes from the client's own side.
 * G3 A stream lasts no longer than the right to it: keys of open streams are looked at again every STREAM_CHECK_MS.
 *    Nodes' credentials are renewed within their streams and are not.
 * G4 Neither requests, answers, credentials nor what callers said reach a log line or a label.
 */
import { randomUUID } from "node:crypto";
import {
  type Metadata,
  type ServerInterceptingCallInterface,
  ServerInterceptingCall,
  type ServerInterceptor,
  Metadata as GrpcMetadata,
  status as Status,
} from "@grpc/grpc-js";
import { rpcOptions } from "#proto";
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { codeOf, fromServiceError, toStatus } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import { type Authenticator, type Principal, type RateLimits, actorOf, requireScope } from "../auth/index.js";
import { setCaller } from "./caller.js";
import type { ControlPlaneMetrics } from "./metrics.js";

type PartialStatusObject = Parameters<ServerInterceptingCall["sendStatus"]>[0];

/** Health and reflection; theirs say nothing of themselves. */
const OTHERS_DEADLINE_MS = 5_000;
/** How soon a stream ends whose key was revoked, expired or lost its scope; lookups are cached besides. */
const STREAM_CHECK_MS = 3_000;
/** Open streams of one credential: watchers and the like. */
const STREAMS_PER_CALLER_MAX = 500;
const REQUEST_ID_FORM = /^[\w.-]{1,64}$/;
const REQUEST_ID_KEY = "x-request-id";

export interface GuardOptions {
  readonly authenticator: Authenticator;
  readonly limits: RateLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ControlPlaneMetrics;
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #running = new Set<GuardedCall>();
  readonly #streamsByCaller = new Map<string, number>();
  #draining = false;
  #checkTimer: TimerHandle | null = null;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  readonly interceptor: ServerInterceptor = (method, nextCall) => {
    const isStream = method.requestStream || method.responseStream;
    return new GuardedCall(this, nextCall, method.path, isStream);
  };

  get options(): GuardOptions {
    return this.#options;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** New RPCs are refused, streams are told; unary ones go on. */
  beginDrain(): void {
    this.#draining = true;
    this.close();
    for (const call of this.#running) if (call.isStream) call.fail(draining());
  }

  /** Looks at keys no more. */
  close(): void {
    this.#checkTimer?.cancel();
    this.#checkTimer = null;
  }

  /** @throws LumentraError RATE_LIMITED, CONTROL_PLANE_UNREACHABLE */
  opened(call: GuardedCall, caller: string): void {
    // The drain may have begun while the caller was being looked up.
    if (this.#draining) throw draining();
    if (call.isStream) {
      const count = (this.#streamsByCaller.get(caller) ?? 0) + 1;
      if (count > STREAMS_PER_CALLER_MAX) {
        throw new LumentraError("RATE_LIMITED", `${STREAMS_PER_CALLER_MAX} streams are open already`);
      }
      this.#streamsByCaller.set(caller, count);
      this.#options.metrics.rpcStreams.inc({ method: call.path });
      this.#checkTimer ??= this.#options.clock.setTimer(STREAM_CHECK_MS, () => void this.#checkStreams());
    }
    this.#running.add(call);
  }

  closed(call: GuardedCall, caller: string): void {
    if (!this.#running.delete(call) || !call.isStream) return;
    const count = this.#streamsByCaller.get(caller)! - 1;
    if (count === 0) this.#streamsByCaller.delete(caller);
    else this.#streamsByCaller.set(caller, count);
    this.#options.metrics.rpcStreams.dec({ method: call.path });
    if (this.#streamsByCaller.size === 0) this.close();
  }

  /** G3. */
  async #checkStreams(): Promise<void> {
    await Promise.all([...this.#running].filter(({ isStream }) => isStream).map((call) => call.check()));
    if (this.#checkTimer === null) return; // closed meanwhile
    this.#checkTimer = this.#options.clock.setTimer(STREAM_CHECK_MS, () => void this.#checkStreams());
  }
}

function draining(): LumentraError {
  return new LumentraError("CONTROL_PLANE_UNREACHABLE", "this control plane shuts down; another one serves");
}

class GuardedCall extends ServerInterceptingCall {
  readonly path: string;
  readonly isStream: boolean;
  readonly #guard: Guard;
  readonly #next: ServerInterceptingCallInterface;
  readonly #startedAtMs: number;
  readonly #abort = new AbortController();
  #listener: { onCancel(): void } | null = null;
  #requestId = "";
  #principal: Principal = { kind: "open" };
  #authorization: string | undefined;
  /** Whom its streams count for: a credential, or the address of one without. */
  #streamsKey = "";
  #deadline: TimerHandle | null = null;
  #isDone = false;
  #hasSentMetadata = false;

  constructor(guard: Guard, next: ServerInterceptingCallInterface, path: string, isStream: boolean) {
    super(next, {
      start: (start) =>
        start({
          onReceiveMetadata: (metadata, admit) => {
            this.#admit(metadata).then(
              () => {
                if (!this.#isDone) admit(metadata);
              },
              (error: unknown) => this.fail(error),
            );
          },
          onCancel: () => this.#finish("CANCELLED", null),
        }),
      sendMetadata: (metadata, send) => {
        if (this.#isDone || this.#hasSentMetadata) return;
        this.#hasSentMetadata = true;
        metadata.set(REQUEST_ID_KEY, this.#requestId);
        send(metadata);
      },
      sendMessage: (message, send) => {
        if (!this.#isDone) send(message);
      },
      sendStatus: (status, send) => {
        if (this.#isDone) return;
        const final = this.#withDetails(status);
        this.#finish(codeOfStatus(final), null);
        send(final);
      },
    });
    this.#guard = guard;
    this.#next = next;
    this.path = path;
    this.isStream = isStream;
    this.#startedAtMs = guard.options.clock.nowMs();
  }

  override start(listener: Parameters<ServerInterceptingCall["start"]>[0]): void {
    this.#listener = listener;
    super.start(listener);
  }

  /** Ends the RPC now: its client gets the error, its handler sees a cancel. Nothing when it is done. */
  fail(error: unknown): void {
    if (this.#isDone) return;
    this.#finish(codeOf(error), error);
    this.#next.sendStatus(toStatus(error, this.#requestId));
    this.#listener?.onCancel();
  }

  /** Ends the stream of a key that is none any more, or has lost the scope. Never rejects. */
  async check(): Promise<void> {
    if (this.#principal.kind !== "operator" && this.#principal.kind !== "reseller") return;
    try {
      const { authenticator } = this.#guard.options;
      this.#principal = await authenticator.authenticateAgain(this.#authorization!);
      requireScope(this.#principal, rpcOptions(this.path)!.scope);
    } catch (error) {
      // A store that does not answer now is no reason: the key was good a moment ago.
      if (["UNAUTHENTICATED", "PERMISSION_DENIED"].includes(codeOf(error))) this.fail(error);
    }
  }

  async #admit(metadata: Metadata): Promise<void> {
    const { authenticator, limits, log, clock } = this.#guard.options;
    const [given] = metadata.get(REQUEST_ID_KEY);
    this.#requestId = typeof given === "string" && REQUEST_ID_FORM.test(given) ? given : randomUUID();
    if (this.#guard.isDraining) throw draining();
    const options = rpcOptions(this.path);
    const isOthers = options === undefined && this.path.startsWith("/grpc.");
    if (options === undefined && !isOthers) throw new LumentraError("INTERNAL", "an RPC without annotation"); // G1
    const address = addressOf(this.#next.getPeer());
    if (options !== undefined && !options.open) {
      const [authorization] = metadata.get("authorization");
      this.#authorization = typeof authorization === "string" ? authorization : undefined;
      this.#principal = await authenticator.authenticate(this.#authorization, address);
      requireScope(this.#principal, options.scope); // G1
    }
    await limits.count(this.#principal, address);
    if (this.#isDone) return; // cancelled meanwhile
    this.#streamsKey = this.#principal.kind === "open" ? `open ${address}` : this.#callerKey;
    this.#guard.opened(this, this.#streamsKey);
    const deadlineMs = isOthers ? OTHERS_DEADLINE_MS : (options?.deadlineMs ?? null);
    if (!this.isStream && deadlineMs !== null) {
      this.#deadline = clock.setTimer(deadlineMs, () =>
        this.fail(new LumentraError("DEADLINE_EXCEEDED", `it took longer than ${deadlineMs} ms`)),
      );
    }
    setCaller(metadata, {
      principal: this.#principal,
      certificateName: certificateNameOf(this.#next),
      requestId: this.#requestId,
      signal: this.#abort.signal,
      log: log.child({ requestId: this.#requestId, rpc: this.path }),
      fail: (error) => this.fail(error),
    });
  }

  get #callerKey(): string {
    return this.#principal.kind === "open" ? "open" : actorOf(this.#principal);
  }

  /** G2. What gRPC itself answers (UNIMPLEMENTED, messages too long) and what a handler let slip. */
  #withDetails(status: PartialStatusObject): PartialStatusObject {
    if (status.code === Status.OK || status.code === Status.CANCELLED) return status;
    if (status.metadata?.get("grpc-status-details-bin").length) return status;
    if (status.code === Status.RESOURCE_EXHAUSTED && status.details?.includes("larger than")) {
      return toStatus(
        new LumentraError("MESSAGE_TOO_LARGE", "a message is longer than the other side takes"),
        this.#requestId,
      );
    }
    if (status.code === Status.UNKNOWN || status.code === Status.INTERNAL) {
      return toStatus(new LumentraError("INTERNAL", "a handler let an error slip"), this.#requestId);
    }
    return status;
  }

  #finish(code: string, error: unknown): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#deadline?.cancel();
    this.#guard.closed(this, this.#streamsKey);
    this.#abort.abort(error ?? new LumentraError("DEADLINE_EXCEEDED", "the RPC is over"));
    const { log, metrics, clock } = this.#guard.options;
    const ms = clock.nowMs() - this.#startedAtMs;
    metrics.rpcs.inc({ method: this.path, code });
    if (!this.isStream) metrics.rpcLatencyMs.observe({ method: this.path }, ms);
    const line = {
      rpc: this.path,
      code,
      ms: Math.round(ms * 10) / 10,
      requestId: this.#requestId,
      caller: this.#callerKey,
    };
    // A node's RPCs are frequent and its own log has them.
    if (this.#principal.kind === "node" || this.path.startsWith("/grpc.")) log.debug(line, "rpc");
    else log.info(line, "rpc");
  }
}

/** The status's own code of ours; gRPC's name where it has none. */
function codeOfStatus(status: PartialStatusObject): string {
  if (status.code === undefined || status.code === null || status.code === Status.OK) return "OK";
  if (!status.metadata?.get("grpc-status-details-bin").length) return Status[status.code] ?? "UNKNOWN";
  const error = fromServiceError(
    Object.assign(new Error(), {
      code: status.code,
      details: "",
      metadata: status.metadata ?? new GrpcMetadata(),
    }),
  );
  return codeOf(error);
}

function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, "");
}

function certificateNameOf(call: ServerInterceptingCallInterface): string | null {
  const name = call.getAuthContext().sslPeerCertificate?.subject?.CN;
  return typeof name === "string" && name !== "" ? name : null;
}
