import t from "tap";
import { exactly, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { LIVE_FAULTS, decodeTones, socketFault, speechFault } from "./tone-words.fixture.js";
import { ttsCompliance } from "./tts.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { ttsFirstAudioMs: exactly(2) },
  ttsRealtimeFactor: 100,
});
t.teardown(() => emulators.close());
const { elevenlabs, log, urls } = emulators;

ttsCompliance({
  name: "elevenlabs",
  model: "eleven_flash_v2_5",
  repliesShared: 3,
  server: {
    failNextConnection: (fault) => elevenlabs.socketFaults.arm(socketFault(fault)),
    failNextReply: (fault) => elevenlabs.contextFaults.arm(speechFault(fault)),
    clearFaults: () => {
      elevenlabs.socketFaults.clear();
      elevenlabs.contextFaults.clear();
    },
    strike: (fault) => {
      for (const socket of elevenlabs.live) socket.inject(LIVE_FAULTS[fault]);
    },
    openCount: () => elevenlabs.live.length,
    openedSinceStart: () => elevenlabs.openedCount,
    forget: () => {
      for (const socket of elevenlabs.live) socket.forgetContexts();
    },
    activeReplies: () => elevenlabs.activeContexts,
    spoken: (callId) => log.tts(callId).map(({ text }) => text),
  },
  start: (deps, { repliesPerConnection = 5, connectionsMax = 8 }) => {
    const settings = {
      ...providerDefaults.elevenlabs,
      apiKey: PLANTED_KEY,
      url: urls.elevenlabs,
      contextsPerSocket: repliesPerConnection,
      socketsMax: connectionsMax,
    };
    return createProviders({ elevenlabs: settings }, deps).tts("elevenlabs");
  },
  decode: decodeTones,
});
