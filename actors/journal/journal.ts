/**
 * A call is its journal: every fact, in order. Read by the admin port, by the control plane (which keeps it) and by
 * the owner that resumes the call. What was said or dialled stands under `pii` and nowhere else.
 *
 * Invariants
 * J1 `sequence` counts from 0 without gaps within a call, over every owner it had; `epoch` never decreases.
 * J2 the last event of a call is `callEnded`, and there is exactly one. A call whose leg was lost is not over:
 *    its last event is `legLost` until `callResumed` or `callEnded` follows.
 * J3 `agentTurn.pii.heard` holds the words whose audio reached the carrier's playout, and no others.
 */
import type { CallOutcome, ResumeReason } from "#runtime/cluster";

/** Where each part of a turn's delay went. All instants are Clock.nowMs(); null when it did not happen. */
export interface TurnLedger {
  /** The last sample of the caller's speech reached the edge. */
  readonly speechEndAtMs: number | null;
  readonly sttInterimAtMs: number | null;
  readonly sttFinalAtMs: number | null;
  /** The generation whose reply was used was started (eagerly or not). */
  readonly llmStartAtMs: number | null;
  /** Same instant as llmStartAtMs when that start was eager, else null. */
  readonly eagerStartAtMs: number | null;
  readonly llmFirstTokenAtMs: number | null;
  readonly ttsFirstAudioAtMs: number | null;
  /** Endpointing decided that the turn is over. */
  readonly committedAtMs: number | null;
  /** The first byte of the reply was handed to the carrier's socket. */
  readonly firstByteSentAtMs: number | null;
  /** firstByteSentAtMs − speechEndAtMs. */
  readonly voiceToVoiceMs: number | null;
}

/**
 * How far into the caller's audio the words of a turn reach: when the edge got the last of it, as Clock.nowMs(). What a
 * recogniser was late to tell lies behind it. Null where it is not known: written by an older version, or of another leg.
 */
export type ThroughAtMs = number | null;

export type JournalFact =
  | {
      readonly kind: "callStarted";
      readonly tenantId: string;
      readonly carrier: string;
      readonly carrierCallId: string;
      /** The node that answered. */
      readonly nodeId: string;
      readonly pii: { readonly from: string; readonly to: string };
    }
  /** The caller's turn is over, and what it holds is final. */
  | {
      readonly kind: "callerTurn";
      readonly turn: number;
      readonly throughAtMs: ThroughAtMs;
      readonly pii: { readonly said: string };
    }
  /**
   * The caller's turn is taken as over and an answer is being prepared; what he adds before he hears it joins
   * the turn. `callerTurn` follows, with all of it, when the answer begins. While `isOpen` it is not over: he speaks on,
   * or his words came late, over our answer to those before.
   */
  | {
      readonly kind: "callerProgress";
      readonly turn: number;
      readonly throughAtMs: ThroughAtMs;
      readonly isOpen: boolean;
      readonly pii: { readonly said: string };
    }
  /** The agent's turn ended: played out, or cut by a barge-in, a hang-up or a failure. */
  | {
      readonly kind: "agentTurn";
      readonly turn: number;
      /** `quickReply`: from cached audio; `model`: generated; `prompt`: silence prompts, apologies, goodbyes. */
      readonly source: "greeting" | "quickReply" | "model" | "prompt";
      readonly cut: "bargeIn" | "legEnded" | "failed" | null;
      readonly ledger: TurnLedger;
      readonly pii: { readonly intended: string; readonly heard: string };
    }
  | {
      readonly kind: "bargeIn";
      readonly turn: number;
      readonly decidedAtMs: number;
      readonly clearSentAtMs: number | null;
    }
  /** Playout was paused for possible caller speech and resumed: a backchannel, echo or noise. */
  | {
      readonly kind: "bargeInRejected";
      readonly turn: number;
      readonly reason: "backchannel" | "echo" | "tooShort";
    }
  /** An eager generation was thrown away because the caller went on. */
  | { readonly kind: "eagerDiscarded"; readonly turn: number }
  | {
      readonly kind: "toolCalled";
      readonly turn: number;
      readonly tool: string;
      readonly ok: boolean;
      readonly durationMs: number;
      readonly pii: { readonly argumentsJson: string; readonly result: string };
    }
  | { readonly kind: "dtmf"; readonly pii: { readonly digit: string } }
  /** `fallback`: who went on in its place, unnoticed by the caller; null when nobody could. */
  | {
      readonly kind: "providerFailed";
      readonly provider: string;
      readonly code: string;
      readonly fallback: string | null;
    }
  /**
   * A kind of provider was gone (`code`), and the caller was asked for a message: what another owner goes on with. His
   * audio goes to `audioFile` meanwhile; null: there is no room.
   */
  | { readonly kind: "messageOffered"; readonly code: string; readonly audioFile: string | null }
  /**
   * A kind of provider was gone, and the caller left a message. As a transcript while there was a recogniser, the rest as
   * audio: `audioFile` is below the data directory of the node that wrote this event.
   */
  | {
      readonly kind: "messageTaken";
      readonly durationMs: number;
      readonly audioFile: string | null;
      /** The disk has said that it has all of it; else the last second may be missing. False without audio. */
      readonly audioConfirmed: boolean;
      /** Another owner listens on: the rest of the message is in a later event. */
      readonly more: boolean;
      readonly pii: { readonly transcript: string };
    }
  /**
   * The agent is speaking: when a reply's first audio left, at each clause that was heard, and when its text is
   * whole. What another owner needs to go on from there; `intended` is what is known of the reply by then.
   */
  | {
      readonly kind: "agentProgress";
      readonly turn: number;
      readonly source: "greeting" | "quickReply" | "model" | "prompt";
      /** `intended` is all of the reply. When it was all heard and no more follows, `agentTurn` is written instead. */
      readonly whole: boolean;
      readonly pii: { readonly intended: string; readonly heard: string };
    }
  /** The media leg was lost without a hang-up; the carrier will ask what comes next. */
  | { readonly kind: "legLost" }
  /** Another owner goes on; `epoch` of the event is its lease's. */
  | {
      readonly kind: "callResumed";
      readonly nodeId: string;
      readonly gapMs: number;
      readonly reason: ResumeReason;
    }
  | { readonly kind: "callEnded"; readonly outcome: CallOutcome; readonly durationMs: number };

export type JournalEvent = JournalFact & {
  readonly callId: string;
  readonly sequence: number;
  /** Of the lease it was written under. */
  readonly epoch: number;
  /** Clock.nowMs(): comparable with the ledger. */
  readonly atMs: number;
  readonly atUnixMs: number;
};
