import t from "tap";
import { exactly, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { LIVE_FAULTS, connectFault, spoken } from "./emulated.fixture.js";
import { type SttConnectFault, type SttServer, sttCompliance } from "./stt.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { sttInterimMs: exactly(2), sttFinalMs: exactly(5), sttFinalizeMs: exactly(2) },
});
t.teardown(() => emulators.close());
const { deepgram } = emulators;

const server: SttServer = {
  failNext: (fault: SttConnectFault) => deepgram.faults.arm(connectFault(fault)),
  strike: (fault) => {
    for (const stream of deepgram.live) stream.inject(LIVE_FAULTS[fault]);
  },
  clearFaults: () => deepgram.faults.clear(),
  openCount: () => deepgram.live.length,
  openedSinceStart: () => deepgram.openedCount,
};

for (const [name, model] of [
  ["deepgram", "nova-3"],
  ["deepgram-flux", "flux-general-en"],
] as const) {
  sttCompliance({
    name,
    model,
    server,
    start: (deps, { warmPerKind }) => {
      const url = emulators.urls.deepgram;
      const settings = { ...providerDefaults.deepgram, apiKey: PLANTED_KEY, url, warmPerKind };
      return createProviders({ deepgram: settings }, deps).stt(name);
    },
    speak: spoken,
  });
}
