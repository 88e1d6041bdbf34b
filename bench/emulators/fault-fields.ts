/**
 * Which faults the control endpoint takes, and with which fields: those of the faults' types, which the compiler compares,
 * so that a field with a typing error is refused and not passed over.
 */
import { z } from "zod";
import type { DeepgramFault, DeepgramStreamFault } from "./deepgram/faults.js";
import type { ModelFault } from "./llm/faults.js";
import type { SpeechHttpFault } from "./speech-http/faults.js";
import type { SpeechFault } from "./speech-queue.js";
import type { VoiceLiveFault, VoiceSocketFault } from "./voice-faults.js";
import type { WhisperFault } from "./whisper/server.js";

type AnyFault = { readonly kind: string };
type Need = "needed" | "optional";
type FieldsOf<Fault extends AnyFault> = {
  readonly [Field in Exclude<keyof Fault, "kind">]-?: Partial<Fault> extends Pick<Fault, Field>
    ? "optional"
    : "needed";
};
/** By kind, all of them. */
type Kinds<Fault extends AnyFault> = {
  readonly [Kind in Fault["kind"]]: FieldsOf<Extract<Fault, { readonly kind: Kind }>>;
};

const status = { status: "needed", message: "optional" } as const;
const afterChunks = { afterChunks: "needed" } as const;
const afterTokens = { afterTokens: "needed" } as const;
const delayMs = { delayMs: "needed" } as const;

const handshake = {
  slowHandshake: delayMs,
  dropHandshake: {},
} as const;

const streamInstant = { afterAudioMs: "optional", afterMessages: "optional" } as const;
const deepgramStream: Kinds<DeepgramStreamFault> = {
  close: { code: "needed", reason: "needed", ...streamInstant },
  drop: streamInstant,
  halfOpen: streamInstant,
  stall: { forMs: "needed", ...streamInstant },
  delay: { ...delayMs, ...streamInstant },
  noSpeechFinal: {},
  emptyFinals: { count: "needed" },
  lateFinals: delayMs,
  eagerFlapping: { times: "needed" },
  ignoreFinalize: {},
  error: { code: "needed", description: "needed", ...streamInstant },
  garbage: streamInstant,
  unknownMessage: streamInstant,
};
const deepgram: Kinds<DeepgramFault> = {
  ...deepgramStream,
  ...handshake,
  refuse: { ...status, errCode: "optional" },
};
const whisper: Kinds<WhisperFault> = {
  status: { ...status, retryAfterS: "optional" },
  reset: {},
  noAnswer: {},
  cut: {},
  missingEnd: {},
  stall: { forMs: "needed" },
  garbage: {},
  errorBody: {},
  noWords: {},
  madeUp: {},
};
const model: Kinds<ModelFault> = {
  status: { ...status, code: "optional", failedGeneration: "optional", retryAfterSeconds: "optional" },
  reset: {},
  noAnswer: {},
  firstToken: delayMs,
  stall: { ...afterTokens, forMs: "optional" },
  cut: afterTokens,
  garbage: afterTokens,
  missingDone: {},
  endEarly: afterTokens,
  splitUtf8: {},
  oneCharArguments: {},
  wholeToolCalls: {},
  repeatedNames: {},
  noToolIndex: {},
  stopDespiteTools: {},
  lengthInArguments: { afterChars: "needed" },
  streamError: { ...afterTokens, form: "needed", code: "optional", message: "optional" },
  looseFraming: {},
  htmlBody: {},
};
const afterMessages = { afterMessages: "optional" } as const;
const voiceLive: Kinds<VoiceLiveFault> = {
  close: { code: "needed", reason: "needed", ...afterMessages },
  drop: afterMessages,
  halfOpen: afterMessages,
  stall: { forMs: "needed", ...afterMessages },
  delay: { ...delayMs, ...afterMessages },
  connectionError: { status: "needed", message: "needed", ...afterMessages },
  garbage: afterMessages,
};
const voiceSocket: Kinds<VoiceSocketFault> = { ...voiceLive, ...handshake, refuse: status };
const speech: Kinds<SpeechFault> = {
  firstAudio: delayMs,
  contextError: { ...status, errorCode: "optional", afterChunks: "optional" },
  oddBytes: {},
  chunksAfterCancel: {},
  neverDone: {},
  stallContext: { ...afterChunks, forMs: "optional" },
  dropSocket: afterChunks,
};
const speechHttp: Kinds<SpeechHttpFault> = {
  ...speech,
  status: { ...status, retryAfterS: "optional" },
  reset: {},
  noAnswer: {},
  shortBody: afterChunks,
  garbage: {},
};

export const FAULT_FIELDS = {
  deepgramStream,
  deepgram,
  whisper,
  model,
  voiceLive,
  voiceSocket,
  speech,
  speechHttp,
} as const;

/** A fault object of one of these kinds with its fields; what they may be is a test's own. */
export function faultOfKind<Fault extends AnyFault>(kinds: Kinds<Fault>): z.ZodType<Fault, Fault> {
  const fieldsOf = new Map(Object.entries<Readonly<Record<string, Need>>>(kinds));
  return z.custom<Fault>().superRefine((value: unknown, context) => {
    const { kind, ...given } = Object(value) as Readonly<Record<string, unknown>>;
    const fields = fieldsOf.get(String(kind));
    if (fields === undefined) {
      context.addIssue(`must be a fault of one of these kinds: ${[...fieldsOf.keys()].join(", ")}`);
      return;
    }
    const wants = Object.keys(fields).join(", ") || "nothing";
    for (const field of Object.keys(given))
      if (!Object.hasOwn(fields, field))
        context.addIssue(`${String(kind)} knows no ${field}; it takes ${wants}`);
    for (const [field, need] of Object.entries(fields))
      if (need === "needed" && given[field] === undefined) context.addIssue(`${String(kind)} needs ${field}`);
  });
}
