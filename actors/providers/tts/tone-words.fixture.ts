/** What the compliance suite's servers share: ears for tone speech, and faults by the emulators' names. */
import type { SpeechFault, VoiceLiveFault, VoiceSocketFault } from "#bench/emulators";
import { ToneDecoder } from "#bench/speech";
import { type AudioFormat, Resampler, decodeInto } from "#runtime/media";
import type { TtsConnectFault, TtsLiveFault, TtsReplyFault } from "./tts.compliance.js";

/** Words in tone speech of any format. */
export function decodeTones(audio: Uint8Array, format: AudioFormat): string {
  const samples = new Int16Array(audio.length);
  const count = decodeInto(format.encoding, audio, 0, audio.length, samples, 0);
  const words: string[] = [];
  const decoder = new ToneDecoder((word) => words.push(word.word));
  const resampler = new Resampler(format.sampleRateHz, 8000);
  const at8k = new Int16Array(resampler.outputCount(count));
  resampler.process(samples, 0, count, at8k, 0);
  decoder.push(at8k, 0, at8k.length);
  decoder.push(new Int16Array(8 * 400), 0, 8 * 400);
  return words
    .join(" ")
    .toLowerCase()
    .replace(/[.,?!]/g, "");
}

export function socketFault(fault: TtsConnectFault): VoiceSocketFault {
  switch (fault.kind) {
    case "refuse":
      return fault as Extract<VoiceSocketFault, { readonly kind: "refuse" }>;
    case "neverAnswer":
      return { kind: "slowHandshake", delayMs: 600_000 };
    default:
      return fault;
  }
}

export function speechFault(fault: TtsReplyFault): SpeechFault {
  switch (fault.kind) {
    case "error":
      return { ...fault, kind: "contextError" };
    case "lateFirstAudio":
      return { kind: "firstAudio", delayMs: 600_000 };
    case "stall":
      return { kind: "stallContext", afterChunks: 2 };
    case "audioAfterCancel":
      return { kind: "chunksAfterCancel" };
    default:
      return { kind: fault.kind };
  }
}

export const LIVE_FAULTS = {
  close: { kind: "close", code: 1011, reason: "internal" },
  drop: { kind: "drop" },
  connectionError: { kind: "connectionError", status: 500, message: "Something broke." },
  garbage: { kind: "garbage" },
  halfOpen: { kind: "halfOpen" },
} as const satisfies Record<TtsLiveFault, VoiceLiveFault>;
