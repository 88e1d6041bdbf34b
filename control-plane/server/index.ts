/**
 * The gRPC server.
 *
 * ```ts
 * const server = await ControlServer.start({ security, port: 50_051, services, check, authenticator, … });
 * await server.drain(10_000);
 *
 * export function createUsageService({ store }: Deps): ServiceOf<UsageServiceHandlers> {
 *   return { QueryUsage: (request, caller) => store.transaction(caller.scope, caller.actor, …) };
 * }
 * ```
 */
export { type Caller, nodeOf } from "./caller.js";
export type { ServiceOf, Services, StreamHandler, UnaryHandler, WatchHandler } from "./handlers.js";
export { type ControlPlaneMetrics, createControlPlaneMetrics } from "./metrics.js";
export { AdminServer, type AdminOptions } from "./admin.js";
export { ControlServer, type ControlServerOptions } from "./server.js";
