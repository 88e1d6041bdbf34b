/** What the table of error codes says of each. */

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
  /** One line: what whoever reads it does about it. */
  readonly remedy: string;
}
