/**
 * One connection to a control plane, for all its services: unary calls as promises, streams as gRPC has them.
 *
 * Invariants
 * R1 Every unary call has a deadline: the caller's, else the one that the RPC's annotation says.
 * R2 Every failure is a LumentraError with a code of the table. Nobody there: CONTROL_PLANE_UNREACHABLE.
 */
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientOptions,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { rpcOptions, services } from "#proto";
import { LumentraError } from "#runtime/errors";
import { type ClientSecurity, parseTarget } from "./credentials.js";
import { fromServiceError } from "./status.js";

/** A page of 500 tenants of 64 KiB, with room. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** As many as the server takes; what is longer is refused before it is sent. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
/** A connection that went dead without a word (a cut cable) is found within the two of them. */
const KEEPALIVE_TIME_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
const FIRST_RECONNECT_MS = 100;
/** A control plane that comes back is found this soon; its clients are nodes with live calls. */
const MAX_RECONNECT_MS = 2_000;
/** Where an RPC says nothing, which unary ones cannot. */
const FALLBACK_DEADLINE_MS = 10_000;

type Services = typeof services;
export type ServiceName = {
  [Name in keyof Services]: Services[Name] extends { service: ServiceDefinition } ? Name : never;
}[keyof Services];
type Definition<Name extends ServiceName> = Services[Name] extends { service: infer Service }
  ? Service
  : never;
/** The definition's own methods, without its index signature. */
type Methods<Name extends ServiceName> = {
  [Method in keyof Definition<Name> as string extends Method
    ? never
    : number extends Method
      ? never
      : Method]: Definition<Name>[Method];
};
export type MethodName<Name extends ServiceName> = keyof Methods<Name> & string;
type RequestOf<Method> = Method extends { requestSerialize: (value: infer Request) => Buffer }
  ? Request
  : never;
type AnswerOf<Method> = Method extends { responseDeserialize: (bytes: Buffer) => infer Answer }
  ? Answer
  : never;
/** What may be sent to an RPC. */
export type RpcRequest<Name extends ServiceName, Method extends MethodName<Name>> = RequestOf<
  Methods<Name>[Method]
>;
/** What comes back, defaults filled in. */
export type RpcAnswer<Name extends ServiceName, Method extends MethodName<Name>> = AnswerOf<
  Methods<Name>[Method]
>;

export interface RpcClientOptions {
  /** "127.0.0.1:50051", "https://control.example", several IPs with commas; see parseTarget. */
  readonly target: string;
  readonly security: ClientSecurity;
  /** Asked before every call, so that a renewed credential needs no new connection. Null: none is sent. */
  readonly bearer?: () => string | null;
}

export interface UnaryOptions {
  /** @default the RPC's own deadline */
  readonly deadlineMs?: number;
  /** Cancels the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export class RpcClient {
  readonly #client: Client;
  readonly #bearer: () => string | null;
  #closed = false;

  /** Does not connect: the first call does. @throws LumentraError TLS_REQUIRED, SETTING_INVALID */
  constructor({ target, security, bearer = () => null }: RpcClientOptions) {
    const { address, credentials } = parseTarget(target, security);
    this.#client = new Client(address, credentials, CHANNEL_OPTIONS);
    this.#bearer = bearer;
  }

  /** @throws LumentraError whatever the RPC answers with (R2) */
  call<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
    request: RpcRequest<Name, Method>,
    options: UnaryOptions = {},
  ): Promise<RpcAnswer<Name, Method>> {
    const { path, requestSerialize, responseDeserialize } = this.#definition(service, method);
    const deadlineMs = options.deadlineMs ?? rpcOptions(path)?.deadlineMs ?? FALLBACK_DEADLINE_MS; // R1
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(asError(signal.reason));
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadata(),
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          signal?.removeEventListener("abort", onAbort);
          if (!error) resolve(answer as RpcAnswer<Name, Method>);
          else reject(signal?.aborted ? asError(signal.reason) : fromServiceError(error));
        },
      );
      const onAbort = (): void => call.cancel();
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** A server's stream. Attach an `error` handler; `fromServiceError` makes our error of what it gets. */
  watch<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
    request: RpcRequest<Name, Method>,
  ): ClientReadableStream<RpcAnswer<Name, Method>> {
    const { path, requestSerialize, responseDeserialize } = this.#definition(service, method);
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => RpcAnswer<Name, Method>,
      request,
      this.#metadata(),
      {} satisfies CallOptions,
    );
  }

  /** A stream both ways. Attach an `error` handler, as with watch. */
  connect<Name extends ServiceName, Method extends MethodName<Name>>(
    service: Name,
    method: Method,
  ): ClientDuplexStream<RpcRequest<Name, Method>, RpcAnswer<Name, Method>> {
    const { path, requestSerialize, responseDeserialize } = this.#definition(service, method);
    return this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => RpcAnswer<Name, Method>,
      this.#metadata(),
      {} satisfies CallOptions,
    );
  }

  /** Resolves when connected. @throws LumentraError CONTROL_PLANE_UNREACHABLE */
  waitForReady(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(Date.now() + timeoutMs, (error) => {
        if (!error) resolve();
        else
          reject(
            new LumentraError("CONTROL_PLANE_UNREACHABLE", "no control plane answers", { cause: error }),
          );
      });
    });
  }

  /** Idempotent. Calls in flight fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
  }

  #definition(service: ServiceName, method: string): MethodDefinition<unknown, unknown> {
    return (services[service] as unknown as { service: ServiceDefinition }).service[
      method
    ] as MethodDefinition<unknown, unknown>;
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    const bearer = this.#bearer();
    if (bearer !== null) metadata.set("authorization", `Bearer ${bearer}`);
    return metadata;
  }
}

const CHANNEL_OPTIONS: ClientOptions = {
  "grpc.max_receive_message_length": MAX_ANSWER_BYTES,
  "grpc.max_send_message_length": MAX_REQUEST_BYTES,
  "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
  "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": FIRST_RECONNECT_MS,
  "grpc.min_reconnect_backoff_ms": FIRST_RECONNECT_MS,
  "grpc.max_reconnect_backoff_ms": MAX_RECONNECT_MS,
  // Of several control planes each client takes one, by chance, and another when it dies.
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }],
  }),
  // Each client its own connection: two clients of one process may hold different credentials, and one that is
  // closed must not leave its connection to the other.
  "grpc.use_local_subchannel_pool": 1,
};

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
