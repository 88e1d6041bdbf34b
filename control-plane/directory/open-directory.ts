/**
 * Which directory a control plane uses: Redis when there is a URL, its own memory when there is none.
 */
import type { Clock } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { Directory } from "./directory.js";
import { REBUILD_MS } from "./limits.js";
import { MemoryDirectory } from "./memory-directory.js";
import { RedisDirectory } from "./redis-directory.js";

export interface OpenDirectoryOptions {
  /**
   * `redis://[user:password@]host[:port][/db]`, `rediss://` over TLS; several of them, comma separated, or
   * `redis+cluster://host:port,host:port` (`rediss+cluster://`) for Redis Cluster. Undefined: memory.
   */
  readonly url: string | undefined;
  /** Begins every key; deployments that share a Redis need different ones. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long nothing is granted after a loss of memory (D4), in ms. @default REBUILD_MS */
  readonly rebuildMs?: number;
}

/** @throws LumentraError SETTING_INVALID. Returns at once; commands wait for the first connection, for a bounded time. */
export function openDirectory(options: OpenDirectoryOptions): Directory {
  const { url, prefix, log } = options;
  const rebuildMs = options.rebuildMs ?? REBUILD_MS;
  if (url !== undefined) return new RedisDirectory({ url, prefix, log, rebuildMs });
  return new MemoryDirectory({ clock: options.clock, log, rebuildMs });
}
