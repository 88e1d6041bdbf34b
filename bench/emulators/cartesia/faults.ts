/** What can go wrong with a voice; armed on `cartesia.socketFaults` and `cartesia.contextFaults`, or injected live. */
import type { SpeechFault, SpeechInfo } from "../speech-queue.js";

/** Befalls a socket: its upgrade, or what is open. */
export type CartesiaSocketFault =
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
  | CartesiaLiveFault;

/** Befalls a socket that is open; when armed, `afterMessages` of ours (default 0, on opening). */
export type CartesiaLiveFault =
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

/** Befalls one context. */
export type CartesiaContextFault = SpeechFault;

export interface CartesiaSocketInfo {
  readonly query: URLSearchParams;
}

export type CartesiaContextInfo = SpeechInfo;
