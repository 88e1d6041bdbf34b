/** What vendors' compliance tests share: faults by the suite's names, and speech the emulators hear. */
import type { DeepgramFault, DeepgramStreamFault } from "#bench/emulators";
import { toneVoice } from "#bench/speech";
import { encodeInto } from "#runtime/media";
import type { SttConnectFault, SttLiveFault } from "./stt.compliance.js";

export const LIVE_FAULTS = {
  close: { kind: "close", code: 1011, reason: "NET-0000" },
  drop: { kind: "drop" },
  error: { kind: "error", code: "INTERNAL_SERVER_ERROR", description: "Something broke." },
  garbage: { kind: "garbage" },
  halfOpen: { kind: "halfOpen" },
  unknownMessage: { kind: "unknownMessage" },
} as const satisfies Record<SttLiveFault, DeepgramStreamFault>;

export function connectFault(fault: SttConnectFault): DeepgramFault {
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

/** µ-law at 8 kHz. */
export function spoken(text: string): Uint8Array {
  const { samples } = toneVoice.synthesize(text);
  const audio = new Uint8Array(samples.length);
  encodeInto("mulaw", samples, 0, samples.length, audio, 0);
  return audio;
}
