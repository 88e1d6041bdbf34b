/** The load as it runs: one line that is written over in a terminal, a plain line every few seconds elsewhere. */
import type { LoadWindow } from "./results.js";

/** Between two lines where nobody watches them scroll. */
const PLAIN_EVERY_S = 5;
/** Where nobody says how wide it is. */
const COLUMNS = 80;
const BETWEEN = " · ";

export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** Lines are written over. */
  readonly live: boolean;
  readonly totalS: number;
  /** Of the terminal just now: a line that is wider would stay behind, and scroll. */
  readonly columns?: () => number | undefined;
}

export class Progress {
  readonly #write: (text: string) => void;
  readonly #live: boolean;
  readonly #totalS: number;
  readonly #columns: () => number | undefined;
  #turns = 0;
  #wrong = 0;
  #lost = 0;
  #answers = 0;
  #lastPlainS = Number.NEGATIVE_INFINITY;

  /** Live in a terminal that knows how to write a line over, and that a person looks at. */
  static of(output: { write(text: string): void }, totalS: number): Progress {
    const { stdout, env } = process;
    const live = stdout.isTTY && env.TERM !== "dumb" && (env.CI ?? "") === "";
    const progress = new Progress({
      write: (text) => output.write(text),
      live,
      totalS,
      columns: () => stdout.columns,
    });
    progress.#say("starting, and warming up …");
    return progress;
  }

  constructor({ write, live, totalS, columns = () => undefined }: ProgressOptions) {
    this.#write = write;
    this.#live = live;
    this.#totalS = totalS;
    this.#columns = columns;
  }

  show(window: LoadWindow): void {
    this.#turns += window.turns;
    this.#wrong += window.wrong;
    this.#lost += window.refused + window.failed;
    this.#answers += window.answers ?? 0;
    const parts = this.#partsOf(window);
    const line = parts.join(BETWEEN);
    if (this.#live) this.#say(fitted(parts, (this.#columns() ?? COLUMNS) - 1));
    else if (window.atS - this.#lastPlainS >= PLAIN_EVERY_S) {
      this.#lastPlainS = window.atS;
      this.#write(`${line}\n`);
    }
  }

  /** Leaves the line for what follows. */
  end(): void {
    if (this.#live) this.#write("\r\u001b[2K");
  }

  #say(line: string): void {
    if (this.#live) this.#write(`\r\u001b[2K${line}`);
  }

  /** What matters most comes first. */
  #partsOf(window: LoadWindow): string[] {
    const cores = (value: number | null): string => (value === null ? "–" : value.toFixed(2));
    const ms = (value: number | null | undefined): string =>
      value == null ? "–" : `${Math.round(value)} ms`;
    const at = `${Math.round(window.atS)}/${Math.round(this.#totalS)} s ${window.phase}`;
    if (window.answerMs !== undefined) {
      const used = `cores: what answers ${cores(window.nodeCores)}, the generator ${cores(window.generatorCores)}`;
      return [at, `${this.#answers} answers`, `p99 ${ms(window.answerMs?.p99)}`, used];
    }
    return [
      at,
      `${window.up} up`,
      `${this.#turns} turns${this.#wrong > 0 ? `, ${this.#wrong} WRONG` : ""}`,
      ...(this.#lost > 0 ? [`${this.#lost} refused or failed`] : []),
      `voice to voice p99 ${ms(window.voiceToVoiceMs?.p99)}`,
      `pacing p99 ≤ ${ms(window.pacingP99Ms)}`,
      `cores: node ${cores(window.nodeCores)} (edge ${cores(window.edgeCores)}), callers ${cores(window.generatorCores)}, emulators ${cores(window.emulatorCores)}`,
    ];
  }
}

/** As many parts as there is room for, and of the first as much as there is. */
export function fitted(parts: readonly string[], columns: number): string {
  let line = (parts[0] ?? "").slice(0, columns);
  for (const part of parts.slice(1)) {
    if (line.length + BETWEEN.length + part.length > columns) break;
    line += BETWEEN + part;
  }
  return line;
}
