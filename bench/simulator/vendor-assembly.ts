/** AssemblyAI's v3 streaming API at message level: turns, cumulative, whose end is told twice. */
import type { VendorEnd } from "./sim-socket.js";
import { type KnownWord, type SttLine, VendorEar } from "./vendor-ear.js";
import { FINAL_MS, INTERIM_MS } from "./vendor-stt.js";
import { FRAME_BYTES } from "./word-audio.js";

/** It is asked for 160 ms (`min_turn_silence`). */
const TURN_ENDS_FRAMES = 8;
/** A message holds 50 ms to a second; else the session is closed. */
const MESSAGE_BYTES = [2.5 * FRAME_BYTES, 50 * FRAME_BYTES] as const;
const DURATION_VIOLATION = 3007;

export class AssemblyVendor implements VendorEnd {
  readonly #line: SttLine;
  readonly #ear: VendorEar;
  #turnOrder = 0;
  #words: KnownWord[] = [];

  constructor(line: SttLine) {
    this.#line = line;
    this.#ear = new VendorEar(line, {
      onWord: (word) => {
        this.#words.push(word);
        this.#ear.tell(line.time.between(...INTERIM_MS), this.#turn(false, false));
      },
      onSilence: () => {
        if (this.#ear.quietFrames === TURN_ENDS_FRAMES) this.#endTurn();
      },
    });
  }

  onOpen(): void {
    this.#line.socket.tell(this.#line.time.between(5, 30), { type: "Begin", id: "sim", expires_at: 0 });
  }

  onText(text: string): void {
    const { type } = JSON.parse(text) as { readonly type: string };
    if (type === "ForceEndpoint") this.#endTurn();
    if (type === "Terminate") this.#line.socket.tell(0, { type: "Termination" });
  }

  onBinary(data: Uint8Array): void {
    const [least, most] = MESSAGE_BYTES;
    if (data.length < least || data.length > most)
      this.#line.socket.end(DURATION_VIOLATION, "Input duration violation");
    else this.#ear.hear(data);
  }

  onGone(): void {}

  /** Of a turn without words it says nothing. */
  #endTurn(): void {
    if (this.#words.length === 0) return;
    this.#ear.tell(this.#line.time.between(...FINAL_MS), this.#turn(true, false));
    this.#ear.tell(this.#line.time.between(...FINAL_MS), this.#turn(true, true));
    this.#turnOrder += 1;
    this.#words = [];
  }

  #turn(isEnd: boolean, isFormatted: boolean): object {
    const finalWords = isEnd ? this.#words : this.#words.slice(0, -1);
    const transcript = finalWords.map(({ word }) => word).join(" ");
    return {
      type: "Turn",
      turn_order: this.#turnOrder,
      turn_is_formatted: isFormatted,
      end_of_turn: isEnd,
      transcript,
      utterance: isEnd ? transcript : "",
      words: this.#words.map(({ word, startMs, endMs }, index) => ({
        text: word,
        start: startMs,
        end: endMs,
        confidence: 1,
        word_is_final: index < finalWords.length,
      })),
    };
  }
}
