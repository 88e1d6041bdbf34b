/** What can go wrong with a recogniser; armed on `deepgram.faults`, or injected into a live stream. */

export type DeepgramFault =
  /** The upgrade is refused with this status. */
  | {
      readonly kind: "refuse";
      readonly status: 400 | 401 | 402 | 403 | 429 | 500 | 503;
      readonly errCode?: string;
      readonly message?: string;
    }
  /** The upgrade's answer comes this much later. */
  | { readonly kind: "slowHandshake"; readonly delayMs: number }
  /** The connection is closed in place of an answer. */
  | { readonly kind: "dropHandshake" }
  | DeepgramStreamFault;

/** What befalls a stream that is open. Without an instant it strikes at once. */
export type DeepgramStreamFault =
  /** Closed with this code and reason. */
  | ({ readonly kind: "close"; readonly code: number; readonly reason: string } & StreamInstant)
  /** The TCP connection goes without a close frame: 1006 at the client. */
  | ({ readonly kind: "drop" } & StreamInstant)
  /** Nothing more comes, nothing is closed. */
  | ({ readonly kind: "halfOpen" } & StreamInstant)
  /** Messages wait for so long, then all come at once. */
  | ({ readonly kind: "stall"; readonly forMs: number } & StreamInstant)
  /** Every message comes this much later. */
  | ({ readonly kind: "delay"; readonly delayMs: number } & StreamInstant)
  /** Finals come, `speech_final` never does; only `UtteranceEnd` tells of the pause. Flux: a turn ends by timeout alone. */
  | { readonly kind: "noSpeechFinal" }
  /** So many empty finals, with `speech_final`, before each real one. */
  | { readonly kind: "emptyFinals"; readonly count: number }
  /** Finals come this much later than drawn. */
  | { readonly kind: "lateFinals"; readonly delayMs: number }
  /** Flux: each EagerEndOfTurn is taken back and given again so many times before the EndOfTurn. */
  | { readonly kind: "eagerFlapping"; readonly times: number }
  /** Finalize is not answered. */
  | { readonly kind: "ignoreFinalize" }
  /** An error message; the vendor closes after it. */
  | ({ readonly kind: "error"; readonly code: string; readonly description: string } & StreamInstant)
  /** A message that is not JSON. */
  | ({ readonly kind: "garbage" } & StreamInstant)
  /** A message of a type nobody knows, which clients must pass over. */
  | ({ readonly kind: "unknownMessage" } & StreamInstant);

/** When a fault strikes a stream. */
export interface StreamInstant {
  /** Once this much audio has arrived. */
  readonly afterAudioMs?: number;
  /** In the tick in which this many messages have been sent. */
  readonly afterMessages?: number;
}

/** What a fault's condition sees. */
export interface DeepgramStreamInfo {
  readonly flavour: "v1" | "flux";
  readonly callId: string | null;
  readonly query: URLSearchParams;
}
