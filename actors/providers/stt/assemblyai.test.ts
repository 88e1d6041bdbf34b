import t from "tap";
import { exactly, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { LIVE_FAULTS, connectFault, spoken } from "./emulated.fixture.js";
import { type SttServer, sttCompliance } from "./stt.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { sttInterimMs: exactly(2), sttFinalMs: exactly(5), sttFinalizeMs: exactly(2) },
});
t.teardown(() => emulators.close());
const { assemblyai } = emulators;

const server: SttServer = {
  failNext: (fault) => assemblyai.faults.arm(connectFault(fault)),
  strike: (fault) => {
    for (const session of assemblyai.live) session.inject(LIVE_FAULTS[fault]);
  },
  clearFaults: () => assemblyai.faults.clear(),
  openCount: () => assemblyai.live.length,
  openedSinceStart: () => assemblyai.openedCount,
};

sttCompliance({
  name: "assemblyai",
  model: "universal-streaming-english",
  server,
  start: (deps, { warmPerKind }) => {
    const url = emulators.urls.assemblyai;
    const settings = { ...providerDefaults.assemblyai, apiKey: PLANTED_KEY, url, warmPerKind };
    return createProviders({ assemblyai: settings }, deps).stt("assemblyai");
  },
  speak: spoken,
  gaveUpAfterMs: [10_000, 18_000],
});
