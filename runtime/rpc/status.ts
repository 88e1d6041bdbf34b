/**
 * Errors over gRPC: a LumentraError becomes a status whose `grpc-status-details-bin` holds google.rpc details, and
 * the other side has the same code again.
 *
 *   ErrorInfo    reason: the code, domain: "lumentra", metadata: `detail.info`
 *   BadRequest   `detail.violations`, one per field
 *   RetryInfo    `detail.retryAfterMs`
 *   RequestInfo  the server's id of the request, under which its log has more
 *
 * Invariants
 * S1 Nothing else of `detail`, no cause and no stack leaves the process: they are for our logs.
 * S2 What is a bug of ours, or a fault of what stands behind us, says the table's sentence and not its own message,
 *    which may name hosts, users and statements.
 */
import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import { packageDefinition } from "#proto";
import { type ErrorCode, LumentraError, errorTable } from "#runtime/errors";
import { type WireTime, fromDuration, toDuration } from "./time.js";

const ERROR_DOMAIN = "lumentra";
const DETAILS_KEY = "grpc-status-details-bin";
const TYPE_PREFIX = "type.googleapis.com/google.rpc.";

/** What is wrong with one field; `field` as in the proto: "tenant.config.time_zone". */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What of a status can be read back: `detail` of the error that fromServiceError makes. */
export interface RpcErrorDetail {
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: number;
  readonly requestId?: string;
  readonly info?: Readonly<Record<string, string>>;
}

/** S2. Codes whose own messages are for the log. */
const OWN_MESSAGE_HIDDEN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INTERNAL",
  "STORE_UNAVAILABLE",
  "DIRECTORY_UNAVAILABLE",
  "SECRET_KEY_MISSING",
]);

interface Codec {
  serialize(value: object): Buffer;
  deserialize(bytes: Buffer): unknown;
}

function codec(name: string): Codec {
  return packageDefinition[`google.rpc.${name}`] as unknown as Codec;
}

/** Of several wrong fields, one error; the message names the first. */
export function violated(
  violations: readonly FieldViolation[],
  code: ErrorCode = "REQUEST_INVALID",
): LumentraError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new LumentraError(
    code,
    `${first?.field ?? "request"} ${first?.description ?? "is invalid"}${more}`,
    { detail: { violations } },
  );
}

/** The code an error has, or INTERNAL. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof LumentraError ? error.code : "INTERNAL";
}

/** What a server answers for an error. */
export function toStatus(error: unknown, requestId: string): StatusObject {
  const code = codeOf(error);
  const { grpcStatus, meaning } = errorTable[code];
  const isOurs = OWN_MESSAGE_HIDDEN.has(code) || grpcStatus === "INTERNAL";
  const message = isOurs ? meaning : (error as LumentraError).message;
  const detail = (error instanceof LumentraError ? error.detail : {}) as RpcErrorDetail;
  const details = [pack("ErrorInfo", { reason: code, domain: ERROR_DOMAIN, metadata: detail.info ?? {} })];
  if (detail.violations !== undefined) {
    details.push(pack("BadRequest", { fieldViolations: detail.violations }));
  }
  if (detail.retryAfterMs !== undefined) {
    details.push(pack("RetryInfo", { retryDelay: toDuration(detail.retryAfterMs) }));
  }
  if (requestId !== "") details.push(pack("RequestInfo", { requestId }));
  const metadata = new Metadata();
  const numeric = status[grpcStatus];
  metadata.set(DETAILS_KEY, codec("Status").serialize({ code: numeric, message, details }));
  return { code: numeric, details: message, metadata };
}

function pack(name: string, value: object): object {
  return { type_url: `${TYPE_PREFIX}${name}`, value: codec(name).serialize(value) };
}

/** Codes of a status without our details: a proxy's, or gRPC's own. */
const BARE: Readonly<Partial<Record<status, ErrorCode>>> = {
  // A server that is killed, or shut down past its grace, resets its streams: so it looks when we did not cancel.
  [status.CANCELLED]: "CONTROL_PLANE_UNREACHABLE",
  [status.UNAVAILABLE]: "CONTROL_PLANE_UNREACHABLE",
  [status.DEADLINE_EXCEEDED]: "DEADLINE_EXCEEDED",
  [status.UNAUTHENTICATED]: "UNAUTHENTICATED",
  [status.PERMISSION_DENIED]: "PERMISSION_DENIED",
  [status.INVALID_ARGUMENT]: "REQUEST_INVALID",
  [status.NOT_FOUND]: "NOT_FOUND",
  // The only reason gRPC itself has.
  [status.RESOURCE_EXHAUSTED]: "MESSAGE_TOO_LARGE",
};

/** The error that the other side threw, by its code; anything that is no gRPC error is returned as it came. */
export function fromServiceError(error: unknown): Error {
  if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
  const detail: { -readonly [Key in keyof RpcErrorDetail]: RpcErrorDetail[Key] } = {};
  let code: ErrorCode | undefined;
  for (const { type_url: url, value } of detailsOf(error)) {
    if (url === `${TYPE_PREFIX}ErrorInfo`) {
      const info = codec("ErrorInfo").deserialize(value) as {
        reason: string;
        domain: string;
        metadata?: Record<string, string>;
      };
      if (info.domain !== ERROR_DOMAIN) continue;
      if (info.reason in errorTable) code = info.reason as ErrorCode;
      if (info.metadata !== undefined && Object.keys(info.metadata).length > 0) detail.info = info.metadata;
    } else if (url === `${TYPE_PREFIX}BadRequest`) {
      const { fieldViolations } = codec("BadRequest").deserialize(value) as {
        fieldViolations: FieldViolation[];
      };
      detail.violations = fieldViolations.map(({ field, description }) => ({ field, description }));
    } else if (url === `${TYPE_PREFIX}RetryInfo`) {
      const { retryDelay } = codec("RetryInfo").deserialize(value) as { retryDelay: WireTime | null };
      if (retryDelay) detail.retryAfterMs = fromDuration(retryDelay);
    } else if (url === `${TYPE_PREFIX}RequestInfo`) {
      detail.requestId = (codec("RequestInfo").deserialize(value) as { requestId: string }).requestId;
    }
  }
  return new LumentraError(code ?? BARE[error.code] ?? "INTERNAL", error.details || error.message, {
    detail: { ...detail },
    cause: error,
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === "number";
}

function detailsOf(error: ServiceError): readonly { type_url: string; value: Buffer }[] {
  const [bytes] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (!Buffer.isBuffer(bytes)) return [];
  try {
    return (codec("Status").deserialize(bytes) as { details: { type_url: string; value: Buffer }[] }).details;
  } catch {
    return []; // not ours: a proxy's bytes
  }
}
