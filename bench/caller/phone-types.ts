/** The vocabulary of a simulated call: what was said, what happened, how it ended. */
import type { Clock, Random } from "#runtime/actor";
import type { Voice } from "#bench/speech";
import type { CarrierDialect } from "./carrier.js";
import type { HeardWord } from "./ear.js";
import type { LineImpairments } from "./line.js";
import type { MarkupVerb } from "./markup.js";
import type { Violation } from "./outbound.js";
import type { Spurt } from "./playout.js";
import type { CallRecording } from "./recording.js";
import type { NodeAddress } from "./socket.js";

export interface SaidUtterance {
  readonly text: string;
  /** The instant its first frame was sent. */
  readonly startedAtMs: number;
  /** The instant the frame with the last speech sample was sent. */
  readonly endedAtMs: number;
  /** The instant that frame was due; what latencies are measured from. */
  readonly intendedEndAtMs: number;
  /** Its line ended before it did, and the call went on over another: the instants after its start are those of that one. */
  readonly isCutOff: boolean;
}

/** How the call ended, as the phone saw it. */
export type PhoneOutcome =
  | { readonly kind: "callerHungUp" }
  /** The node closed the stream and its markup had nothing more to say. */
  | { readonly kind: "agentHungUp" }
  /** `<Reject>`: busy, or no such number. */
  | { readonly kind: "rejected"; readonly reason: string }
  /** The webhook was refused, or its markup was one a carrier would not take. */
  | { readonly kind: "webhookFailed"; readonly detail: string }
  /** Nothing listens where the node should be. */
  | { readonly kind: "nodeUnreachable"; readonly detail: string }
  /** The media socket could not be opened. */
  | { readonly kind: "mediaFailed"; readonly detail: string }
  /** The media socket broke without a close, and the redirect after it did not bring it back. */
  | { readonly kind: "mediaLost" }
  /** The phone itself cut the line without a stop. */
  | { readonly kind: "dropped" };

export type PhoneEvent =
  | { readonly kind: "streamStarted"; readonly atMs: number }
  | { readonly kind: "agentStarted"; readonly atMs: number }
  | { readonly kind: "agentStopped"; readonly atMs: number }
  | { readonly kind: "word"; readonly word: HeardWord }
  | { readonly kind: "saying"; readonly text: string; readonly atMs: number }
  | { readonly kind: "said"; readonly utterance: SaidUtterance }
  | { readonly kind: "cleared"; readonly atMs: number }
  | { readonly kind: "violation"; readonly violation: Violation }
  | { readonly kind: "agentDtmf"; readonly digit: string }
  | { readonly kind: "verb"; readonly verb: MarkupVerb }
  | { readonly kind: "ended"; readonly outcome: PhoneOutcome };

export interface PhoneCallResult {
  readonly callSid: string;
  readonly outcome: PhoneOutcome;
  /** Webhook sent to the end. */
  readonly durationMs: number;
  readonly said: readonly SaidUtterance[];
  readonly heard: readonly HeardWord[];
  readonly spurts: readonly Spurt[];
  /** What the node's markup told the carrier to do, in order. */
  readonly verbs: readonly MarkupVerb[];
  readonly violations: readonly Violation[];
  readonly stats: PhoneCallStats;
  readonly recording: CallRecording | null;
}

export interface PhoneCallStats {
  /** Media streams opened: more than one when the node resumed the call. */
  streamCount: number;
  framesSent: number;
  framesLost: number;
  messagesReceived: number;
  samplesReceived: number;
  samplesDiscarded: number;
  marksEchoed: number;
  clears: number;
  /** Words that were cut or damaged, hence not in `heard`. */
  brokenWords: number;
  violations: number;
  /** Audio that came later than the playout needed it, inside a stretch of speech. */
  underrunCount: number;
  underrunMs: number;
  /** Audio still queued when the node closed the socket: words the caller never heard. */
  unplayedMs: number;
  /** Webhook sent to its answer. */
  webhookMs: number;
  /** Webhook sent to the first agent audio played; null when there was none. */
  firstAudioMs: number | null;
}

export interface PhoneCallOptions {
  readonly address: NodeAddress;
  readonly dialect: CarrierDialect;
  readonly from: string;
  readonly to: string;
  /** Signs webhook and upgrade; null leaves them unsigned, as a node on loopback allows. */
  readonly authToken: string | null;
  readonly voice: Voice;
  readonly line: LineImpairments;
  readonly clock: Clock;
  readonly random: Random;
  readonly record: boolean;
  readonly extraParameters: Readonly<Record<string, string>>;
  readonly repeatWebhook: boolean;
}

export function newStats(): PhoneCallStats {
  return {
    streamCount: 0,
    framesSent: 0,
    framesLost: 0,
    messagesReceived: 0,
    samplesReceived: 0,
    samplesDiscarded: 0,
    marksEchoed: 0,
    clears: 0,
    brokenWords: 0,
    violations: 0,
    underrunCount: 0,
    underrunMs: 0,
    unplayedMs: 0,
    webhookMs: 0,
    firstAudioMs: null,
  };
}
