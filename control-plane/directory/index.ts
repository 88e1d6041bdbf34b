/**
 * The hot shared state of all control planes: Redis for many, memory for one.
 *
 * ```ts
 * const directory = openDirectory({ url: settings.REDIS_URL, prefix: settings.LUMENTRA_REDIS_PREFIX, clock, log });
 * directory.onRebuild(() => streams.askAllToRegisterAgain());
 * const result = await directory.reserve({ callId, carrier, carrierCallId, nodeIds: ["n1", "n2"], pickOf: 2, … });
 * await directory.close();
 * ```
 */
export type {
  Counts,
  Directory,
  Lease,
  LeaseClaim,
  LeaseVerdict,
  NodeRecord,
  NodeRegistration,
  NodeReport,
  Pressure,
  ReserveRequest,
  ReserveResult,
  Rung,
} from "./directory.js";
export { MemoryDirectory, type MemoryDirectoryOptions } from "./memory-directory.js";
export { type OpenDirectoryOptions, openDirectory } from "./open-directory.js";
export { RedisDirectory, type RedisDirectoryOptions } from "./redis-directory.js";
export { parseRedisUrl } from "./redis-url.js";
