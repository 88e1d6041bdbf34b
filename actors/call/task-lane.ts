/** Runs at most so many tasks at once; the others wait in the order they came. */
export class TaskLane {
  readonly #concurrency: number;
  readonly #waiting: (() => void)[] = [];
  #runningCount = 0;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Settles as the task does. A task that fails gives its place on like any other. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#runningCount >= this.#concurrency) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#runningCount += 1;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#runningCount -= 1;
      else next(); // the place is handed over: nobody who comes in between takes it
    }
  }
}
