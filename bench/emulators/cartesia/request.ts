/** A generation request, checked the way Cartesia checks it. */
import { z } from "zod";
import { TTS_ENCODINGS } from "../audio-output.js";

export const TTS_SAMPLE_RATES: readonly number[] = [8000, 16000, 22050, 24000, 44100, 48000];

const sampleRate = z.int().refine((rate) => TTS_SAMPLE_RATES.includes(rate), {
  error: `must be one of ${TTS_SAMPLE_RATES.join(", ")}`,
});

const rawFormat = z.strictObject({
  container: z.literal("raw"),
  encoding: z.enum(TTS_ENCODINGS),
  sample_rate: sampleRate,
});

const wavFormat = z.strictObject({
  container: z.literal("wav"),
  encoding: z.enum(TTS_ENCODINGS),
  sample_rate: sampleRate,
});

/** A transcript longer than this is refused; the vendor's own limit is of this order. */
const TRANSCRIPT_MAX_CHARS = 20_000;

const common = {
  model_id: z.string().regex(/^sonic(-[\w.-]+)?$/, "is not a model"),
  transcript: z.string().max(TRANSCRIPT_MAX_CHARS),
  voice: z.union([
    z.string().min(1),
    z.looseObject({ mode: z.literal("id").optional(), id: z.string().min(1) }),
  ]),
  language: z.string().min(2).nullish(),
  locale: z.string().min(2).nullish(),
  generation_config: z
    .strictObject({
      speed: z.number().min(0.6).max(1.5).nullish(),
      volume: z.number().min(0.5).max(2).nullish(),
      emotion: z.string().nullish(),
    })
    .nullish(),
  add_timestamps: z.boolean().nullish(),
  add_phoneme_timestamps: z.boolean().nullish(),
  use_normalized_timestamps: z.boolean().nullish(),
  pronunciation_dict_id: z.string().nullish(),
  normalization: z.string().nullish(),
  speed: z.enum(["slow", "normal", "fast"]).nullish(),
};

const generationSchema = z.strictObject({
  ...common,
  context_id: z.string().min(1).max(256).nullish(),
  output_format: rawFormat,
  continue: z.boolean().nullish(),
  flush: z.boolean().nullish(),
  max_buffer_delay_ms: z.int().min(0).max(5000).nullish(),
  duration: z.number().nullish(),
});

const cancelSchema = z.strictObject({ context_id: z.string().min(1), cancel: z.literal(true) });

const bytesSchema = z.strictObject({ ...common, output_format: z.union([rawFormat, wavFormat]) });
const sseSchema = z.strictObject({ ...common, output_format: rawFormat, context_id: z.string().nullish() });

export type GenerationRequest = z.infer<typeof generationSchema>;
export type CancelRequest = z.infer<typeof cancelSchema>;
export type BytesRequest = z.infer<typeof bytesSchema>;
export type OutputFormat = z.infer<typeof rawFormat>;

export interface RequestProblem {
  readonly problem: string;
  /** The context it names, if that much could be read. */
  readonly contextId: string | null;
}

/** One text frame. */
export function parseFrame(text: string): GenerationRequest | CancelRequest | RequestProblem {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "The message is not valid JSON.", contextId: null };
  }
  const fields = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const contextId = typeof fields["context_id"] === "string" ? fields["context_id"] : null;
  const schema = "cancel" in fields ? cancelSchema : generationSchema;
  const result = schema.safeParse(json);
  if (!result.success) return { problem: firstIssue(result.error), contextId };
  return crossFieldProblem(result.data, contextId) ?? result.data;
}

/** The body of `POST /tts/bytes` or `/tts/sse`. */
export function parseBody(text: string, form: "bytes" | "sse"): BytesRequest | RequestProblem {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "The body is not valid JSON.", contextId: null };
  }
  const result = (form === "bytes" ? bytesSchema : sseSchema).safeParse(json);
  if (!result.success) return { problem: firstIssue(result.error), contextId: null };
  if (result.data.transcript.trim() === "") return { problem: "transcript is empty.", contextId: null };
  return crossFieldProblem(result.data, null) ?? result.data;
}

function crossFieldProblem(request: object, contextId: string | null): RequestProblem | null {
  const { language, locale } = request as { language?: unknown; locale?: unknown };
  if (language == null || locale == null) return null;
  return { problem: "A request may set language or locale, never both.", contextId };
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]!;
  if (issue.code === "unrecognized_keys") return `unknown field: ${issue.keys[0]}`;
  return `${issue.path.join(".") || "request"}: ${issue.message}`;
}

/** What must stay equal within a context, to compare. */
export function fixedFields(request: GenerationRequest): string {
  const { transcript: _t, continue: _c, flush: _f, duration: _d, ...fixed } = request;
  return JSON.stringify(fixed, Object.keys(fixed).sort());
}
