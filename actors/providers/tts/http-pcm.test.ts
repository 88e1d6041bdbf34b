import t from "tap";
import { type SpeechHttpFault, exactly, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { decodeTones, speechFault } from "./tone-words.fixture.js";
import { type TtsConnectFault, type TtsReplyFault, ttsCompliance } from "./tts.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { ttsFirstAudioMs: exactly(2) },
  ttsRealtimeFactor: 100,
});
t.teardown(() => emulators.close());
const { speech, log, urls } = emulators;

const VOICES = [
  { name: "openai-tts", account: "openaiSpeech", model: "gpt-4o-mini-tts" },
  { name: "piper", account: "piper", model: "any" },
] as const;

for (const { name, account, model } of VOICES) {
  ttsCompliance({
    name,
    model,
    isPerRequest: true,
    server: {
      // Two replies meet it, or one that is sent again.
      failNextConnection: (fault) => speech.faults.arm(connectFault(fault), { count: 2 }),
      failNextReply: (fault) => speech.faults.arm(replyFault(fault, name)),
      clearFaults: () => speech.faults.clear(),
      // What is under way is harmed in http-pcm-wire.test.ts; here, whatever is asked from now on.
      strike: () => speech.faults.arm({ kind: "noAnswer" }, { count: 2 }),
      openCount: () => speech.openConnections,
      openedSinceStart: () => speech.connectionCount,
      activeReplies: () => speech.activeRequests,
      spoken: (callId) => log.tts(callId).map(({ text }) => text),
    },
    start: (deps) => {
      const settings = {
        ...providerDefaults[account],
        firstAudioTimeoutMs: 3_000,
        apiKey: PLANTED_KEY,
        url: urls.speech,
      };
      return createProviders({ [account]: settings }, deps).tts(name);
    },
    decode: decodeTones,
  });
}

function connectFault(fault: TtsConnectFault): SpeechHttpFault {
  switch (fault.kind) {
    case "refuse":
      return { ...fault, kind: "status" };
    case "neverAnswer":
      return { kind: "noAnswer" };
    default:
      return { kind: "reset" };
  }
}

function replyFault(fault: TtsReplyFault, name: string): SpeechHttpFault {
  if (fault.kind === "error") return { ...fault, kind: "status" };
  // Piper answers when all is spoken: it cannot stall in between, only before the end.
  return speechFault(name === "piper" && fault.kind === "stall" ? { kind: "neverDone" } : fault);
}
