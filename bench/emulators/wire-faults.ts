/** What befalls an emulator's sockets whatever their protocol: at the handshake, or done to the open wire. */
import type { Clock } from "#runtime/actor";
import type { Wire } from "./wire.js";

export type WireFault =
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  /** Without a close frame: 1006 at the client. */
  | { readonly kind: "drop" }
  /** Nothing more comes, nothing is closed. */
  | { readonly kind: "halfOpen" }
  /** Messages wait for so long, then all come at once. */
  | { readonly kind: "stall"; readonly forMs: number }
  /** Every message comes this much later. */
  | { readonly kind: "delay"; readonly delayMs: number };

const HANDSHAKE_KINDS = ["refuse", "slowHandshake", "dropHandshake"] as const;
type HandshakeFault = { readonly kind: (typeof HANDSHAKE_KINDS)[number] };

/** The socket is open: they are over. */
export function isOfHandshake<Fault extends { readonly kind: string }>(
  fault: Fault,
): fault is Extract<Fault, HandshakeFault> {
  return HANDSHAKE_KINDS.some((kind) => kind === fault.kind);
}

export function strikeWire(wire: Wire, clock: Clock, fault: WireFault): void {
  switch (fault.kind) {
    case "close":
      return wire.closeNow(fault.code, fault.reason);
    case "drop":
      return wire.drop();
    case "halfOpen":
      return wire.mute();
    case "stall":
      wire.stall();
      clock.setTimer(fault.forMs, () => wire.resume());
      return;
    case "delay":
      return wire.delay(fault.delayMs);
  }
}
