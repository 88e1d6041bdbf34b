/** What the control endpoint takes: faults by kind, scripts as JSON, latencies as numbers or distributions. */
import { z } from "zod";
import { type Distribution, around } from "./distribution.js";
import { FAULT_FIELDS, faultOfKind } from "./fault-fields.js";
import { MODEL_VENDORS } from "./llm/vendors.js";

const deepgramFault = faultOfKind(FAULT_FIELDS.deepgram);
const deepgramStreamFault = faultOfKind(FAULT_FIELDS.deepgramStream);
const whisperFault = faultOfKind(FAULT_FIELDS.whisper);
const modelFault = faultOfKind(FAULT_FIELDS.model);
const voiceSocketFault = faultOfKind(FAULT_FIELDS.voiceSocket);
const voiceLiveFault = faultOfKind(FAULT_FIELDS.voiceLive);
const speechHttpFault = faultOfKind(FAULT_FIELDS.speechHttp);
const speechFault = faultOfKind(FAULT_FIELDS.speech);

const times = { count: z.int().min(1).default(1) };
/** Where what the fault befalls says whose it is; elsewhere a `callId` is refused, as it would strike anybody. */
const armed = { ...times, callId: z.string().optional() };

/** `POST /control/faults` */
export const armSchema = z.discriminatedUnion("target", [
  z.strictObject({ target: z.literal("deepgram"), fault: deepgramFault, ...armed }),
  z.strictObject({ target: z.literal("assemblyai"), fault: deepgramFault, ...times }),
  z.strictObject({ target: z.literal("whisper"), fault: whisperFault, ...times }),
  z.strictObject({ target: z.enum(MODEL_VENDORS), fault: modelFault, ...armed }),
  z.strictObject({ target: z.literal("cartesiaSocket"), fault: voiceSocketFault, ...times }),
  z.strictObject({ target: z.literal("cartesiaContext"), fault: speechFault, ...armed }),
  z.strictObject({ target: z.literal("elevenlabsSocket"), fault: voiceSocketFault, ...times }),
  z.strictObject({ target: z.literal("elevenlabsContext"), fault: speechFault, ...armed }),
  z.strictObject({ target: z.literal("speech"), fault: speechHttpFault, ...armed }),
]);
export type ArmCommand = z.input<typeof armSchema>;

/** `POST /control/inject`: on what is live now, of one call or of all. */
export const injectSchema = z.discriminatedUnion("target", [
  z.strictObject({
    target: z.literal("deepgram"),
    fault: deepgramStreamFault,
    callId: z.string().optional(),
  }),
  z.strictObject({
    target: z.enum(MODEL_VENDORS),
    fault: z.strictObject({ kind: z.enum(["cut", "stall", "resume"]) }),
    callId: z.string().optional(),
  }),
  z.strictObject({ target: z.literal("assemblyai"), fault: deepgramStreamFault }),
  z.strictObject({ target: z.literal("cartesia"), fault: voiceLiveFault }),
  z.strictObject({ target: z.literal("elevenlabs"), fault: voiceLiveFault }),
]);
export type InjectCommand = z.input<typeof injectSchema>;

const toolCall = z.strictObject({
  name: z.string(),
  arguments: z.union([z.string(), z.record(z.string(), z.unknown())]),
  id: z.string().optional(),
});

/** `POST /control/scripts`. A gate is named, and opened by `POST /control/gates/<name>`. */
export const scriptSchema = z.strictObject({
  /** A regular expression for what the caller said last. */
  match: z.string(),
  flags: z.string().default("i"),
  callId: z.string().optional(),
  /** Whose answer. @default every language model's */
  provider: z.enum(MODEL_VENDORS).optional(),
  times: z.int().min(1).optional(),
  reply: z.strictObject({
    text: z.string().optional(),
    toolCalls: z.array(toolCall).optional(),
    parts: z
      .array(
        z.union([
          z.strictObject({ text: z.string() }),
          z.strictObject({ toolCall }),
          z.strictObject({ pauseMs: z.number().min(0) }),
          z.strictObject({ gate: z.string() }),
        ]),
      )
      .optional(),
    firstTokenMs: z.number().min(0).optional(),
    tokenDelayMs: z.number().min(0).optional(),
    finish: z.enum(["stop", "length", "tool_calls"]).optional(),
    faults: z.array(modelFault).optional(),
  }),
});
export type ScriptCommand = z.input<typeof scriptSchema>;
export type ParsedScript = z.output<typeof scriptSchema>;

const distribution: z.ZodType<Distribution, number | Distribution> = z.union([
  z
    .number()
    .min(0)
    .transform((medianMs) => around(medianMs)),
  z.strictObject({ medianMs: z.number().min(0), jitterMs: z.number().min(0) }),
]);

/** `PATCH /control/latency`: a number is a median with the default jitter. */
export const latencySchema = z.strictObject({
  sttInterimMs: distribution.optional(),
  sttFinalMs: distribution.optional(),
  sttFinalizeMs: distribution.optional(),
  llmFirstTokenMs: distribution.optional(),
  ttsFirstAudioMs: distribution.optional(),
});
export type LatencyCommand = z.input<typeof latencySchema>;

const rate = z.number().positive().optional();

/** `PATCH /control/rates` */
export const ratesSchema = z.strictObject({
  llmTokensPerSecond: rate,
  ttsRealtimeFactor: rate,
  sttMaxRealtimeFactor: rate,
});
export type RatesCommand = z.input<typeof ratesSchema>;

/** `PATCH /control/limits` */
export const limitsSchema = z.strictObject({
  deepgramStreams: z.int().min(0).optional(),
  assemblyaiSessions: z.int().min(0).optional(),
  assemblyaiSessionsPerMinute: z.int().min(0).optional(),
  whisperRequestsPerMinute: z.int().min(0).optional(),
  cartesiaContexts: z.int().min(0).optional(),
  elevenLabsContexts: z.int().min(0).optional(),
  speechRequests: z.int().min(0).optional(),
  elevenLabsContextsPerSocket: z.int().min(0).optional(),
  llmRequestsPerMinute: z.int().min(0).optional(),
  llmTokensPerMinute: z.int().min(0).optional(),
});
export type LimitsCommand = z.input<typeof limitsSchema>;
