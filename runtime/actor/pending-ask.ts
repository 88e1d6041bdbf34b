/** One ask under way: settled once, by the reply, the deadline or the end of the actor. */
import { type ErrorCode, LumentraError } from "#runtime/errors";
import type { Clock, TimerHandle } from "./clock.js";

export class PendingAsk<R> {
  readonly #path: string;
  readonly #resolve: (value: R) => void;
  readonly #reject: (error: LumentraError) => void;
  readonly #onSettled: (ask: PendingAsk<R>) => void;
  readonly #timer: TimerHandle;
  #settled = false;

  constructor(options: {
    path: string;
    clock: Clock;
    deadlineMs: number;
    resolve: (value: R) => void;
    reject: (error: LumentraError) => void;
    onSettled: (ask: PendingAsk<R>) => void;
  }) {
    this.#path = options.path;
    this.#resolve = options.resolve;
    this.#reject = options.reject;
    this.#onSettled = options.onSettled;
    this.#timer = options.clock.setTimer(options.deadlineMs, () =>
      this.fail("ACTOR_ASK_TIMEOUT", `did not answer within ${options.deadlineMs} ms`),
    );
  }

  /** A reply that comes too late, or a second one, is ignored. */
  reply(value: R): void {
    if (this.#settle()) this.#resolve(value);
  }

  fail(code: ErrorCode, what: string, cause?: unknown): void {
    if (this.#settle()) this.#reject(new LumentraError(code, `${this.#path} ${what}`, { cause }));
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timer.cancel();
    this.#onSettled(this);
    return true;
  }
}
