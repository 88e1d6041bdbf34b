/** What to do when nobody speaks: ask, ask again, say goodbye. Nobody is left on a dead line. */

/** Time to think, and to look for a pen. */
export const SILENCE_PROMPT_AFTER_MS = 8_000;
/** Prompts before the goodbye. */
export const SILENCE_PROMPTS = 2;

export type SilenceStep = { readonly kind: "prompt"; readonly index: number } | { readonly kind: "goodbye" };

/** Counts prompts in a row; anything the caller does starts over. */
export class SilencePolicy {
  #promptCount: number;

  /** `promptCount`: how many there have been already, of another owner of the call. */
  constructor(promptCount = 0) {
    this.#promptCount = promptCount;
  }

  reset(): void {
    this.#promptCount = 0;
  }

  next(): SilenceStep {
    if (this.#promptCount >= SILENCE_PROMPTS) return { kind: "goodbye" };
    return { kind: "prompt", index: this.#promptCount++ };
  }
}
