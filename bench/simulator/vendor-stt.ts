/** Deepgram's v1 streaming API at message level. */
import type { VendorEnd } from "./sim-socket.js";
import { type KnownWord, type SttLine, VendorEar } from "./vendor-ear.js";

const ENDPOINTING_FRAMES = 5;
/** It reports also when nobody speaks. */
const REPORT_EVERY_FRAMES = 250;
export const INTERIM_MS = [60, 180] as const;
export const FINAL_MS = [60, 200] as const;

export class SttVendor implements VendorEnd {
  readonly #line: SttLine;
  readonly #ear: VendorEar;
  #reportedFrames = 0;
  /** Since the last final. */
  #words: KnownWord[] = [];

  constructor(line: SttLine) {
    this.#line = line;
    this.#ear = new VendorEar(line, {
      onWord: (word) => {
        this.#words.push(word);
        this.#ear.tell(line.time.between(...INTERIM_MS), this.#results(false, false));
      },
      onSilence: () => this.#onSilence(),
    });
  }

  onText(text: string): void {
    const { type } = JSON.parse(text) as { readonly type: string };
    if (type === "Finalize") this.#final(true);
    if (type === "CloseStream") this.#line.socket.tell(0, { type: "Metadata", request_id: "sim" });
  }

  onBinary(data: Uint8Array): void {
    this.#ear.hear(data);
  }

  onGone(): void {}

  #onSilence(): void {
    const { quietFrames, frameCount } = this.#ear;
    if (quietFrames === ENDPOINTING_FRAMES && this.#words.length > 0) this.#final(false);
    else if (frameCount - this.#reportedFrames >= REPORT_EVERY_FRAMES) this.#final(false);
  }

  #final(fromFinalize: boolean): void {
    this.#reportedFrames = this.#ear.frameCount;
    const message = this.#results(true, fromFinalize);
    this.#words = [];
    this.#ear.tell(this.#line.time.between(...FINAL_MS), message);
  }

  #results(isFinal: boolean, fromFinalize: boolean): object {
    const seconds = (ms: number): number => Math.round(ms) / 1_000;
    const endMs = this.#ear.positionMs;
    const startMs = this.#words[0]?.startMs ?? endMs;
    return {
      type: "Results",
      start: seconds(startMs),
      duration: seconds(endMs - startMs),
      is_final: isFinal,
      speech_final: isFinal && !fromFinalize,
      from_finalize: fromFinalize,
      channel: {
        alternatives: [
          {
            transcript: this.#words.map(({ word }) => word).join(" "),
            words: this.#words.map(({ word, startMs: from, endMs: to }) => ({
              word,
              start: seconds(from),
              end: seconds(to),
              punctuated_word: word,
            })),
          },
        ],
      },
    };
  }
}
