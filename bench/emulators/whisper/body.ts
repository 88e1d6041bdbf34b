/** A transcription request's body, read as servers do: multipart fields, and a WAV file within. */
import { Recognizer, type HeardWord } from "../deepgram/recognizer.js";
import { STT_SAMPLE_RATES, type SttEncoding } from "../deepgram/audio-input.js";
import type { Clock } from "#runtime/actor";
import type { SampleRateHz } from "#runtime/media";

export interface TranscriptionForm {
  /** In order; a name may come twice. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly fileName: string;
  readonly file: Buffer;
}

export interface HeardFile {
  readonly words: readonly HeardWord[];
  readonly durationMs: number;
}

const WAV_ENCODINGS: Readonly<Record<number, SttEncoding>> = { 1: "linear16", 6: "alaw", 7: "mulaw" };
/** Silence after the file: the decoder knows a word some pieces after its end. */
const TAIL_MS = 300;
const PIECE_MS = 20;

/** Null when it is no such form. */
export function parseForm(contentType: string, body: Buffer): TranscriptionForm | null {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) return null;
  const fields: (readonly [string, string])[] = [];
  let fileName = "";
  let file: Buffer | null = null;
  const mark = `--${boundary}`;
  let at = body.indexOf(mark);
  while (at >= 0) {
    const next = body.indexOf(`\r\n${mark}`, at + mark.length);
    if (next < 0) break;
    const headEnd = body.indexOf("\r\n\r\n", at);
    const head = body.toString("utf8", at, headEnd);
    const content = body.subarray(headEnd + 4, next);
    const name = /; name="([^"]*)"/i.exec(head)?.[1] ?? "";
    const ofFile = /; filename="([^"]*)"/i.exec(head)?.[1];
    if (ofFile === undefined) fields.push([name, content.toString("utf8")]);
    else if (name === "file") {
      fileName = ofFile;
      file = content;
    }
    at = next + 2;
  }
  return file === null ? null : { fields, fileName, file };
}

/** Null when it is no WAV that is understood. */
export function hearWav(wav: Buffer, clock: Clock): HeardFile | null {
  if (wav.length < 44 || wav.toString("latin1", 0, 4) !== "RIFF") return null;
  let encoding: SttEncoding | undefined;
  let sampleRateHz = 0;
  for (let at = 12; at + 8 <= wav.length; ) {
    const id = wav.toString("latin1", at, at + 4);
    const length = wav.readUInt32LE(at + 4);
    if (id === "fmt ") {
      encoding = WAV_ENCODINGS[wav.readUInt16LE(at + 8)];
      sampleRateHz = wav.readUInt32LE(at + 12);
    } else if (id === "data") {
      if (encoding === undefined || !STT_SAMPLE_RATES.includes(sampleRateHz as SampleRateHz)) return null;
      return hear(wav.subarray(at + 8, at + 8 + length), encoding, sampleRateHz as SampleRateHz, clock);
    }
    at += 8 + length;
  }
  return null;
}

function hear(audio: Buffer, encoding: SttEncoding, sampleRateHz: SampleRateHz, clock: Clock): HeardFile {
  const words: HeardWord[] = [];
  const recognizer = new Recognizer(encoding, sampleRateHz, clock, Infinity, {
    onWord: (word) => words.push(word),
    onSpeechStart: () => undefined,
  });
  const bytesPerMs = (sampleRateHz / 1_000) * (encoding === "linear16" ? 2 : 1);
  for (let at = 0; at < audio.length; at += PIECE_MS * bytesPerMs) {
    recognizer.push(audio.subarray(at, at + PIECE_MS * bytesPerMs));
  }
  const durationMs = recognizer.positionMs;
  const silence = Buffer.alloc(PIECE_MS * bytesPerMs, { linear16: 0, mulaw: 0xff, alaw: 0xd5 }[encoding]);
  for (let ms = 0; ms < TAIL_MS; ms += PIECE_MS) recognizer.push(silence);
  return { words, durationMs };
}
