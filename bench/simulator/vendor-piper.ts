/** A voice on a server of one's own, at message level: a text in, a WAV out that says nothing of words. */
import { decodeInto } from "#runtime/media";
import type { TtsFault } from "./script.js";
import type { PoolRequest, SimExchange } from "./sim-exchange.js";
import type { SimTime } from "./sim-time.js";
import { FRAME_BYTES, wordsAudio } from "./word-audio.js";

const FIRST_AUDIO_MS = [60, 250] as const;
/** Of one piece of an answer. */
const PIECE_BYTES = 6_000;
/** Of the leg, so that no filter blurs what words are written in. */
const RATE_HZ = 8_000;
const HEADER_BYTES = 44;
/** After a clause; where words stand is guessed by an even pace with such pauses (actors/providers/tts/word-estimates.ts). */
const BREATH = new Uint8Array(10 * FRAME_BYTES).fill(0xff);

export class PiperVendor {
  readonly #time: SimTime;
  readonly #faultOf: (requestId: string) => TtsFault | null;

  constructor(time: SimTime, faultOf: (requestId: string) => TtsFault | null) {
    this.#time = time;
    this.#faultOf = faultOf;
  }

  answer(exchange: SimExchange, { method, headers, body }: PoolRequest): void {
    if (method === "GET") return exchange.whole(200, {});
    const { text } = JSON.parse(body as string) as { readonly text: string };
    const fault = this.#faultOf((headers as Readonly<Record<string, string>>)["x-client-request-id"]!);
    if (fault?.kind === "stall") return; // the client's deadline ends it
    if (fault?.kind === "error") return exchange.whole(500, { error: "it broke" });
    const words = text.split(/\s+/).filter(Boolean);
    const spoken = words.flatMap((word) =>
      /[.,;:?!]$/.test(word) ? [wordsAudio([word]), BREATH] : [wordsAudio([word])],
    );
    const wav = wavOf(Buffer.concat(spoken));
    exchange.answers(this.#time.between(...FIRST_AUDIO_MS) + (fault?.kind === "late" ? fault.ms : 0));
    for (let at = 0; at < wav.length; at += PIECE_BYTES) {
      exchange.data(this.#time.between(1, 8), wav.subarray(at, at + PIECE_BYTES));
      if (fault?.kind === "reset") return exchange.breakLater(this.#time.between(0, 30));
    }
    if (fault?.kind !== "noDone") exchange.done(1);
  }
}

function wavOf(mulaw: Uint8Array): Buffer {
  const samples = new Int16Array(mulaw.length);
  decodeInto("mulaw", mulaw, 0, mulaw.length, samples, 0);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("RIFF", 0, "latin1");
  header.writeUInt32LE(HEADER_BYTES - 8 + samples.byteLength, 4);
  header.write("WAVEfmt ", 8, "latin1");
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // linear PCM
  header.writeUInt16LE(1, 22); // one channel
  header.writeUInt32LE(RATE_HZ, 24);
  header.writeUInt32LE(RATE_HZ * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36, "latin1");
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer)]);
}
