/**
 * Promises that a call owes: conditions looked at after every frame and event, each with a timeout, and things
 * under way. All of them are rejected when the call ends, so nobody waits on a dead line.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";

interface Wait {
  readonly holds: () => boolean;
  readonly settle: (error: Error | null) => void;
}

export class Waits {
  readonly #clock: Clock;
  readonly #waits = new Set<Wait>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once `condition` holds, at the latest check; rejects with CALLER_WAIT_TIMEOUT. */
  until(what: string, timeoutMs: number, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        wait.settle(new LumentraError("CALLER_WAIT_TIMEOUT", `Waited ${timeoutMs} ms for ${what}, in vain`));
      });
      const wait: Wait = {
        holds: condition,
        settle: (error) => {
          timer.cancel();
          this.#waits.delete(wait);
          if (error === null) resolve();
          else reject(error);
        },
      };
      this.#waits.add(wait);
      this.check();
    });
  }

  /** Something under way: `reject` is called if the call ends before `release()`. */
  hold(reject: (error: Error) => void): { release(): void } {
    const wait: Wait = {
      holds: () => false,
      settle: (error) => {
        this.#waits.delete(wait);
        if (error !== null) reject(error);
      },
    };
    this.#waits.add(wait);
    return { release: () => this.#waits.delete(wait) };
  }

  check(): void {
    for (const wait of this.#waits) if (wait.holds()) wait.settle(null);
  }

  rejectAll(error: Error): void {
    for (const wait of this.#waits) wait.settle(error);
  }
}
