/**
 * Services as this project writes them: functions of request and caller that return promises. Here they become the
 * handlers that gRPC wants.
 *
 * A stream's handler is done when its promise settles: the stream ends, or fails with what was thrown.
 */
import type {
  Metadata,
  ServerDuplexStream,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  sendUnaryData,
} from "@grpc/grpc-js";
import type {
  AuditServiceHandlers,
  CallServiceHandlers,
  JournalServiceHandlers,
  NodeServiceHandlers,
  PhoneNumberServiceHandlers,
  PlacementServiceHandlers,
  ResellerServiceHandlers,
  TenantServiceHandlers,
  UsageServiceHandlers,
} from "#proto";
import { codeOf, toStatus } from "#runtime/rpc";
import { type Caller, callerOf } from "./caller.js";

export type UnaryHandler<Request, Answer> = (request: Request, caller: Caller) => Promise<Answer>;
export type WatchHandler<Request, Answer> = (
  call: ServerWritableStream<Request, Answer>,
  caller: Caller,
) => Promise<void>;
export type StreamHandler<Request, Answer> = (
  call: ServerDuplexStream<Request, Answer>,
  caller: Caller,
) => Promise<void>;

/** A service, of its generated handlers' type: `ServiceOf<TenantServiceHandlers>`. */
export type ServiceOf<Handlers> = {
  readonly [Method in keyof Handlers as string extends Method
    ? never
    : number extends Method
      ? never
      : Method]: Handlers[Method] extends handleUnaryCall<infer Request, infer Answer>
    ? UnaryHandler<Request, Answer>
    : Handlers[Method] extends handleServerStreamingCall<infer Request, infer Answer>
      ? WatchHandler<Request, Answer>
      : Handlers[Method] extends handleBidiStreamingCall<infer Request, infer Answer>
        ? StreamHandler<Request, Answer>
        : never;
};

/** Every service there is: what a server is made of. */
export interface Services {
  readonly AuditService: ServiceOf<AuditServiceHandlers>;
  readonly CallService: ServiceOf<CallServiceHandlers>;
  readonly JournalService: ServiceOf<JournalServiceHandlers>;
  readonly NodeService: ServiceOf<NodeServiceHandlers>;
  readonly PhoneNumberService: ServiceOf<PhoneNumberServiceHandlers>;
  readonly PlacementService: ServiceOf<PlacementServiceHandlers>;
  readonly ResellerService: ServiceOf<ResellerServiceHandlers>;
  readonly TenantService: ServiceOf<TenantServiceHandlers>;
  readonly UsageService: ServiceOf<UsageServiceHandlers>;
}

/** Told of what a handler threw, before it becomes a status. */
export type OnError = (call: { readonly metadata: Metadata }, error: unknown) => void;

export function toGrpcHandlers(
  definition: ServiceDefinition,
  service: object,
  onError: OnError,
): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const [method, { requestStream, responseStream }] of Object.entries(definition)) {
    const work = (service as Record<string, (...args: unknown[]) => Promise<unknown>>)[method];
    if (work === undefined) throw new TypeError(`no handler for ${method}`);
    handlers[method] =
      requestStream || responseStream
        ? streaming(work.bind(service), onError)
        : unary(work.bind(service), onError);
  }
  return handlers;
}

type Work = (input: unknown, caller: Caller) => Promise<unknown>;

function unary(work: Work, onError: OnError): handleUnaryCall<unknown, unknown> {
  const run = async (
    call: { readonly request: unknown; readonly metadata: Metadata },
    answer: sendUnaryData<unknown>,
  ): Promise<void> => {
    let result: unknown;
    try {
      result = await work(call.request, callerOf(call));
    } catch (error) {
      onError(call, error);
      return answer(toStatus(error, requestIdOf(call)), null);
    }
    answer(null, result);
  };
  return (call, answer) => void run(call, answer);
}

function streaming(work: Work, onError: OnError): handleServerStreamingCall<unknown, unknown> {
  const run = async (call: ServerWritableStream<unknown, unknown>): Promise<void> => {
    // A client that is gone shows as an error of the stream; the caller's signal says it too.
    call.on("error", () => {});
    try {
      await work(call, callerOf(call));
      call.end();
    } catch (error) {
      if (call.cancelled) return;
      onError(call, error);
      // For a client that does not read, what was written would stand in the status's way for ever.
      if (codeOf(error) === "WATCHER_TOO_SLOW") callerOf(call).fail(error);
      // gRPC reads code, details and metadata of what it is given, and sends them as the status after what was
      // written. Not by destroy(): a destroyed stream sends none.
      else call.emit("error", Object.assign(new Error("failed"), toStatus(error, requestIdOf(call))));
    }
  };
  return (call) => void run(call);
}

function requestIdOf(call: { readonly metadata: Metadata }): string {
  try {
    return callerOf(call).requestId;
  } catch {
    return "";
  }
}
