/** What can go wrong with a voice asked by HTTP; armed on `speech.faults`. */
import type { SpeechFault, SpeechInfo } from "../speech-queue.js";

export type SpeechHttpFault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly message?: string;
      readonly retryAfterS?: number;
    }
  /** The connection is reset in place of an answer. */
  | { readonly kind: "reset" }
  | { readonly kind: "noAnswer" }
  /** The answer ends, as if it were whole, after so many chunks. */
  | { readonly kind: "shortBody"; readonly afterChunks: number }
  /** A body that is no audio. */
  | { readonly kind: "garbage" }
  /** `contextError` and `chunksAfterCancel` have no meaning here. */
  | SpeechFault;

export type SpeechHttpInfo = SpeechInfo;
