/** What was said and heard, turn by turn, from a call's journal. The agent's words are those the caller heard. */
import type { JournalEvent } from "#actors/journal";
import type { TranscriptTurn } from "#proto";
import { toTimestamp } from "#runtime/rpc";

export class Transcript {
  readonly #turns: TranscriptTurn[] = [];
  /** An agent's turn whose end is not in the journal (yet): what was heard of it so far. */
  #open: Extract<JournalEvent, { kind: "agentProgress" }> | null = null;
  /** The turn that another owner went on with, and where it stands. */
  #resumed: { readonly turn: number; readonly index: number; readonly heard: string } | null = null;

  add(event: JournalEvent): void {
    switch (event.kind) {
      case "callerTurn":
        this.#closeOpen();
        this.#push("SPEAKER_CALLER", event.pii.said, event.atUnixMs, false);
        return;
      case "messageTaken":
        this.#closeOpen();
        if (event.pii.transcript !== "") {
          this.#push("SPEAKER_CALLER", event.pii.transcript, event.atUnixMs, false);
        }
        return;
      case "agentProgress":
        if (this.#open !== null && this.#open.turn !== event.turn) this.#closeOpen();
        this.#open = event;
        return;
      case "agentTurn":
        if (this.#open?.turn === event.turn) this.#open = null;
        else this.#closeOpen();
        this.#addAgentTurn(event);
        return;
      case "callResumed":
        this.#closeOpen();
        return;
      default:
        return;
    }
  }

  /** All turns so far. */
  end(): readonly TranscriptTurn[] {
    this.#closeOpen();
    return this.#turns;
  }

  #addAgentTurn({ turn, cut, pii, atUnixMs }: Extract<JournalEvent, { kind: "agentTurn" }>): void {
    this.#dropRepeated(turn, pii.heard);
    this.#push("SPEAKER_AGENT", pii.heard, atUnixMs, cut === "bargeIn");
  }

  #closeOpen(): void {
    if (this.#open === null) return;
    const { turn, pii, atUnixMs } = this.#open;
    this.#open = null;
    if (pii.heard === "") return;
    this.#dropRepeated(turn, pii.heard);
    this.#resumed = { turn, index: this.#turns.length, heard: pii.heard };
    this.#push("SPEAKER_AGENT", pii.heard, atUnixMs, false);
  }

  /** The new owner may count what was heard before it came into the same turn: said once, it stands here once. */
  #dropRepeated(turn: number, heard: string): void {
    const before = this.#resumed;
    this.#resumed = null;
    if (before !== null && before.turn === turn && heard.startsWith(before.heard))
      this.#turns.splice(before.index, 1);
  }

  #push(
    speaker: "SPEAKER_CALLER" | "SPEAKER_AGENT",
    text: string,
    atUnixMs: number,
    interrupted: boolean,
  ): void {
    if (text !== "") this.#turns.push({ speaker, pii: { text }, time: toTimestamp(atUnixMs), interrupted });
  }
}
