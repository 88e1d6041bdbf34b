/** Deepgram's v1 streaming API at message level: it reads the words off the audio it is sent (word-audio.ts). */
import type { SttFault } from "./script.js";
import type { SimTime } from "./sim-time.js";
import type { SimSocket, VendorEnd } from "./sim-socket.js";
import { FRAME_BYTES, WORD_MS, WordEar, isSilent } from "./word-audio.js";

const FRAME_MS = 20;
const ENDPOINTING_FRAMES = 5;
/** It reports also when nobody speaks. */
const REPORT_EVERY_FRAMES = 250;
const INTERIM_MS = [60, 180] as const;
const FINAL_MS = [60, 200] as const;

interface KnownWord {
  readonly word: string;
  readonly endMs: number;
}

export class SttVendor implements VendorEnd {
  readonly #time: SimTime;
  readonly #socket: SimSocket;
  readonly #fault: SttFault | null;
  readonly #onFault: (kind: string) => void;
  readonly #ear = new WordEar();
  readonly #frame = new Uint8Array(FRAME_BYTES);
  #frameBytes = 0;
  #frameCount = 0;
  #quietFrames = 0;
  #reportedFrames = 0;
  /** Since the last final. */
  #words: KnownWord[] = [];
  #heardFrames = 0;

  constructor(time: SimTime, socket: SimSocket, fault: SttFault | null, onFault: (kind: string) => void) {
    this.#time = time;
    this.#socket = socket;
    this.#fault = fault;
    this.#onFault = onFault;
  }

  onText(text: string): void {
    const { type } = JSON.parse(text) as { readonly type: string };
    if (type === "Finalize") this.#final(true);
    if (type === "CloseStream") this.#socket.tell(0, { type: "Metadata", request_id: "sim" });
  }

  onBinary(data: Uint8Array): void {
    let offset = 0;
    while (offset < data.length) {
      const take = Math.min(FRAME_BYTES - this.#frameBytes, data.length - offset);
      this.#frame.set(data.subarray(offset, offset + take), this.#frameBytes);
      this.#frameBytes += take;
      offset += take;
      if (this.#frameBytes < FRAME_BYTES) return;
      this.#frameBytes = 0;
      this.#onFrame();
    }
  }

  onGone(): void {}

  #onFrame(): void {
    this.#frameCount += 1;
    if (isSilent(this.#frame, 0)) {
      this.#quietFrames += 1;
      if (this.#quietFrames === ENDPOINTING_FRAMES && this.#words.length > 0) this.#final(false);
      else if (this.#frameCount - this.#reportedFrames >= REPORT_EVERY_FRAMES) this.#final(false);
      return;
    }
    this.#quietFrames = 0;
    this.#heardFrames += 1;
    this.#strike();
    const word = this.#ear.hear(this.#frame, 0);
    if (word === null) return;
    this.#words.push({ word, endMs: this.#frameCount * FRAME_MS });
    this.#tell(this.#time.between(...INTERIM_MS), this.#results(false, false));
  }

  #final(fromFinalize: boolean): void {
    this.#reportedFrames = this.#frameCount;
    const message = this.#results(true, fromFinalize);
    this.#words = [];
    this.#tell(this.#time.between(...FINAL_MS), message);
  }

  #results(isFinal: boolean, fromFinalize: boolean): object {
    const seconds = (ms: number): number => Math.round(ms) / 1_000;
    const endMs = this.#frameCount * FRAME_MS;
    const startMs = Math.max(0, (this.#words[0]?.endMs ?? endMs) - WORD_MS);
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
            words: this.#words.map(({ word, endMs: wordEndMs }) => ({
              word,
              start: seconds(Math.max(0, wordEndMs - WORD_MS)),
              end: seconds(wordEndMs),
              punctuated_word: word,
            })),
          },
        ],
      },
    };
  }

  #tell(delayMs: number, message: object): void {
    const lateMs = this.#fault?.kind === "late" ? this.#fault.ms : 0;
    if (lateMs > 0) this.#onFault("sttLate");
    this.#socket.tell(delayMs + lateMs, message);
  }

  /** In the middle of what somebody says. */
  #strike(): void {
    const fault = this.#fault;
    if (fault === null || this.#heardFrames !== fault.afterFrames) return;
    if (fault.kind === "stall") {
      this.#onFault("sttStall");
      this.#socket.isDeaf = true;
    }
    if (fault.kind === "reset") {
      this.#onFault("sttReset");
      this.#socket.break(0);
    }
  }
}
