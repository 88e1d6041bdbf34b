/** Requests to one shard that wait for their answer; each is settled once, and none waits for ever. */
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";

/** Asks are for metrics and admin pages, a few a second; more waiting means that the shard is not keeping up. */
const MAX_PENDING_ASKS = 256;

interface PendingAsk {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: TimerHandle;
}

export class AskTable {
  readonly #clock: Clock;
  readonly #shardId: number;
  readonly #pending = new Map<number, PendingAsk>();
  #nextId = 0;

  constructor(shardId: number, clock: Clock) {
    this.#shardId = shardId;
    this.#clock = clock;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** `send` posts the request with this id; when it throws, the promise rejects with that error. */
  add(topic: string, deadlineMs: number, send: (id: number) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= MAX_PENDING_ASKS) {
        const what = `shard ${this.#shardId} has ${MAX_PENDING_ASKS} requests waiting`;
        reject(new LumentraError("SHARD_ASKS_FULL", `${what}; "${topic}" was not sent`));
        return;
      }
      const id = this.#nextId++;
      send(id);
      const deadline = this.#clock.setTimer(deadlineMs, () => {
        const what = `shard ${this.#shardId} did not answer "${topic}" within ${deadlineMs} ms`;
        this.reject(id, new LumentraError("SHARD_ASK_TIMEOUT", what));
      });
      this.#pending.set(id, { resolve, reject, deadline });
    });
  }

  /** An answer that comes after the deadline is dropped. */
  resolve(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  reject(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  rejectAll(makeError: () => Error): void {
    for (const id of this.#pending.keys()) this.reject(id, makeError());
  }

  #take(id: number): PendingAsk | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.deadline.cancel();
    return pending;
  }
}
