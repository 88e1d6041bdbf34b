/** What code that logs is handed; pino underneath. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
  /** A logger whose every line carries these fields: `log.child({ callId })`. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}
