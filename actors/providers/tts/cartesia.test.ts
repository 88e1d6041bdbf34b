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
const { cartesia, log, urls } = emulators;

ttsCompliance({
  name: "cartesia",
  model: "sonic-3",
  server: {
    failNextConnection: (fault) => cartesia.socketFaults.arm(socketFault(fault)),
    failNextReply: (fault) => cartesia.contextFaults.arm(speechFault(fault)),
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
  decode: decodeTones,
});
