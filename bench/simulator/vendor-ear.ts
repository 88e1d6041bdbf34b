/** What any recogniser of a simulated world does with audio: words read off its frames, and the fault that strikes meanwhile. */
import type { SttFault } from "./script.js";
import type { SimSocket } from "./sim-socket.js";
import type { SimTime } from "./sim-time.js";
import { FRAME_BYTES, WORD_MS, WordEar, isSilent } from "./word-audio.js";

const FRAME_MS = 20;

export interface KnownWord {
  readonly word: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** A recogniser's end of one socket. */
export interface SttLine {
  readonly time: SimTime;
  readonly socket: SimSocket;
  readonly fault: SttFault | null;
  onFault(kind: string): void;
}

export interface VendorEarEvents {
  onWord(word: KnownWord): void;
  /** One more frame without sound. */
  onSilence(): void;
}

export class VendorEar {
  /** Of silence, in a row. */
  quietFrames = 0;
  frameCount = 0;
  readonly #line: SttLine;
  readonly #events: VendorEarEvents;
  readonly #ear = new WordEar();
  readonly #frame = new Uint8Array(FRAME_BYTES);
  #frameBytes = 0;
  #heardFrames = 0;

  constructor(line: SttLine, events: VendorEarEvents) {
    this.#line = line;
    this.#events = events;
  }

  get positionMs(): number {
    return this.frameCount * FRAME_MS;
  }

  hear(data: Uint8Array): void {
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

  /** A message to the client, by a recogniser that may be late with all it says. */
  tell(delayMs: number, message: object): void {
    const { socket, fault } = this.#line;
    const lateMs = fault?.kind === "late" ? fault.ms : 0;
    if (lateMs > 0) this.#line.onFault("sttLate");
    socket.tell(delayMs + lateMs, message);
  }

  #onFrame(): void {
    this.frameCount += 1;
    if (isSilent(this.#frame, 0)) {
      this.quietFrames += 1;
      return this.#events.onSilence();
    }
    this.quietFrames = 0;
    this.#heardFrames += 1;
    this.#strike();
    const word = this.#ear.hear(this.#frame, 0);
    const endMs = this.positionMs;
    if (word !== null) this.#events.onWord({ word, startMs: Math.max(0, endMs - WORD_MS), endMs });
  }

  /** In the middle of what somebody says. */
  #strike(): void {
    const { fault, socket } = this.#line;
    if (fault === null || this.#heardFrames !== fault.afterFrames) return;
    if (fault.kind === "stall") {
      this.#line.onFault("sttStall");
      socket.isDeaf = true;
    }
    if (fault.kind === "reset") {
      this.#line.onFault("sttReset");
      socket.break(0);
    }
  }
}
