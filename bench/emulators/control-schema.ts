/** What the control endpoint takes: faults by kind, scripts as JSON, latencies as numbers or distributions. */
import { z } from "zod";
import type { DeepgramFault, DeepgramStreamFault } from "./deepgram/faults.js";
import type { WhisperFault } from "./whisper/server.js";
import { type Distribution, around } from "./distribution.js";
import type { ModelFault } from "./llm/faults.js";
import { MODEL_VENDORS } from "./llm/vendors.js";
import type { SpeechHttpFault } from "./speech-http/faults.js";
import type { SpeechFault } from "./speech-queue.js";
import type { VoiceLiveFault, VoiceSocketFault } from "./voice-faults.js";

type Kinds<Fault extends { readonly kind: string }> = Readonly<Record<Fault["kind"], true>>;

const deepgramStreamKinds: Kinds<DeepgramStreamFault> = {
  close: true,
  drop: true,
  halfOpen: true,
  stall: true,
  delay: true,
  noSpeechFinal: true,
  emptyFinals: true,
  lateFinals: true,
  eagerFlapping: true,
  ignoreFinalize: true,
  error: true,
  garbage: true,
  unknownMessage: true,
};
const deepgramKinds: Kinds<DeepgramFault> = {
  ...deepgramStreamKinds,
  refuse: true,
  slowHandshake: true,
  dropHandshake: true,
};
const whisperKinds: Kinds<WhisperFault> = {
  status: true,
  reset: true,
  noAnswer: true,
  cut: true,
  missingEnd: true,
  stall: true,
  garbage: true,
  errorBody: true,
  noWords: true,
  madeUp: true,
};
const modelKinds: Kinds<ModelFault> = {
  status: true,
  reset: true,
  noAnswer: true,
  firstToken: true,
  stall: true,
  cut: true,
  garbage: true,
  missingDone: true,
  endEarly: true,
  splitUtf8: true,
  oneCharArguments: true,
  wholeToolCalls: true,
  repeatedNames: true,
  noToolIndex: true,
  stopDespiteTools: true,
  lengthInArguments: true,
  streamError: true,
  looseFraming: true,
  htmlBody: true,
};
const voiceLiveKinds: Kinds<VoiceLiveFault> = {
  close: true,
  drop: true,
  halfOpen: true,
  stall: true,
  delay: true,
  connectionError: true,
  garbage: true,
};
const voiceSocketKinds: Kinds<VoiceSocketFault> = {
  ...voiceLiveKinds,
  refuse: true,
  slowHandshake: true,
  dropHandshake: true,
};
const speechKinds: Kinds<SpeechFault> = {
  firstAudio: true,
  contextError: true,
  oddBytes: true,
  chunksAfterCancel: true,
  neverDone: true,
  stallContext: true,
  dropSocket: true,
};

const speechHttpKinds: Kinds<SpeechHttpFault> = {
  ...speechKinds,
  status: true,
  reset: true,
  noAnswer: true,
  shortBody: true,
  garbage: true,
};

/** A fault object of one of these kinds; its other fields are taken as they are, they are a test's own. */
function faultOfKind<Fault extends { readonly kind: string }>(kinds: Kinds<Fault>): z.ZodType<Fault, Fault> {
  const names = Object.keys(kinds);
  return z.custom<Fault>(
    (value) => typeof value === "object" && value !== null && names.includes((value as Fault).kind),
    { error: `must be a fault of one of these kinds: ${names.join(", ")}` },
  );
}

const deepgramFault = faultOfKind<DeepgramFault>(deepgramKinds);
const deepgramStreamFault = faultOfKind<DeepgramStreamFault>(deepgramStreamKinds);
const whisperFault = faultOfKind<WhisperFault>(whisperKinds);
const modelFault = faultOfKind<ModelFault>(modelKinds);
const voiceSocketFault = faultOfKind<VoiceSocketFault>(voiceSocketKinds);
const voiceLiveFault = faultOfKind<VoiceLiveFault>(voiceLiveKinds);
const speechHttpFault = faultOfKind<SpeechHttpFault>(speechHttpKinds);
const speechFault = faultOfKind<SpeechFault>(speechKinds);

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
