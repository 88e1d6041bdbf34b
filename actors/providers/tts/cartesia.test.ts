import t from "tap";
import {
  type CartesiaContextFault,
  type CartesiaLiveFault,
  type CartesiaSocketFault,
  exactly,
  startEmulators,
} from "#bench/emulators";
import { ToneDecoder } from "#bench/speech";
import { type AudioFormat, Resampler, decodeInto } from "#runtime/media";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import {
  type TtsConnectFault,
  type TtsLiveFault,
  type TtsReplyFault,
  ttsCompliance,
} from "./tts.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { ttsFirstAudioMs: exactly(2) },
  ttsRealtimeFactor: 100,
});
t.teardown(() => emulators.close());
const { cartesia, log, urls } = emulators;

const LIVE_FAULTS = {
  close: { kind: "close", code: 1011, reason: "internal" },
  drop: { kind: "drop" },
  connectionError: { kind: "connectionError", status: 500, message: "Something broke." },
  garbage: { kind: "garbage" },
  halfOpen: { kind: "halfOpen" },
} as const satisfies Record<TtsLiveFault, CartesiaLiveFault>;

ttsCompliance({
  name: "cartesia",
  model: "sonic-3",
  server: {
    failNextConnection: (fault) => cartesia.socketFaults.arm(socketFault(fault)),
    failNextReply: (fault) => cartesia.contextFaults.arm(contextFault(fault)),
    clearFaults: () => {
      cartesia.socketFaults.clear();
      cartesia.contextFaults.clear();
    },
    strike: (fault) => {
      for (const socket of cartesia.live) socket.inject(LIVE_FAULTS[fault]);
    },
    openCount: () => cartesia.live.length,
    openedSinceStart: () => cartesia.openedCount,
    activeReplies: () => cartesia.activeContexts,
    spoken: (callId) => log.tts(callId).map(({ text }) => text),
  },
  start: (deps, { repliesPerConnection = 64, connectionsMax = 8 }) => {
    const settings = {
      ...providerDefaults.cartesia,
      apiKey: PLANTED_KEY,
      url: urls.cartesia,
      contextsPerSocket: repliesPerConnection,
      socketsMax: connectionsMax,
    };
    return createProviders({ cartesia: settings }, deps).tts("cartesia");
  },
  decode,
});

/** Words in tone speech of any format. */
function decode(audio: Uint8Array, format: AudioFormat): string {
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

function socketFault(fault: TtsConnectFault): CartesiaSocketFault {
  switch (fault.kind) {
    case "refuse":
      return fault as Extract<CartesiaSocketFault, { readonly kind: "refuse" }>;
    case "neverAnswer":
      return { kind: "slowHandshake", delayMs: 600_000 };
    default:
      return fault;
  }
}

function contextFault(fault: TtsReplyFault): CartesiaContextFault {
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
