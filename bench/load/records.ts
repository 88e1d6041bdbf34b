/** What generators are told and tell: plain data, for it crosses processes. */
import type { CarrierName } from "#bench/caller";
import type { CallerKind, CallerSpec } from "./mix.js";
import type { EncodedDistribution } from "./distribution.js";

export interface LinePlan {
  /** Of all lines of the run, whichever process has them. */
  readonly index: number;
  readonly caller: CallerSpec;
  /** The instant its first call is due. */
  readonly dueAtMs: number;
}

/** The one message a generator gets. */
export interface GeneratorPlan {
  readonly nodeUrl: string;
  readonly publicUrl?: string;
  readonly to: string;
  readonly carrier: CarrierName;
  readonly authToken?: string;
  /** Whether replies are known, and checked word for word. */
  readonly checked: boolean;
  readonly lines: readonly LinePlan[];
  /** Window n is from here + n * windowMs; idle callers speak by it, too. */
  readonly startAtMs: number;
  readonly windowMs: number;
  /** No turn begins after. */
  readonly endAtMs: number;
}

export interface TurnRecord {
  readonly callSid: string;
  readonly kind: CallerKind;
  readonly said: string;
  /** Null where the reply is not known beforehand. */
  readonly expected: string | null;
  readonly heard: string;
  /** It came, and was what was expected. */
  readonly right: boolean;
  /** The instant the last speech sample was due on the line. */
  readonly speechEndAtMs: number;
  /** After that instant it was sent. */
  readonly phoneLateMs: number;
  /** The instant the first sample of the reply was played; null when none came. */
  readonly replyAtMs: number | null;
  /** From the first sample that interrupted the agent to the carrier's `clear`; null without an interruption. */
  readonly bargeInMs: number | null;
}

export interface CallRecord {
  readonly callSid: string;
  readonly kind: CallerKind;
  readonly dueAtMs: number;
  /** From the instant it was due to the webhook's answer; null when there was none. */
  readonly webhookMs: number | null;
  /** From the instant it was due to the first audio; null when none came. */
  readonly greetingMs: number | null;
  readonly end: "done" | "refused" | "failed";
  readonly underruns: number;
  readonly violations: number;
}

/** What a generator says once a window. */
export interface GeneratorReport {
  readonly kind: "report";
  /** Calls up now. */
  readonly up: number;
  /** Most callers that spoke or waited for a reply at any time in the window. */
  readonly busyMost: number;
  readonly turns: readonly TurnRecord[];
  readonly calls: readonly CallRecord[];
  /** What went wrong, in words; bounded, the count is not. */
  readonly failures: readonly string[];
  readonly failureCount: number;
  /** Ticks of the phones' frame clock after the instant they were due. */
  readonly late: EncodedDistribution;
  /** Calls dialled after the instant they were due. */
  readonly dialLate: EncodedDistribution;
}

export type FromGenerator = GeneratorReport | { readonly kind: "ready" } | { readonly kind: "ended" };
