/**
 * The words of one stream between the instant their audio was decoded and the drawn instant at which the
 * vendor would show them; no word is due before the one ahead of it.
 */
import { drawMs } from "../distribution.js";
import type { EmulatorSettings } from "../options.js";
import type { HeardWord } from "./recognizer.js";

export interface DueWord extends HeardWord {
  readonly dueAtMs: number;
}

const NONE: readonly DueWord[] = [];

export class DueWords {
  readonly #settings: EmulatorSettings;
  readonly #words: DueWord[] = [];

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
  }

  get count(): number {
    return this.#words.length;
  }

  /** Infinity without one. */
  get firstDueAtMs(): number {
    return this.#words[0]?.dueAtMs ?? Infinity;
  }

  /** 0 without one. */
  get lastDueAtMs(): number {
    return this.#words.at(-1)?.dueAtMs ?? 0;
  }

  hear(word: HeardWord): void {
    const { latency, random } = this.#settings;
    const delayMs = drawMs(latency.sttInterimMs, random);
    this.#words.push({ ...word, dueAtMs: Math.max(word.receivedAtMs + delayMs, this.lastDueAtMs) });
  }

  /** In order; none of them comes again. */
  takeDue(nowMs: number): readonly DueWord[] {
    if (this.firstDueAtMs > nowMs) return NONE; // asked for each piece of audio
    const later = this.#words.findIndex(({ dueAtMs }) => dueAtMs > nowMs);
    return this.#words.splice(0, later < 0 ? this.#words.length : later);
  }

  takeAll(): DueWord[] {
    return this.#words.splice(0);
  }
}
