/** Cartesia's voice socket at message level: contexts, audio whose words can be read off it, and their times. */
import type { TtsFault } from "./script.js";
import type { SimSocket, VendorEnd } from "./sim-socket.js";
import type { SimTime } from "./sim-time.js";
import { WORD_MS, wordsAudio } from "./word-audio.js";

const FIRST_AUDIO_MS = [30, 120] as const;
const DONE_MS = [5, 40] as const;
/** Of one `chunk` message. */
const CHUNK_WORDS = 4;

/** A voice's end of one socket. */
export interface TtsLine {
  readonly time: SimTime;
  readonly socket: SimSocket;
  /** Its fault, if any. */
  beginContext(contextId: string): TtsFault | null;
}

interface Message {
  readonly context_id: string;
  readonly transcript?: string;
  readonly continue?: boolean;
  readonly cancel?: boolean;
}

interface Context {
  spokenWords: number;
  readonly fault: TtsFault | null;
}

export class TtsVendor implements VendorEnd {
  readonly #line: TtsLine;
  readonly #contexts = new Map<string, Context>();

  constructor(line: TtsLine) {
    this.#line = line;
  }

  onText(text: string): void {
    const message = JSON.parse(text) as Message;
    const { context_id: contextId, transcript } = message;
    if (message.cancel === true) {
      this.#contexts.delete(contextId);
      return;
    }
    const context = this.#contexts.get(contextId) ?? this.#begin(contextId);
    if (transcript !== undefined && transcript !== "") this.#speak(contextId, context, transcript);
    if (message.continue === false) this.#finish(contextId, context);
  }

  onBinary(): void {}

  onGone(): void {
    this.#contexts.clear();
  }

  #begin(contextId: string): Context {
    const fault = this.#line.beginContext(contextId);
    const context = { spokenWords: 0, fault };
    this.#contexts.set(contextId, context);
    return context;
  }

  #speak(contextId: string, context: Context, transcript: string): void {
    const { fault } = context;
    const words = transcript.split(/\s+/).filter(Boolean);
    if (fault?.kind === "stall") return;
    if (fault?.kind === "error") return this.#tell(contextId, 5, { type: "error", status_code: 500 });
    let delayMs = this.#line.time.between(...FIRST_AUDIO_MS) + (fault?.kind === "late" ? fault.ms : 0);
    for (let at = 0; at < words.length; at += CHUNK_WORDS) {
      const some = words.slice(at, at + CHUNK_WORDS);
      const start = some.map((_, index) => ((context.spokenWords + index) * WORD_MS) / 1_000);
      const end = start.map((seconds) => seconds + WORD_MS / 1_000);
      this.#tell(contextId, delayMs, {
        type: "timestamps",
        word_timestamps: { words: some, start, end },
      });
      const data = Buffer.from(wordsAudio(some)).toString("base64");
      this.#tell(contextId, 0, { type: "chunk", data, done: false, status_code: 206 });
      context.spokenWords += some.length;
      delayMs = this.#line.time.between(2, 10);
      if (fault?.kind === "reset") return this.#line.socket.break(this.#line.time.between(0, 30));
    }
  }

  #finish(contextId: string, { fault }: Context): void {
    if (fault?.kind === "stall" || fault?.kind === "noDone" || fault?.kind === "error") return;
    this.#tell(contextId, this.#line.time.between(...DONE_MS), {
      type: "done",
      done: true,
      status_code: 200,
    });
    this.#contexts.delete(contextId);
  }

  #tell(contextId: string, delayMs: number, fields: object): void {
    this.#line.socket.tell(delayMs, { ...fields, context_id: contextId });
  }
}
