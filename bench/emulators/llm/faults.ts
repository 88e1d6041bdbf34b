/** What can go wrong with a chat completion; armed on `groq.faults`, or written into a script. */
import type { ChatRequest } from "./request.js";

export type ModelFault =
  /** Refused with this status; 429 has `retry-after` (default 2 s), 400 with `failedGeneration` is `tool_use_failed`. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly message?: string;
      readonly code?: string;
      readonly failedGeneration?: string;
      readonly retryAfterSeconds?: number;
    }
  /** The TCP connection is reset in place of an answer. */
  | { readonly kind: "reset" }
  /** Neither an answer nor a close. */
  | { readonly kind: "noAnswer" }
  /** The first token comes this long after the request, whatever was drawn. */
  | { readonly kind: "firstToken"; readonly delayMs: number }
  /** After so many content tokens nothing more is sent, for `forMs` or until the client gives up. */
  | { readonly kind: "stall"; readonly afterTokens: number; readonly forMs?: number }
  /** After so many content tokens the connection is reset. */
  | { readonly kind: "cut"; readonly afterTokens: number }
  /** After so many content tokens comes an event that is not JSON, and nothing after it. */
  | { readonly kind: "garbage"; readonly afterTokens: number }
  /** The stream ends in order but for its `[DONE]`. */
  | { readonly kind: "missingDone" }
  /** The stream ends after so many tokens with neither finish reason nor `[DONE]`. */
  | { readonly kind: "endEarly"; readonly afterTokens: number }
  /** Every event is sent in two pieces, cut inside a multi-byte character where there is one. */
  | { readonly kind: "splitUtf8" }
  /** Tool arguments come one character at a time. */
  | { readonly kind: "oneCharArguments" }
  /** A whole tool call comes in one fragment, as Groq often does. */
  | { readonly kind: "wholeToolCalls" }
  /** Every fragment of a tool call repeats id and name. */
  | { readonly kind: "repeatedNames" }
  /** Fragments carry no `index`; a new id begins a new call. */
  | { readonly kind: "noToolIndex" }
  /** `finish_reason` says `stop` although tools were called. */
  | { readonly kind: "stopDespiteTools" }
  /** `finish_reason: length`, cut this many characters into the first tool call's arguments. */
  | { readonly kind: "lengthInArguments"; readonly afterChars: number }
  /** After so many tokens an error arrives in the stream, in one of the three forms there are. */
  | {
      readonly kind: "streamError";
      readonly afterTokens: number;
      readonly form: "data" | "event" | "xGroq";
      /** @default tool_use_failed */
      readonly code?: string;
      readonly message?: string;
    }
  /** Lines end in CRLF and comment lines stand between events. */
  | { readonly kind: "looseFraming" }
  /** The answer is not JSON and not SSE: a proxy's HTML page, with status 200. */
  | { readonly kind: "htmlBody" };

export type ModelFaultKind = ModelFault["kind"];

/** What a fault's condition sees. */
export interface ModelRequestInfo {
  readonly request: ChatRequest;
  /** `request.user` */
  readonly callId: string | null;
}
