/** What to do when nobody speaks: ask, ask again, say goodbye. Nobody is left on a dead line. */
import type { Clock, TimerHandle } from "#runtime/actor";

/** Time to think, and to look for a pen. */
export const SILENCE_PROMPT_AFTER_MS = 8_000;
/** Prompts before the goodbye. */
const SILENCE_PROMPTS = 2;

export interface SilenceDeps {
  readonly clock: Clock;
  readonly guard: (body: () => void) => void;
  /** The caller has the floor, and nothing is being prepared. */
  readonly isListening: () => boolean;
  /** The caller makes a sound right now. */
  readonly isSpeech: () => boolean;
  readonly onPrompt: (index: number) => void;
  readonly onGoodbye: () => void;
}

/** Counts the prompts in a row; anything the caller does starts over. */
export class Silence {
  readonly #deps: SilenceDeps;
  #promptCount: number;
  #quietSinceMs = 0;
  #timer: TimerHandle | null = null;

  /** `promptCount`: how many there have been already, of another owner of the call. */
  constructor(deps: SilenceDeps, promptCount = 0) {
    this.#deps = deps;
    this.#promptCount = promptCount;
  }

  /** The caller did something. */
  onActivity(): void {
    this.#promptCount = 0;
    // A sound that leads to no turn must not disarm the prompts for good.
    if (this.#deps.isListening()) this.arm();
  }

  /** From now on nobody does anything. Asked for each frame of speech: a timer that runs is left to run. */
  arm(): void {
    const { clock } = this.#deps;
    this.#quietSinceMs = clock.nowMs();
    if (this.#timer === null) this.#wait(SILENCE_PROMPT_AFTER_MS);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #wait(delayMs: number): void {
    const { clock, guard } = this.#deps;
    this.#timer = clock.setTimer(delayMs, () => guard(() => this.#onTimer()));
  }

  #onTimer(): void {
    const { clock, isListening, isSpeech, onPrompt, onGoodbye } = this.#deps;
    this.#timer = null;
    if (!isListening()) return;
    if (isSpeech()) return this.arm();
    const leftMs = this.#quietSinceMs + SILENCE_PROMPT_AFTER_MS - clock.nowMs();
    if (leftMs > 0) return this.#wait(leftMs);
    if (this.#promptCount >= SILENCE_PROMPTS) return onGoodbye();
    onPrompt(this.#promptCount++);
  }
}
