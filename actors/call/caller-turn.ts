/**
 * What the caller says, as turns: the number of the present one, the words of it that wait for an answer, and what of it
 * journal and history are told.
 *
 *   words ──take──> owed an answer ──record──> a turn: in journal and history
 *     ^                    │
 *     └───carry: he adds───┘
 *
 * Invariants
 * CT1 every turn enters journal and history once, before its answer and after what was heard of the reply that it cut.
 *     Until then the journal has it as progress: another owner answers it.
 */
import type { VoiceActivity } from "#actors/speech";
import type { AudioInstants } from "./audio-instants.js";
import type { History } from "./history.js";
import type { JournalWriter } from "./journal-writer.js";
import type { Listener } from "./listener.js";
import { ToldWords } from "./told-words.js";

export interface CallerTurnDeps {
  readonly vad: VoiceActivity;
  readonly listener: Listener;
  readonly instants: AudioInstants;
  readonly history: History;
  readonly journal: JournalWriter;
}

export class CallerTurn {
  readonly #deps: CallerTurnDeps;
  readonly #told: ToldWords;
  #number = 0;
  /** Said in a turn whose reply was thrown away, and not yet in the history. */
  #carried = "";
  #isAnswerOwed = false;
  #isRecorded = false;

  constructor(deps: CallerTurnDeps) {
    this.#deps = deps;
    this.#told = new ToldWords(deps);
  }

  /** Of the last turn that was recorded; the greeting is part of turn 0. */
  get number(): number {
    return this.#number;
  }

  /** The reply to what was taken last was thrown away, for words that the caller added: they are answered together. */
  get isAnswerOwed(): boolean {
    return this.#isAnswerOwed;
  }

  /** Another owner's last turn, and how far its journal tells what the caller said. */
  takeUp(number: number, toldMs: number, throughAtMs: number | null): void {
    this.#number = number;
    this.#told.takeUp(toldMs, throughAtMs);
  }

  /** What an answer would be to: what was carried, and these words. */
  withCarried(words: string): string {
    return [this.#carried, words].filter(Boolean).join(" ");
  }

  /** The listener's words were taken: they are owed an answer, with what was carried. */
  take(words: string): string {
    this.#told.onTaken();
    const said = this.withCarried(words);
    this.#carried = "";
    this.#isAnswerOwed = false;
    if (said !== "") this.#isRecorded = false;
    return said;
  }

  /** Another owner took them; none when they are in the history already. */
  owe(said: string): void {
    this.#isRecorded = said === "";
  }

  /** Their answer is not wanted any more: what the caller says next joins them. */
  carry(said: string): void {
    this.#carried = this.#isRecorded ? "" : said;
    this.#isAnswerOwed = true;
  }

  /** CT1; false: there is nothing that is not recorded. */
  record(said: string): boolean {
    if (said === "" || this.#isRecorded) return false;
    this.#isRecorded = true;
    this.#number += 1;
    this.#deps.history.addCaller(said);
    const { throughAtMs } = this.#told;
    this.#deps.journal.record({ kind: "callerTurn", turn: this.#number, throughAtMs, pii: { said } });
    return true;
  }

  /** The call ends: `owed`, if an answer was being prepared, and the words that no turn has taken. */
  recordLast(owed: string | null, words: string): void {
    const earlier = owed !== null && !this.#isRecorded ? owed : this.#carried;
    this.#isRecorded = false;
    this.record([earlier, words].filter(Boolean).join(" "));
  }

  /** Committed, but not final: what the caller adds before he hears anything joins it. */
  recordProgress(said: string): void {
    if (this.#isRecorded) return;
    const { throughAtMs } = this.#told;
    const turn = this.#number + 1;
    this.#deps.journal.record({ kind: "callerProgress", turn, throughAtMs, isOpen: false, pii: { said } });
  }

  /** He may be in the midst of it. */
  tellSpoken(): void {
    this.#told.tellSpoken(this.#number + 1, this.#withCarried);
  }

  /** Words have come since they were last told. */
  get hasNews(): boolean {
    return this.#told.hasNews;
  }

  /** They were said before the reply that is being spoken, which began at this position: no turn takes them before its end. */
  tellLate(beforeMs: number): void {
    this.#told.tellLate(this.#number + 1, beforeMs);
  }

  readonly #withCarried = (words: string): string => this.withCarried(words);
}
