/** The query of `/v3/ws`, read as the vendor does: what it does not know it ignores, what is wrong it refuses. */
import type { SampleRateHz } from "#runtime/media";
import { STT_SAMPLE_RATES, type SttEncoding } from "../deepgram/audio-input.js";

export interface AssemblyOptions {
  readonly encoding: SttEncoding;
  readonly sampleRateHz: SampleRateHz;
  readonly formatTurns: boolean;
  readonly minTurnSilenceMs: number;
  readonly maxTurnSilenceMs: number;
}

const ENCODINGS: Readonly<Record<string, SttEncoding>> = { pcm_s16le: "linear16", pcm_mulaw: "mulaw" };
const MODELS: readonly string[] = [
  "universal-streaming-english",
  "universal-streaming-multilingual",
  "whisper-rt",
  "u3-rt-pro",
];
const KEYTERMS_MAX = 100;

/** What is wrong with it, or the options. */
export function parseAssemblyQuery(query: URLSearchParams): AssemblyOptions | string {
  const encoding = ENCODINGS[query.get("encoding") ?? "pcm_s16le"];
  if (encoding === undefined) return "encoding must be pcm_s16le or pcm_mulaw";
  const sampleRateHz = Number(query.get("sample_rate") ?? 16_000) as SampleRateHz;
  if (!STT_SAMPLE_RATES.includes(sampleRateHz)) return "sample_rate is not supported";
  const model = query.get("speech_model");
  if (model !== null && !MODELS.includes(model)) return `speech_model must be one of ${MODELS.join(", ")}`;
  const keyterms = keytermsOf(query.get("keyterms_prompt"));
  if (keyterms === null || keyterms.length > KEYTERMS_MAX) return "keyterms_prompt must be a list of terms";
  return {
    encoding,
    sampleRateHz,
    formatTurns: query.get("format_turns") === "true",
    minTurnSilenceMs: Number(query.get("min_turn_silence") ?? 400),
    maxTurnSilenceMs: Number(query.get("max_turn_silence") ?? 1_280),
  };
}

function keytermsOf(value: string | null): readonly unknown[] | null {
  if (value === null) return [];
  try {
    const list = JSON.parse(value) as unknown;
    return Array.isArray(list) && list.every((term) => typeof term === "string") ? list : null;
  } catch {
    return null;
  }
}
