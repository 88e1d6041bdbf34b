/**
 * LumentraError: an error with a code from the table. Branch on `code`, never on the class or message:
 * a class does not survive `postMessage`, so across a thread send `toWire(error)` and rebuild it with
 * `fromWire(wire)`.
 */
import { type ErrorCode, errorTable } from "./table.js";

export interface LumentraErrorOptions {
  /** The error underneath, kept for logs. */
  readonly cause?: unknown;
  /** Structured facts for logs; what callers say or dial goes under a `pii` key. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

export class LumentraError extends Error {
  override readonly name = "LumentraError";
  readonly code: ErrorCode;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: LumentraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? {};
  }

  /** Whether doing the same again later may succeed; from the table. */
  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }
}

/** What of an error crosses a thread or process: plain data, structured-cloneable. */
export interface WireError {
  readonly code: ErrorCode | "INTERNAL";
  readonly message: string;
  readonly retryable: boolean;
  readonly stack: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export function toWire(error: unknown): WireError {
  if (error instanceof LumentraError) {
    const { code, message, retryable, detail } = error;
    return { code, message, retryable, detail, stack: error.stack ?? "" };
  }
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  return { code: "INTERNAL", message, retryable: false, detail: {}, stack };
}

/** Rebuilds the error with the stack of the thread it came from; an unknown code becomes a plain Error. */
export function fromWire(wire: WireError): Error {
  const error =
    wire.code !== "INTERNAL" && wire.code in errorTable
      ? new LumentraError(wire.code, wire.message, { detail: wire.detail })
      : new Error(wire.message);
  error.stack = wire.stack;
  return error;
}
