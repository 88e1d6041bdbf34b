/**
 * Who wants to hear what, in this process: how both directories fan out. One function that is added twice hears twice. One
 * that throws harms nobody else, nor who tells: it is logged.
 */
import type { Logger } from "#runtime/telemetry";

export class Listeners<Message> {
  readonly #log: Logger;
  readonly #listeners = new Set<(message: Message) => void>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** Returns what takes it away again. */
  add(listener: (message: Message) => void): () => void {
    const own = (message: Message): void => {
      try {
        listener(message);
      } catch (error) {
        this.#log.error({ err: error }, "a listener of the directory threw");
      }
    };
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(message: Message): void {
    for (const listener of this.#listeners) listener(message);
  }

  /** Tells those that listen now, later: whoever has been taken away by then hears nothing. */
  later(): (message: Message) => void {
    const listeners = [...this.#listeners];
    return (message) => {
      for (const listener of listeners) if (this.#listeners.has(listener)) listener(message);
    };
  }

  clear(): void {
    this.#listeners.clear();
  }
}

export class Topics {
  readonly #log: Logger;
  readonly #topics = new Map<string, Listeners<string>>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Returns what takes it away again, and is told when the topic has no other listener: once. */
  add(topic: string, listener: (message: string) => void): (onDeserted?: () => void) => void {
    const listeners = this.#topics.get(topic) ?? new Listeners(this.#log);
    this.#topics.set(topic, listeners);
    const remove = listeners.add(listener);
    return (onDeserted) => {
      remove();
      if (listeners.size > 0 || this.#topics.get(topic) !== listeners) return;
      this.#topics.delete(topic);
      onDeserted?.();
    };
  }

  /** Undefined: nobody listens. */
  of(topic: string): Listeners<string> | undefined {
    return this.#topics.get(topic);
  }

  clear(): void {
    for (const listeners of this.#topics.values()) listeners.clear();
    this.#topics.clear();
  }
}
