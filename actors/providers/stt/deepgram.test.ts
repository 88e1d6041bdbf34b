import t from "tap";
import { type DeepgramFault, exactly, startEmulators } from "#bench/emulators";
import { toneVoice } from "#bench/speech";
import { encodeInto } from "#runtime/media";
import { PLANTED_KEY } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { type SttConnectFault, type SttLiveFault, type SttServer, sttCompliance } from "./stt.compliance.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { sttInterimMs: exactly(2), sttFinalMs: exactly(5), sttFinalizeMs: exactly(2) },
});
t.teardown(() => emulators.close());
const { deepgram } = emulators;

const LIVE_FAULTS = {
  close: { kind: "close", code: 1011, reason: "NET-0000" },
  drop: { kind: "drop" },
  error: { kind: "error", code: "INTERNAL_SERVER_ERROR", description: "Something broke." },
  garbage: { kind: "garbage" },
  halfOpen: { kind: "halfOpen" },
  unknownMessage: { kind: "unknownMessage" },
} as const satisfies Record<SttLiveFault, DeepgramFault>;

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
    speak: (text) => {
      const { samples } = toneVoice.synthesize(text);
      const audio = new Uint8Array(samples.length);
      encodeInto("mulaw", samples, 0, samples.length, audio, 0);
      return audio;
    },
  });
}

function connectFault(fault: SttConnectFault): DeepgramFault {
  switch (fault.kind) {
    case "refuse": {
      const status = fault.status as Extract<DeepgramFault, { readonly kind: "refuse" }>["status"];
      return { kind: "refuse", status, ...(fault.message === undefined ? {} : { message: fault.message }) };
    }
    case "neverAnswer":
      return { kind: "slowHandshake", delayMs: 600_000 };
    default:
      return fault;
  }
}
