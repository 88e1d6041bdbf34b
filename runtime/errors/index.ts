/**
 * Errors with codes.
 *
 * ```ts
 * throw new LumentraError("SETTING_INVALID", "LUMENTRA_EDGE_PORT must be 1 to 65535 (got 70000)");
 * port.postMessage({ kind: "failed", error: toWire(error) }); // and fromWire() on the other side
 * ```
 */
export { LumentraError, type LumentraErrorOptions, type WireError, fromWire, toWire } from "./error.js";
export type { ErrorDefinition, GrpcStatus } from "./definition.js";
export { type ErrorCode, errorTable } from "./table.js";
