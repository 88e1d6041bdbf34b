/**
 * One message of a media socket, read into fields that are reused for every frame of every leg: the
 * audio path allocates nothing. Valid until the next read into the same object.
 */
import type { AudioFormat } from "#runtime/media";
import { base64DecodedMaxBytes } from "./base64.js";

/** What a message is. Numbers, since they are compared for every frame. */
export const InboundKind = {
  connected: 1,
  start: 2,
  media: 3,
  dtmf: 4,
  mark: 5,
  stop: 6,
  /** Sound, but of a kind we do not know: carriers add some without notice. */
  unknown: 7,
  /** Not what the protocol allows; `problem` says how. */
  invalid: 8,
} as const;
export type InboundKind = (typeof InboundKind)[keyof typeof InboundKind];

/** Metric labels, so their number is fixed. */
export type InboundProblem =
  | "none"
  | "notJson"
  | "badStart"
  | "badFormat"
  | "badMedia"
  | "badBase64"
  | "wrongTrack"
  | "badDtmf"
  | "badMark";

export interface StreamStart {
  readonly streamId: string;
  readonly carrierCallId: string;
  readonly accountId: string;
  readonly format: AudioFormat;
  readonly customParameters: Readonly<Record<string, string>>;
}

/**
 * Largest text frame we accept; the socket enforces it. 20 ms of any format we carry is under 2 KiB as a
 * message, a `start` with all its parameters some KiB.
 */
export const INBOUND_FRAME_MAX_BYTES = 32 * 1024;

export class InboundMessage {
  kind: InboundKind = InboundKind.unknown;
  problem: InboundProblem = "none";

  /** media: the decoded payload is `audio[0, audioLength)`. */
  readonly audio: Uint8Array;
  audioLength = 0;
  /** media: counts up by one from 1; -1 when absent. */
  chunk = -1;
  /** media: milliseconds since the stream began, as the carrier counts; -1 when absent. */
  timestampMs = -1;

  /** dtmf: an ASCII code. */
  digit = 0;
  /** mark */
  markName = "";
  /** start */
  start: StreamStart | null = null;

  constructor() {
    this.audio = new Uint8Array(base64DecodedMaxBytes(INBOUND_FRAME_MAX_BYTES));
  }

  /** Its audio is in `audio` already. */
  setMedia(audioLength: number, chunk: number, timestampMs: number): void {
    this.kind = InboundKind.media;
    this.problem = "none";
    this.audioLength = audioLength;
    this.chunk = chunk;
    this.timestampMs = timestampMs;
  }

  setInvalid(problem: InboundProblem): void {
    this.kind = InboundKind.invalid;
    this.problem = problem;
  }
}
