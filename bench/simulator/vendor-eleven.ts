/** ElevenLabs' multi-context voice socket at message level: audio with the times of its characters, chunk by chunk. */
import type { TtsFault } from "./script.js";
import type { VendorEnd } from "./sim-socket.js";
import type { TtsLine } from "./vendor-tts.js";
import { WORD_MS, wordsAudio } from "./word-audio.js";

const FIRST_AUDIO_MS = [40, 140] as const;
const FINAL_MS = [5, 40] as const;
/** Of one message. */
const CHUNK_WORDS = 3;
/** Of a word, whose last frame is silence. */
const SOUND_MS = WORD_MS - 20;

interface Message {
  readonly context_id: string;
  readonly text?: string;
  readonly close_context?: boolean;
}

export class ElevenVendor implements VendorEnd {
  readonly #line: TtsLine;
  readonly #contexts = new Map<string, TtsFault | null>();

  constructor(line: TtsLine) {
    this.#line = line;
  }

  onText(message: string): void {
    const { context_id: contextId, text = "", close_context: closes } = JSON.parse(message) as Message;
    // What closes a context has its text ignored.
    if (closes === true) return this.#close(contextId);
    const known = this.#contexts.get(contextId);
    const fault = known === undefined ? this.#begin(contextId) : known;
    const words = text.split(/\s+/).filter(Boolean);
    if (words.length > 0) this.#speak(contextId, fault, words);
  }

  onBinary(): void {}

  onGone(): void {
    this.#contexts.clear();
  }

  #begin(contextId: string): TtsFault | null {
    const fault = this.#line.beginContext(contextId);
    this.#contexts.set(contextId, fault);
    return fault;
  }

  #speak(contextId: string, fault: TtsFault | null, words: readonly string[]): void {
    if (fault?.kind === "stall") return;
    if (fault?.kind === "error")
      return this.#tell(contextId, 5, { error: "internal_error", code: 500, message: "it broke" });
    let delayMs = this.#line.time.between(...FIRST_AUDIO_MS) + (fault?.kind === "late" ? fault.ms : 0);
    for (let at = 0; at < words.length; at += CHUNK_WORDS) {
      const some = words.slice(at, at + CHUNK_WORDS);
      const audio = Buffer.from(wordsAudio(some)).toString("base64");
      this.#tell(contextId, delayMs, { audio, alignment: alignmentOf(some) });
      delayMs = this.#line.time.between(2, 10);
      if (fault?.kind === "reset") return this.#line.socket.break(this.#line.time.between(0, 30));
    }
  }

  /** What was flushed is spoken to its end. */
  #close(contextId: string): void {
    const fault = this.#contexts.get(contextId);
    if (!this.#contexts.delete(contextId)) return;
    if (fault?.kind === "stall" || fault?.kind === "noDone" || fault?.kind === "error") return;
    this.#tell(contextId, this.#line.time.between(...FINAL_MS), { isFinal: true });
  }

  #tell(contextId: string, delayMs: number, fields: object): void {
    this.#line.socket.tell(delayMs, { ...fields, contextId });
  }
}

/** Times count from the chunk they come with; a word's characters share the time of its sound. */
function alignmentOf(words: readonly string[]): object {
  const chars: string[] = [];
  const charStartTimesMs: number[] = [];
  const charDurationsMs: number[] = [];
  for (const [index, word] of words.entries()) {
    const stepMs = SOUND_MS / word.length;
    for (const [at, char] of [...word.split(""), " "].entries()) {
      chars.push(char);
      charStartTimesMs.push(index * WORD_MS + at * stepMs);
      charDurationsMs.push(char === " " ? WORD_MS - SOUND_MS : stepMs);
    }
  }
  return { chars, charStartTimesMs, charDurationsMs };
}
