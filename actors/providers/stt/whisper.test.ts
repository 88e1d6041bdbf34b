import t from "tap";
import { type WhisperFault, exactly, startEmulators } from "#bench/emulators";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { spoken } from "./emulated.fixture.js";
import { type SttConnectFault, type SttLiveFault, type SttServer, sttCompliance } from "./stt.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { sttInterimMs: exactly(2), sttFinalMs: exactly(5), sttFinalizeMs: exactly(2) },
});
t.teardown(() => emulators.close());
const { whisper } = emulators;

/** On the next requests, since there is nothing open in between. */
const LIVE_FAULTS = {
  close: { kind: "cut" },
  drop: { kind: "cut" },
  error: { kind: "errorBody" },
  garbage: { kind: "garbage" },
  halfOpen: { kind: "noAnswer" },
  unknownMessage: { kind: "noWords" },
} as const satisfies Record<SttLiveFault, WhisperFault>;

function connectFault(fault: SttConnectFault): WhisperFault {
  if (fault.kind === "neverAnswer") return { kind: "noAnswer" };
  if (fault.kind === "dropHandshake") return { kind: "reset" };
  const { status, message } = fault;
  return { kind: "status", status, ...(message === undefined ? {} : { message }) };
}

const server: SttServer = {
  failNext: (fault) => whisper.faults.arm(connectFault(fault)),
  strike: (fault) => whisper.faults.arm(LIVE_FAULTS[fault]),
  clearFaults: () => whisper.faults.clear(),
  openCount: () => whisper.runningCount,
  openedSinceStart: () => whisper.requestCount,
};

for (const name of ["whisper", "groq-whisper"] as const) {
  sttCompliance({
    name,
    model: "whisper-large-v3-turbo",
    server,
    isBatch: true,
    start: (deps) => {
      const own = { apiKey: PLANTED_KEY, url: emulators.urls.whisper, interimEveryMs: 400 };
      const settings = {
        whisper: { ...providerDefaults.whisper, ...own },
        groqWhisper: { ...providerDefaults.groqWhisper, ...own },
      };
      return createProviders(settings, deps).stt(name);
    },
    speak: spoken,
  });
}
