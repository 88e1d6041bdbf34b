/** What can go wrong with a voice that is reached by WebSocket; what befalls one reply is in speech-queue.ts. */

/** Befalls a socket: its upgrade, or what is open. */
export type VoiceSocketFault =
  /** The upgrade is refused with this status. */
  | {
      readonly kind: "refuse";
      readonly status: 400 | 401 | 402 | 403 | 429 | 500 | 503;
      readonly message?: string;
    }
  /** The upgrade's answer comes this much later. */
  | { readonly kind: "slowHandshake"; readonly delayMs: number }
  /** The connection is closed in place of an answer. */
  | { readonly kind: "dropHandshake" }
  | VoiceLiveFault;

/** Befalls a socket that is open; when armed, `afterMessages` of ours (default 0, on opening). */
export type VoiceLiveFault =
  | {
      readonly kind: "close";
      readonly code: number;
      readonly reason: string;
      readonly afterMessages?: number;
    }
  /** Without a close frame: 1006 at the client. */
  | { readonly kind: "drop"; readonly afterMessages?: number }
  /** Nothing more comes, nothing is closed. */
  | { readonly kind: "halfOpen"; readonly afterMessages?: number }
  /** Messages wait for so long, then all come at once. */
  | { readonly kind: "stall"; readonly forMs: number; readonly afterMessages?: number }
  /** Every message comes this much later. */
  | { readonly kind: "delay"; readonly delayMs: number; readonly afterMessages?: number }
  /** An error that names no context. */
  | {
      readonly kind: "connectionError";
      readonly status: number;
      readonly message: string;
      readonly afterMessages?: number;
    }
  /** A message that is not JSON. */
  | { readonly kind: "garbage"; readonly afterMessages?: number };

export interface VoiceSocketInfo {
  readonly query: URLSearchParams;
}
