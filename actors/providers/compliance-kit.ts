/** What the three compliance suites share: virtual time, a log that is kept, and a record of events. */
import { inspect } from "node:util";
import type { VirtualClock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";

/** The key each suite plants; it must turn up nowhere. */
export const PLANTED_KEY = "planted-key-0123456789abcdef";

/** Keeps every line; `text` is all of them, fields and `pii` included. */
export class KeptLog implements Logger {
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[] = [];

  get text(): string {
    return inspect(this.lines, { depth: null, maxStringLength: null, maxArrayLength: null });
  }

  debug(fields: object, message: string): void {
    this.lines.push({ level: "debug", fields, message });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }

  child(): Logger {
    return this;
  }
}

export interface Recorded {
  readonly name: string;
  readonly value: unknown;
}

/**
 * A record of one stream's events. It notices an event that runs inside a call of ours (`calling`), and one
 * that comes after the stream's end.
 */
export class Recorder {
  readonly events: Recorded[] = [];
  readonly faults: string[] = [];
  error: LumentraError | null = null;
  /** Virtual time of the last event that was no error, and of the error. */
  lastEventAtMs = 0;
  errorAtMs = 0;
  readonly #clock: VirtualClock;
  #inCall = false;
  #ended = false;
  readonly #waiting: { readonly condition: () => boolean; readonly resolve: () => void }[] = [];

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Runs a call of ours on the stream or the provider. */
  calling<T>(call: () => T): T {
    this.#inCall = true;
    try {
      return call();
    } finally {
      this.#inCall = false;
    }
  }

  /** We ended the stream: nothing may follow. */
  end(): void {
    this.#ended = true;
  }

  record(name: string, value: unknown, terminal = false): void {
    if (this.#inCall) this.faults.push(`${name} inside a call of ours`);
    if (this.#ended) this.faults.push(`${name} after the end`);
    if (terminal) this.#ended = true;
    if (name === "onError") this.errorAtMs = this.#clock.nowMs();
    else this.lastEventAtMs = this.#clock.nowMs();
    this.events.push({ name, value });
    this.#check();
  }

  fail(error: LumentraError): void {
    this.error = error;
    this.record("onError", error.code, true);
  }

  names(): readonly string[] {
    return this.events.map((event) => event.name);
  }

  values(name: string): readonly unknown[] {
    return this.events.filter((event) => event.name === name).map((event) => event.value);
  }

  /** Resolves once the condition holds; asked after every event. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ condition, resolve });
      this.#check();
    });
  }

  untilEvent(name: string, count = 1): Promise<void> {
    return this.until(() => this.values(name).length >= count);
  }

  /** The error the stream ends with. */
  async untilError(): Promise<LumentraError> {
    await this.untilEvent("onError");
    return this.error!;
  }

  #check(): void {
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const waiting = this.#waiting[index]!;
      if (!waiting.condition()) continue;
      this.#waiting.splice(index, 1);
      waiting.resolve();
    }
  }
}

/** For what another side does over sockets: looks again after each turn of the event loop. The test's own time-out bounds it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

/** Some turns of the event loop, in which what must not happen could have. */
export async function quietTurns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

/** Virtual time moved on in steps, with turns of the event loop between them, until the condition holds. */
export async function advanceUntil(
  clock: VirtualClock,
  condition: () => boolean,
  stepMs = 100,
): Promise<void> {
  while (!condition()) {
    clock.advance(stepMs);
    await quietTurns();
  }
}
