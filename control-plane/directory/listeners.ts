/** Who wants to hear what, in this process: how both directories fan out. One function that is added twice hears twice. */

export class Listeners<Message> {
  readonly #listeners = new Set<(message: Message) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** Returns what takes it away again. */
  add(listener: (message: Message) => void): () => void {
    const own = (message: Message): void => listener(message);
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
  readonly #topics = new Map<string, Listeners<string>>();

  /** Returns what takes it away again, and is told when the topic has no other listener: once. */
  add(topic: string, listener: (message: string) => void): (onDeserted?: () => void) => void {
    const listeners = this.#topics.get(topic) ?? new Listeners();
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
