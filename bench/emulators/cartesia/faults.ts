/** What can go wrong with a voice; armed on `cartesia.socketFaults` and `cartesia.contextFaults`, or injected live. */

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
export type CartesiaContextFault =
  /** The first audio comes this long after the first text, whatever was drawn. */
  | { readonly kind: "firstAudio"; readonly delayMs: number }
  /** An error for this context alone, after so many chunks (default 0). */
  | {
      readonly kind: "contextError";
      readonly status: number;
      readonly message?: string;
      readonly errorCode?: string;
      readonly afterChunks?: number;
    }
  /** Chunks end in the middle of a sample. */
  | { readonly kind: "oddBytes" }
  /** A cancel stops only what has not begun: the rest of the running piece still comes. */
  | { readonly kind: "chunksAfterCancel" }
  /** Audio comes, `done` never does. */
  | { readonly kind: "neverDone" }
  /** Nothing for this context for `forMs`, or for ever, after so many chunks. */
  | { readonly kind: "stallContext"; readonly afterChunks: number; readonly forMs?: number }
  /** The socket goes after so many chunks of this context. */
  | { readonly kind: "dropSocket"; readonly afterChunks: number };

export interface CartesiaSocketInfo {
  readonly query: URLSearchParams;
}

export interface CartesiaContextInfo {
  readonly contextId: string;
  /** The context id up to its last `.`, `/`, `:` or `#`. */
  readonly callId: string;
  /** Its first text. */
  readonly text: string;
}
