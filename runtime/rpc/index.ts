/**
 * gRPC as both sides of the control plane use it.
 *
 * ```ts
 * const rpc = new RpcClient({ target: "127.0.0.1:50051", security: { insecure: false }, bearer: () => apiKey });
 * const { tenant } = await rpc.call("TenantService", "GetTenant", { tenantId: "dentist" }); // LumentraError NOT_FOUND
 * const stream = rpc.watch("TenantService", "WatchTenants", { resumeToken: "" });
 * stream.on("error", (error) => log.warn({ error: fromServiceError(error) }, "stream ended"));
 * rpc.close();
 * ```
 */
export {
  MAX_ANSWER_BYTES,
  MAX_REQUEST_BYTES,
  type MethodName,
  type RpcAnswer,
  RpcClient,
  type RpcClientOptions,
  type RpcRequest,
  type ServiceName,
  type UnaryOptions,
} from "./client.js";
export { type ClientSecurity, type ServerSecurity, type Target, serverCredentials } from "./credentials.js";
export {
  type FieldViolation,
  type RpcErrorDetail,
  codeOf,
  fromServiceError,
  toStatus,
  violated,
} from "./status.js";
export { type WireTime, fromDuration, fromTimestamp, toDuration, toTimestamp } from "./time.js";
