/**
 * What happens when an event handler throws: it is logged and the stream goes on. The fault is its call's,
 * and neither the socket under it nor the deadlines of other calls must feel it.
 */
import type { Logger } from "#runtime/telemetry";

export function logThrown(log: Logger, provider: string, callId: string, error: unknown): void {
  // Its text may quote what it was handling.
  const pii = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  log.error({ provider, callId, pii }, "an event handler threw");
}
