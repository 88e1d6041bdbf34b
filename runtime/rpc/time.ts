/** Instants and durations as they cross the wire. Ours are milliseconds; nanoseconds below one are dropped. */

/** Both of google's: a Timestamp since 1970, or a Duration. */
export interface WireTime {
  readonly seconds: number;
  readonly nanos: number;
}

/** google.protobuf.Duration of milliseconds. */
export function toDuration(ms: number): WireTime {
  const seconds = Math.trunc(ms / 1_000);
  return { seconds, nanos: Math.round((ms - seconds * 1_000) * 1e6) };
}

/** Milliseconds, rounded once, so that a duration in nanoseconds comes back as it went; 0 for none. */
export function fromDuration(duration: WireTime | null | undefined): number {
  return duration ? (duration.seconds * 1e9 + duration.nanos) / 1e6 : 0;
}

/** google.protobuf.Timestamp of a wall-clock instant; null for null. */
export function toTimestamp(instant: Date | number): WireTime;
export function toTimestamp(instant: Date | number | null): WireTime | null;
export function toTimestamp(instant: Date | number | null): WireTime | null {
  if (instant === null) return null;
  const unixMs = typeof instant === "number" ? instant : instant.getTime();
  const seconds = Math.floor(unixMs / 1_000);
  return { seconds, nanos: Math.round((unixMs - seconds * 1_000) * 1e6) };
}

/** Null for none. */
export function fromTimestamp(timestamp: WireTime | null | undefined): Date | null {
  return timestamp ? new Date(timestamp.seconds * 1_000 + Math.trunc(timestamp.nanos / 1e6)) : null;
}
