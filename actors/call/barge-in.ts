/**
 * Whether caller speech stops our playout: the decision alone, from numbers and words.
 *
 *   speech for PAUSE_AFTER_MS ──> pause ──words that are not a backchannel──> cut
 *                                   │ └───speech for CUT_WITHOUT_WORDS_MS───> cut
 *                                   └──quiet for RESUME_AFTER_MS────────────> resume
 *
 * The voice activity it is fed with has our own echo taken out by level; of the words only the caller's come
 * here (see overlap.ts).
 */

/** Shorter sounds are coughs and clicks. The pause costs nothing when false: the carrier still plays its queue. */
export const PAUSE_AFTER_MS = 160;
/** Nobody says "uh-huh" this long; a recogniser that is slow must not let the agent talk over the caller. */
export const CUT_WITHOUT_WORDS_MS = 900;
/** Silence after which a pause was for nothing. Longer than an interim takes to arrive after its word. */
export const RESUME_AFTER_MS = 350;

export interface BargeInInput {
  readonly paused: boolean;
  /** Caller speech since it began, in ms of audio; 0 when silent. */
  readonly speechMs: number;
  /** Silence since the caller's last speech, in ms of audio. */
  readonly silenceMs: number;
  /** The caller's words since our reply began. */
  readonly wordCount: number;
  readonly isBackchannel: boolean;
}

export type BargeInDecision = "none" | "pause" | "cut" | "resume";

export function decideBargeIn(input: BargeInInput): BargeInDecision {
  const { paused, speechMs, silenceMs, wordCount, isBackchannel } = input;
  if (wordCount > 0 && !isBackchannel) return "cut";
  if (!paused) return speechMs >= PAUSE_AFTER_MS ? "pause" : "none";
  if (speechMs >= CUT_WITHOUT_WORDS_MS) return "cut";
  return speechMs === 0 && silenceMs >= RESUME_AFTER_MS ? "resume" : "none";
}
