/**
 * A call as it happens, for a terminal: what the caller said, what the caller heard (word by word, decoded
 * from the audio that reached the phone) and what the journal says.
 *
 * C1 a line that the agent is speaking stays open and grows; journal lines wait until it is closed.
 * C2 lines are in the order in which they were learnt; a journal line shows when its event happened.
 */
import { createColors } from "picocolors";
import type { JournalEvent } from "#actors/journal";
import type { PhoneCall, PhoneEvent } from "#bench/caller";
import type { Clock } from "#runtime/actor";
import { describeJournalEvent } from "#actors/journal";
import { describeOutcome } from "./outcome.js";

export interface ConversationPrinterOptions {
  write(text: string): void;
  readonly clock: Clock;
  /** ANSI colours. */
  readonly colors: boolean;
  /** Where lines are broken. @default 100 */
  readonly columns?: number;
}

const COLUMNS = 100;
/** Time, speaker and the gaps between: where texts begin. */
const INDENT = 17;

export class ConversationPrinter {
  readonly #options: ConversationPrinterOptions;
  readonly #colors: ReturnType<typeof createColors>;
  readonly #startedAtMs: number;
  readonly #waiting: JournalEvent[] = [];
  #open = false;
  #column = 0;
  #agentSpeaking = false;

  constructor(options: ConversationPrinterOptions) {
    this.#options = options;
    this.#colors = createColors(options.colors);
    this.#startedAtMs = options.clock.nowMs();
  }

  /** Prints what happens in the call; returns the function that ends it. */
  watch(call: PhoneCall): () => void {
    return call.on((event) => this.#onEvent(event));
  }

  journal(event: JournalEvent): void {
    this.#waiting.push(event);
    if (!this.#open) this.#flushJournal();
  }

  /** A line of ours. */
  note(text: string): void {
    this.#closeLine();
    this.#line(this.#colors.dim("·"), text, (word) => this.#colors.dim(word));
  }

  /** Closes what is open and prints what waits. */
  end(): void {
    this.#closeLine();
    this.#flushJournal();
  }

  #onEvent(event: PhoneEvent): void {
    const colors = this.#colors;
    switch (event.kind) {
      case "streamStarted":
        this.#line(colors.dim("·"), "the line is open", (word) => colors.dim(word));
        return;
      case "agentStarted":
        this.#agentSpeaking = true;
        return;
      case "word":
        this.#agentWord(event.word.word);
        return;
      case "agentStopped":
        this.#agentSpeaking = false;
        this.#closeLine();
        this.#flushJournal();
        return;
      case "saying": {
        const interrupts = this.#agentSpeaking;
        this.#closeLine();
        this.#line(
          colors.cyan("caller"),
          interrupts ? `(interrupting) ${event.text}` : event.text,
          colors.bold,
        );
        return;
      }
      case "cleared":
        this.#closeLine();
        this.#line(colors.yellow("·"), "the agent stops: what it had not said yet is cut", colors.yellow);
        return;
      case "violation":
        this.#closeLine();
        this.#line(colors.red("!"), `${event.violation.code}: ${event.violation.detail}`, colors.red);
        return;
      case "agentDtmf":
        this.#closeLine();
        this.#line(colors.green("agent"), `presses ${event.digit}`, colors.bold);
        return;
      case "verb":
        if (event.verb.kind === "connectStream" || event.verb.kind === "redirect") return;
        this.#line(colors.dim("·"), `markup: ${JSON.stringify(event.verb)}`, colors.dim);
        return;
      case "said":
        return;
      case "ended": {
        this.#closeLine();
        this.#line(colors.dim("·"), describeOutcome(event.outcome), (word) => colors.dim(word));
        return;
      }
    }
  }

  #agentWord(word: string): void {
    if (!this.#open) {
      this.#begin(this.#colors.green("agent"));
      this.#open = true;
    }
    this.#word(word, (text) => text);
  }

  #closeLine(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.write("\n");
  }

  #flushJournal(): void {
    const { dim } = this.#colors;
    for (const event of this.#waiting) {
      this.#line(dim("journal"), describeJournalEvent(event), (word) => dim(word), event.atMs);
    }
    this.#waiting.length = 0;
  }

  #line(who: string, text: string, style: (word: string) => string, atMs?: number): void {
    this.#begin(who, atMs);
    for (const word of text.split(" ")) this.#word(word, style);
    this.#options.write("\n");
  }

  #begin(who: string, atMs: number = this.#options.clock.nowMs()): void {
    const seconds = (Math.max(0, atMs - this.#startedAtMs) / 1000).toFixed(1);
    // Colours take no room on the screen.
    const width = who.replaceAll(ANSI, "").length;
    this.#options.write(
      `${this.#colors.dim(`${seconds.padStart(6)} s`)}  ${who}${" ".repeat(Math.max(1, 7 - width))}`,
    );
    this.#column = INDENT;
  }

  #word(word: string, style: (word: string) => string): void {
    const columns = this.#options.columns ?? COLUMNS;
    if (this.#column + 1 + word.length > columns && this.#column > INDENT) {
      this.#options.write(`\n${" ".repeat(INDENT)}`);
      this.#column = INDENT;
    }
    const gap = this.#column === INDENT ? "" : " ";
    this.#options.write(gap + style(word));
    this.#column += gap.length + word.length;
  }
}

// biome-ignore format: an escape, a bracket, digits and an m
const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");
