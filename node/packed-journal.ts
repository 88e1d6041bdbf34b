/**
 * The events of one call, kept small: an hour of talk is some four thousand of them, half a kilobyte each as objects.
 * The last few are objects still; of the others every BLOCK_EVENTS are one block, deflated against what every journal
 * has in common. All of them are kept, not what a replay would need alone: people read journals, too.
 *
 *   oldest  [block] [block] [block] … [event] [event]  newest
 *
 * P1 what is read is what was appended, in its order; each reading makes it anew.
 * P2 a block is a string of a character a byte: as an array of bytes it would take another 250 around it.
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import type { JournalEvent } from "#actors/journal";

/** Some three turns. Packing them takes a tenth of a millisecond of the thread that paces audio; of 64, three. */
export const BLOCK_EVENTS = 16;
/** What it holds is 8 KiB at most, so a larger window finds nothing more; the memory for it is taken and given each time. */
const ZLIB = {
  windowBits: 14,
  memLevel: 7,
  strategy: constants.Z_DEFAULT_STRATEGY,
  dictionary: commonText(),
};

export class PackedJournal {
  readonly #blocks: string[] = [];
  #recent: JournalEvent[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  append(event: JournalEvent): void {
    this.#recent.push(event);
    this.#count += 1;
    if (this.#recent.length >= BLOCK_EVENTS) this.pack();
  }

  /** All of it: no event is kept as an object. What comes later begins a block of its own. */
  pack(): void {
    if (this.#recent.length === 0) return;
    this.#blocks.push(deflateRawSync(JSON.stringify(this.#recent), ZLIB).toString("latin1")); // P2
    this.#recent = [];
  }

  /** P1 */
  events(): JournalEvent[] {
    const packed = this.#blocks.map(
      (block) => JSON.parse(inflateRawSync(Buffer.from(block, "latin1"), ZLIB).toString()) as JournalEvent[],
    );
    return [...packed.flat(), ...this.#recent];
  }

  /** Bytes of the blocks. */
  get packedBytes(): number {
    return this.#blocks.reduce((sum, { length }) => sum + length, 0);
  }
}

/** The events of a turn as they are usually written, the most frequent last: what is near costs fewest bits. */
function commonText(): Buffer {
  const said = { callId: "", sequence: 0, epoch: 17, atMs: 0.5, atUnixMs: 17 } as const;
  const reply = { turn: 1, source: "model" } as const;
  const pii = { intended: "", heard: "" } as const;
  const ledger = {
    speechEndAtMs: 0.5,
    sttInterimAtMs: 0.5,
    sttFinalAtMs: 0.5,
    llmStartAtMs: 0.5,
    eagerStartAtMs: null,
    llmFirstTokenAtMs: 0.5,
    ttsFirstAudioAtMs: 0.5,
    committedAtMs: 0.5,
    firstByteSentAtMs: 0.5,
    voiceToVoiceMs: 0.5,
  } as const;
  const turn: readonly JournalEvent[] = [
    { kind: "dtmf", pii: { digit: "1" }, ...said },
    {
      kind: "toolCalled",
      turn: 1,
      tool: "",
      ok: true,
      durationMs: 1,
      pii: { argumentsJson: "{}", result: "" },
      ...said,
    },
    { kind: "eagerDiscarded", turn: 1, ...said },
    { kind: "bargeInRejected", turn: 1, reason: "backchannel", ...said },
    { kind: "bargeIn", turn: 1, decidedAtMs: 0.5, clearSentAtMs: 0.5, ...said },
    { kind: "agentTurn", ...reply, source: "quickReply", cut: "bargeIn", ledger, pii, ...said },
    { kind: "callerProgress", turn: 1, throughAtMs: 0.5, isOpen: false, pii: { said: "" }, ...said },
    { kind: "callerTurn", turn: 1, throughAtMs: 0.5, pii: { said: "" }, ...said },
    { kind: "agentProgress", ...reply, whole: true, pii, ...said },
    { kind: "agentProgress", ...reply, whole: false, pii, ...said },
    { kind: "agentTurn", ...reply, cut: null, ledger, pii, ...said },
  ];
  return Buffer.from(JSON.stringify(turn));
}
