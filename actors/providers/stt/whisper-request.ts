/** One utterance as `POST …/audio/transcriptions` wants it, and what its answer says. */
import type { AudioEncoding, AudioFormat } from "#runtime/media";
import type { SttRequest, SttWord } from "./provider.js";

/** The prompt is read as what was said before; a few names are enough, and 224 tokens its bound. */
const PROMPT_MAX_CHARS = 600;
/** A stretch it takes for no speech, and is not sure of: what Whisper writes there it made up. */
const NO_SPEECH_PROBABILITY = 0.6;
const UNSURE_LOGPROB = -1;

/** WAV's format tags. Big-endian samples are swapped first. */
const WAV_FORMAT = { mulaw: 7, alaw: 6, l16le: 1, l16be: 1 } as const satisfies Record<AudioEncoding, number>;

export interface Multipart {
  readonly contentType: string;
  readonly body: Buffer;
}

export function transcriptionBody(request: SttRequest, audio: Buffer, boundary: string): Multipart {
  const fields: (readonly [string, string])[] = [
    ["model", request.model],
    ["language", request.language.split("-")[0]!.toLowerCase()],
    ["response_format", "verbose_json"],
    ["timestamp_granularities[]", "word"],
    ["timestamp_granularities[]", "segment"],
    ["temperature", "0"],
  ];
  const prompt = request.keyterms.join(", ").slice(0, PROMPT_MAX_CHARS);
  if (prompt !== "") fields.push(["prompt", prompt]);
  const head = fields.map(
    ([name, value]) => `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  // The server tells the kind of file by its name.
  const file = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="utterance.wav"\r\ncontent-type: audio/wav\r\n\r\n`;
  const body = Buffer.concat([
    Buffer.from(head.join("") + file, "utf8"),
    wav(audio, request.format),
    Buffer.from(`\r\n--${boundary}--\r\n`, "latin1"),
  ]);
  return { contentType: `multipart/form-data; boundary=${boundary}`, body };
}

function wav(audio: Buffer, { encoding, sampleRateHz }: AudioFormat): Buffer {
  const sampleBytes = encoding === "mulaw" || encoding === "alaw" ? 1 : 2;
  const header = Buffer.alloc(46);
  header.write("RIFF", 0, "latin1");
  header.writeUInt32LE(38 + audio.length, 4);
  header.write("WAVEfmt ", 8, "latin1");
  header.writeUInt32LE(18, 16);
  header.writeUInt16LE(WAV_FORMAT[encoding], 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRateHz, 24);
  header.writeUInt32LE(sampleRateHz * sampleBytes, 28);
  header.writeUInt16LE(sampleBytes, 32);
  header.writeUInt16LE(sampleBytes * 8, 34);
  header.write("data", 38, "latin1");
  header.writeUInt32LE(audio.length, 42);
  return Buffer.concat([header, encoding === "l16be" ? Buffer.from(audio).swap16() : audio]);
}

type Fields = Readonly<Record<string, unknown>>;

/** Words with the call's times, spread evenly where the server gives none; null when it is no transcription. */
export function transcriptionOf(text: string, fromMs: number, toMs: number): readonly SttWord[] | null {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof answer !== "object" || answer === null) return null;
  const { text: whole, words, segments } = answer as Fields;
  if (typeof whole !== "string") return null;
  const made = listOf(segments).filter(isMadeUp);
  const timed = listOf(words).flatMap((entry) => wordOf(entry, fromMs, toMs, made));
  if (timed.length > 0 || made.length > 0) {
    if (timed.length > 0 || listOf(words).length > 0) return timed;
    const kept = listOf(segments).filter((segment) => !made.includes(segment));
    return spread(kept.map((segment) => stringOf(segment["text"])).join(" "), fromMs, toMs);
  }
  return spread(whole, fromMs, toMs);
}

/** What an answer says that is an error in the shape of an answer; null: nothing. */
export function errorInAnswer(text: string): string | null {
  try {
    const answer = JSON.parse(text) as Fields | null;
    const error = answer?.["error"];
    if (error === undefined || error === null) return null;
    return stringOf((error as Fields)["message"]) || stringOf(error) || "unnamed";
  } catch {
    return null;
  }
}

function isMadeUp(segment: Fields): boolean {
  const { no_speech_prob: noSpeech, avg_logprob: logprob } = segment;
  return Number(noSpeech) > NO_SPEECH_PROBABILITY && Number(logprob) < UNSURE_LOGPROB;
}

function wordOf(entry: Fields, fromMs: number, toMs: number, made: readonly Fields[]): readonly SttWord[] {
  const word = stringOf(entry["word"]).trim();
  const { start, end } = entry;
  if (word === "" || typeof start !== "number" || typeof end !== "number") return [];
  if (made.some((segment) => start >= Number(segment["start"]) && end <= Number(segment["end"]))) return [];
  const startMs = Math.min(toMs, fromMs + Math.max(0, Math.round(start * 1_000)));
  return [{ word, startMs, endMs: Math.min(toMs, Math.max(startMs, fromMs + Math.round(end * 1_000))) }];
}

function spread(text: string, fromMs: number, toMs: number): readonly SttWord[] {
  const parts = text.split(/\s+/).filter((part) => part !== "");
  const stepMs = (toMs - fromMs) / Math.max(1, parts.length);
  return parts.map((word, index) => ({
    word,
    startMs: fromMs + index * stepMs,
    endMs: fromMs + (index + 1) * stepMs,
  }));
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value)
    ? (value as readonly Fields[]).filter((entry) => typeof entry === "object")
    : [];
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
