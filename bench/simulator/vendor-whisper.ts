/** Whisper on a server of one's own, at message level: an utterance in, its words with their times out. */
import type { SttFault } from "./script.js";
import type { PoolRequest, SimExchange } from "./sim-exchange.js";
import type { SimTime } from "./sim-time.js";
import { FRAME_BYTES, WORD_MS, WordEar } from "./word-audio.js";

const ANSWER_MS = [80, 350] as const;
/** Of the header that the client writes: where the length of the samples stands, and they begin. */
const LENGTH_AT = 42;
const SAMPLES_AT = 46;
const BYTES_PER_MS = 8;

export class WhisperVendor {
  readonly #time: SimTime;
  readonly #faultOf: () => SttFault | null;

  /** `faultOf`: of the next request. */
  constructor(time: SimTime, faultOf: () => SttFault | null) {
    this.#time = time;
    this.#faultOf = faultOf;
  }

  answer(exchange: SimExchange, { body }: PoolRequest): void {
    const fault = this.#faultOf();
    if (fault?.kind === "stall") return; // the client's deadline ends it
    if (fault?.kind === "refuse") return exchange.whole(429, { error: { message: "busy" } });
    if (fault?.kind === "reset") return exchange.breakLater(fault.ms);
    const words = wordsIn(body as Buffer);
    const answer = { text: words.map(({ word }) => word).join(" "), words, segments: [] };
    exchange.answers(this.#time.between(...ANSWER_MS) + (fault?.kind === "late" ? fault.ms : 0));
    exchange.data(0, JSON.stringify(answer));
    exchange.done(0);
  }
}

/** Of a form's file. A word that is cut in two by an end of it is none. */
function wordsIn(
  form: Buffer,
): readonly { readonly word: string; readonly start: number; readonly end: number }[] {
  const file = form.indexOf("RIFF");
  const length = form.readUInt32LE(file + LENGTH_AT);
  const audio = new Uint8Array(length + 2 * FRAME_BYTES).fill(0xff);
  audio.set(form.subarray(file + SAMPLES_AT, file + SAMPLES_AT + length));
  const ear = new WordEar();
  const words: { word: string; start: number; end: number }[] = [];
  for (let at = 0; at + FRAME_BYTES <= audio.length; at += FRAME_BYTES) {
    const word = ear.hear(audio, at);
    if (word === null) continue;
    const endMs = Math.min(length, at + FRAME_BYTES) / BYTES_PER_MS;
    words.push({ word, start: Math.max(0, endMs - WORD_MS) / 1_000, end: endMs / 1_000 });
  }
  return words;
}
