/**
 * The pino logger behind `Logger`: one line of JSON per event, on the main thread and in shards alike.
 *
 * Invariants:
 * L1  A value under a `pii` key is written only when `logPii` is set; the key stays, so that a reader
 *     sees that something was left out.
 * L2  A value under a key that names a secret is never written, whatever the options.
 * L3  A line is bounded: depth, entries per object and characters per string.
 * L4  Writing never waits for the reader of the log: a slow pipe costs lines past a bound, not calls (log-output.ts).
 */
import { pino } from "pino";
import { toWire } from "#runtime/errors";
import { logOutput } from "./log-output.js";
import type { Logger } from "./logger.js";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Who writes: `node`, `shard-0`. In the field `name` of every line. */
  readonly name: string;
  /** Anything with `write(line)` will do, a test's array for one. @default "stdout" */
  readonly destination?: "stdout" | "stderr" | { write(line: string): void };
  /** Write what callers said and dialled too. For a developer's own machine. @default false */
  readonly logPii?: boolean;
}

/** L3. Deeper than any field of ours; what lies below is left out. */
const DEPTH_MAX = 6;
/** L3. Per object or array. */
const ENTRIES_MAX = 64;
/** L3. A stack trace of thirty frames fits. */
const STRING_MAX_CHARS = 4_096;
/** L2. Compared in lower case without `-` and `_`. */
const SECRET_KEYS: ReadonlySet<string> = new Set([
  "apikey",
  "apikeys",
  "authtoken",
  "authtokens",
  "authorization",
  "bearertoken",
  "cookie",
  "mediatoken",
  "password",
  "secret",
  "signature",
  "signingkey",
  "token",
]);

export function createLogger(options: LoggerOptions): Logger {
  const inner = pino(
    {
      level: options.level,
      name: options.name,
      // The reader of a file with many nodes' lines knows the host from the collector.
      base: { name: options.name },
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destinationOf(options.destination ?? "stdout"),
  );
  return new PinoLogger(inner, options.logPii ?? false);
}

/** A logger that writes nothing, for tests and tools. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

class PinoLogger implements Logger {
  #inner: pino.Logger;
  readonly #logPii: boolean;
  /** Not in `#inner` yet: a child of pino's takes 1 KiB and a hidden class of its own, and most calls log nothing. */
  #fields: Readonly<Record<string, unknown>> | null;

  constructor(inner: pino.Logger, logPii: boolean, fields: Readonly<Record<string, unknown>> | null = null) {
    this.#inner = inner;
    this.#logPii = logPii;
    this.#fields = fields;
  }

  debug(fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#inner.isLevelEnabled("debug")) this.#own().debug(this.#clean(fields), message);
  }

  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#inner.isLevelEnabled("info")) this.#own().info(this.#clean(fields), message);
  }

  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#inner.isLevelEnabled("warn")) this.#own().warn(this.#clean(fields), message);
  }

  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#inner.isLevelEnabled("error")) this.#own().error(this.#clean(fields), message);
  }

  child(fields: Readonly<Record<string, unknown>>): Logger {
    const more = this.#clean(fields);
    return new PinoLogger(this.#inner, this.#logPii, Object.assign({}, this.#fields, more));
  }

  #own(): pino.Logger {
    if (this.#fields === null) return this.#inner;
    this.#inner = this.#inner.child(this.#fields);
    this.#fields = null;
    return this.#inner;
  }

  #clean(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return cleanObject(fields, this.#logPii, 0);
  }
}

function destinationOf(
  destination: "stdout" | "stderr" | { write(line: string): void },
): pino.DestinationStream {
  if (typeof destination === "object") return destination;
  return logOutput(destination === "stdout" ? 1 : 2);
}

function cleanObject(source: object, logPii: boolean, depth: number): Record<string, unknown> {
  const target: Record<string, unknown> = {};
  let count = 0;
  for (const [key, value] of Object.entries(source)) {
    if (++count > ENTRIES_MAX) {
      target["…"] = "more entries left out";
      break;
    }
    if (key === "pii" && !logPii) target[key] = "[left out]";
    else if (isSecretKey(key)) target[key] = "[secret]";
    else target[key] = cleanValue(value, logPii, depth + 1);
  }
  return target;
}

function cleanValue(value: unknown, logPii: boolean, depth: number): unknown {
  if (typeof value === "string") {
    return value.length > STRING_MAX_CHARS ? `${value.slice(0, STRING_MAX_CHARS)}…` : value;
  }
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value === "function") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (depth > DEPTH_MAX) return "[too deep]";
  if (value instanceof Error) return cleanError(value, logPii, depth);
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) {
    return value.slice(0, ENTRIES_MAX).map((entry) => cleanValue(entry, logPii, depth + 1));
  }
  return cleanObject(value, logPii, depth);
}

/** Code, message and detail are kept, and the cause in turn: its own message is often the useful one. */
function cleanError(error: Error, logPii: boolean, depth: number): Record<string, unknown> {
  const cleaned = cleanObject(toWire(error), logPii, depth);
  if (error.cause !== undefined) cleaned["cause"] = cleanValue(error.cause, logPii, depth + 1);
  return cleaned;
}

function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key.replaceAll(/[-_]/g, "").toLowerCase());
}
