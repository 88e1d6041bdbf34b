/** An answer that may be late: what comes in time is given to one, what comes after it to another. */
import type { Clock } from "#runtime/actor";
import type { LoopTurns } from "./loop-turns.js";

export interface AnswerHandlers<Answer> {
  /** In time. */
  readonly onAnswer: (answer: Answer) => void;
  /** The promise was rejected in time. */
  readonly onError: (error: unknown) => void;
  /** The time is up. */
  readonly onTimeout: () => void;
  /** It came after all: what it holds must be given back. A late rejection is dropped. */
  readonly onLate: (answer: Answer) => void;
}

/** Calls exactly one of onAnswer, onError and onTimeout, and onLate at most after the last. */
export function awaitBounded<Answer>(
  clock: Clock,
  answer: Promise<Answer>,
  timeoutMs: number,
  turns: LoopTurns,
  handlers: AnswerHandlers<Answer>,
): void {
  let isLate = false;
  const noHurry = turns.hurry();
  const timer = clock.setTimer(timeoutMs, () => {
    isLate = true;
    noHurry();
    handlers.onTimeout();
  });
  answer.then(
    (value) => {
      if (isLate) return handlers.onLate(value);
      timer.cancel();
      noHurry();
      handlers.onAnswer(value);
    },
    (error: unknown) => {
      if (isLate) return;
      timer.cancel();
      noHurry();
      handlers.onError(error);
    },
  );
}
