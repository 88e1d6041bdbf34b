/** Messages of `…/multi-stream-input`: what is taken, and what alignments and errors look like. */
import { z } from "zod";
import type { OutputFormat } from "../audio-output.js";
import type { SpokenChunk } from "../speech-queue.js";

/** The formats a voice without its own codecs can speak. */
export const ELEVENLABS_FORMATS: Readonly<Record<string, OutputFormat>> = {
  ulaw_8000: { encoding: "pcm_mulaw", sample_rate: 8000 },
  alaw_8000: { encoding: "pcm_alaw", sample_rate: 8000 },
  pcm_8000: { encoding: "pcm_s16le", sample_rate: 8000 },
  pcm_16000: { encoding: "pcm_s16le", sample_rate: 16000 },
  pcm_22050: { encoding: "pcm_s16le", sample_rate: 22050 },
  pcm_24000: { encoding: "pcm_s16le", sample_rate: 24000 },
  pcm_44100: { encoding: "pcm_s16le", sample_rate: 44100 },
};

const frameSchema = z.strictObject({
  text: z.string().nullish(),
  context_id: z.string().min(1).max(256).nullish(),
  flush: z.boolean().nullish(),
  close_context: z.boolean().nullish(),
  close_socket: z.boolean().nullish(),
  voice_settings: z
    .strictObject({
      stability: z.number().min(0).max(1).nullish(),
      similarity_boost: z.number().min(0).max(1).nullish(),
      style: z.number().nullish(),
      use_speaker_boost: z.boolean().nullish(),
      speed: z.number().min(0.7).max(1.2).nullish(),
    })
    .nullish(),
  generation_config: z
    .strictObject({ chunk_length_schedule: z.array(z.number().min(50).max(500)).nullish() })
    .nullish(),
  xi_api_key: z.string().nullish(),
  authorization: z.string().nullish(),
});
export type ElevenLabsFrame = z.infer<typeof frameSchema>;

export function parseFrame(text: string): ElevenLabsFrame | { readonly problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "The message is not valid JSON." };
  }
  const result = frameSchema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  return { problem: `${issue.path.join(".") || "message"}: ${issue.message}` };
}

export interface Alignment {
  readonly chars: string[];
  readonly charStartTimesMs: number[];
  readonly charDurationsMs: number[];
}

/** The characters whose sound begins in this chunk; times count from the chunk's own start. */
export function alignmentOf({ piece, startMs, endMs, ends }: SpokenChunk): Alignment | null {
  const alignment: Alignment = { chars: [], charStartTimesMs: [], charDurationsMs: [] };
  const add = (char: string, fromMs: number, toMs: number): void => {
    if (fromMs < startMs || (fromMs >= endMs && !ends)) return;
    alignment.chars.push(char);
    alignment.charStartTimesMs.push(Math.round(fromMs - startMs));
    alignment.charDurationsMs.push(Math.round(toMs - startMs) - Math.round(fromMs - startMs));
  };
  for (const [index, { word, startMs: wordMs, endMs: wordEndMs }] of piece.words.entries()) {
    const chars = Array.from(word);
    const share = (wordEndMs - wordMs) / chars.length;
    for (const [n, char] of chars.entries()) add(char, wordMs + n * share, wordMs + (n + 1) * share);
    add(" ", wordEndMs, piece.words[index + 1]?.startMs ?? piece.audioMs);
  }
  return alignment.chars.length === 0 ? null : alignment;
}

const WORDS: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  402: "quota_exceeded",
  429: "rate_limit_exceeded",
  500: "internal_error",
};

/** As far as it is known: a message, a word for the error, and a number that is a close code or a status. */
export function errorFrame(code: number, message: string, contextId: string | null, word?: string): object {
  return {
    message,
    error: word ?? WORDS[code] ?? "invalid_request",
    code,
    ...(contextId === null ? {} : { contextId }),
  };
}
