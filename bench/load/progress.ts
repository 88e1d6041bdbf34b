/** The load as it runs: one line that is written over in a terminal, a plain line every few seconds elsewhere. */
import type { LoadWindow } from "./results.js";

/** Between two lines where nobody watches them scroll. */
const PLAIN_EVERY_S = 5;

export class Progress {
  readonly #write: (text: string) => void;
  readonly #live: boolean;
  readonly #totalS: number;
  #turns = 0;
  #wrong = 0;
  #lost = 0;
  #answers = 0;
  #lastPlainS = Number.NEGATIVE_INFINITY;

  constructor(write: (text: string) => void, live: boolean, totalS: number) {
    this.#write = write;
    this.#live = live;
    this.#totalS = totalS;
  }

  show(window: LoadWindow): void {
    this.#turns += window.turns;
    this.#wrong += window.wrong;
    this.#lost += window.refused + window.failed;
    this.#answers += window.answers ?? 0;
    const line = this.#lineOf(window);
    if (this.#live) {
      this.#write(`\r\u001b[2K${line}`);
    } else if (window.atS - this.#lastPlainS >= PLAIN_EVERY_S) {
      this.#lastPlainS = window.atS;
      this.#write(`${line}\n`);
    }
  }

  /** Leaves the line for what follows. */
  end(): void {
    if (this.#live) this.#write("\r\u001b[2K");
  }

  #lineOf(window: LoadWindow): string {
    const cores = (value: number | null): string => (value === null ? "–" : value.toFixed(2));
    const ms = (value: number | null | undefined): string =>
      value == null ? "–" : `${Math.round(value)} ms`;
    const at = `${Math.round(window.atS)}/${Math.round(this.#totalS)} s ${window.phase}`;
    if (window.answerMs !== undefined) {
      const used = `cores: what answers ${cores(window.nodeCores)}, the generator ${cores(window.generatorCores)}`;
      return `${at} · ${this.#answers} answers · p99 ${ms(window.answerMs?.p99)} · ${used}`;
    }
    const parts = [
      at,
      `${window.up} up`,
      `${this.#turns} turns${this.#wrong > 0 ? `, ${this.#wrong} WRONG` : ""}`,
      ...(this.#lost > 0 ? [`${this.#lost} refused or failed`] : []),
      `voice to voice p99 ${ms(window.voiceToVoiceMs?.p99)}`,
      `pacing p99 ≤ ${ms(window.pacingP99Ms)}`,
      `cores: node ${cores(window.nodeCores)} (edge ${cores(window.edgeCores)}), callers ${cores(window.generatorCores)}, emulators ${cores(window.emulatorCores)}`,
    ];
    return parts.join(" · ");
  }
}
