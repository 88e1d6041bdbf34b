/** What a shard is told when a call's media socket has opened. Plain data: it crosses threads. */
import { type AudioFormat, type AudioReplay, LegEnd, type PlayoutRest } from "#runtime/media";

export interface CallStart {
  /** Ours, unique for all time; in every log line and journal of the call. */
  readonly callId: string;
  /** The carrier's id of the call (Twilio `CallSid`). */
  readonly carrierCallId: string;
  /** Name of the carrier file that speaks for it: `twilio`, `signalwire`. */
  readonly carrier: string;
  readonly tenantId: string;
  readonly format: AudioFormat;
  /** The lease under which this owner writes; see `CALL_LEASE_LOST`. */
  readonly epoch: number;
  /** The node that owns it. */
  readonly nodeId: string;
  /** Which of the call's actors on this node it is, from 0: what an earlier one still writes is refused. */
  readonly tenure: number;
  /**
   * Set when another owner had the call before: go on from its journal. Whoever has begun lets go of it: a journal and
   * seconds of audio are more than the rest of a call, which may last for hours.
   */
  resumed: null | {
    /** From the last sign of the old leg, as far as known, to the webhook that brought the call back. */
    readonly gapMs: number;
    /** Its journal so far, in order; events as actors/journal has them. */
    readonly journal: readonly unknown[];
    /** What the leg was playing for the owner before; null when it came with a new leg. */
    readonly playing: PlayoutRest | null;
    /** What the caller's audio begins with; null when the leg is new, and so is all of it. */
    readonly replay: AudioReplay | null;
    readonly reason: ResumeReason;
  };
  /** Clock.nowMs() when the voice webhook arrived; the call's latency ledger starts here. */
  readonly webhookAtMs: number;
  /** Clock.nowMs() when the carrier's `start` message arrived. */
  readonly openedAtMs: number;
  readonly pii: {
    /** As the carrier gave it: E.164, `anonymous`, `sip:…`. */
    readonly from: string;
    readonly to: string;
  };
}

/** Why another actor goes on with a call. */
export type ResumeReason =
  /** Its media socket was lost, or its node: the carrier brought it back. */
  | "legLost"
  | "actorCrashed"
  | "shardLost"
  /** Its shard is being drained. */
  | "moved";

/** How a call ended. `kind` is a metric label: add rarely, never rename. */
export type CallOutcome =
  /** The agent said goodbye and hung up. */
  | { readonly kind: "agentHungUp" }
  | { readonly kind: "callerHungUp" }
  /** Nobody spoke; the agent said goodbye. */
  | { readonly kind: "callerSilent" }
  | { readonly kind: "maxDuration" }
  /** The media socket was lost without a stop. */
  | { readonly kind: "legLost" }
  /** The edge closed the socket: it never read, or broke the protocol. */
  | { readonly kind: "legEvicted" }
  /** A provider failed; the caller heard an apology. `code` is from the error table. */
  | { readonly kind: "providerFailed"; readonly code: string }
  /** The call's actor crashed again and again; the caller heard an apology. */
  | { readonly kind: "actorCrashed"; readonly code: string }
  /** The shard under it died or hung, and no other could go on; the caller heard an apology. */
  | { readonly kind: "shardLost" }
  /** The node under it died and nobody went on with it in time. */
  | { readonly kind: "nodeLost" }
  /** Somebody ended it over the API; the caller heard a goodbye. */
  | { readonly kind: "operatorHungUp" }
  /** Its lease moved to another owner, who goes on with it: for the caller it is not over. */
  | { readonly kind: "leaseLost" }
  /** Another actor of this node goes on with it: for the caller it is not over, and its journal is not told. */
  | { readonly kind: "handedOver" }
  /** A drain's grace ran out, or the process was told twice to stop. */
  | { readonly kind: "drained" }
  /** The webhook was answered but no media socket came before the token expired. */
  | { readonly kind: "mediaNeverCame" };

/** What a call is recorded as when its leg has ended and nobody had asked for another end. */
export const OUTCOME_OF_LEG_END = {
  [LegEnd.stopped]: { kind: "callerHungUp" },
  [LegEnd.socketLost]: { kind: "legLost" },
  [LegEnd.evicted]: { kind: "legEvicted" },
  [LegEnd.hungUp]: { kind: "agentHungUp" },
} as const satisfies Record<LegEnd, CallOutcome>;
