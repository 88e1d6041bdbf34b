/** When another actor may go on with the call so that nobody on the line notices. */
import type { Clock } from "#runtime/actor";
import { COVER_TOLERANCE_MS } from "#actors/speech";
import type { Stages } from "./stages.js";

/**
 * A handover waits this long for an instant at which nobody speaks, nothing that was said is still to be told and nothing is
 * being prepared, and half of it before the midst of a reply will do. Longer than nearly every reply; a drain of a shard should not take minutes.
 */
export const HAND_OVER_WITHIN_MS = 10_000;

export interface HandOverInput {
  readonly nowMs: number;
  /** The instant until which the moment is waited for. */
  readonly dueAtMs: number;
  /** The caller makes no sound, types nothing, and no cut waits for what was heard. */
  readonly isSilent: boolean;
  /** The recogniser has told all that he said: what it owes would leave with it, and the ring holds seconds. */
  readonly isTold: boolean;
  /** Nothing is being said or prepared. */
  readonly isQuiet: boolean;
  /** A reply is being said that is not paused, and all of its text is known. */
  readonly isWithinWholeReply: boolean;
}

function mayHandOver({ nowMs, dueAtMs, ...input }: HandOverInput): boolean {
  if (nowMs >= dueAtMs) return true;
  if (!input.isSilent || !input.isTold) return false;
  // In the midst of a reply whose text is known nothing is lost either; but why, when it may soon be over.
  return input.isQuiet || (input.isWithinWholeReply && nowMs >= dueAtMs - HAND_OVER_WITHIN_MS / 2);
}

type Looked = Pick<Stages, "vad" | "playout" | "keypad" | "listener" | "turns" | "speaker">;

/** A call that was asked for, until the moment has come. */
export class HandOver {
  readonly #clock: Clock;
  readonly #stages: Looked;
  readonly #dueAtMs: number;

  constructor(clock: Clock, stages: Looked) {
    this.#clock = clock;
    this.#stages = stages;
    this.#dueAtMs = clock.nowMs() + HAND_OVER_WITHIN_MS;
  }

  isDue(): boolean {
    const { vad, playout, keypad, listener, turns, speaker } = this.#stages;
    return mayHandOver({
      nowMs: this.#clock.nowMs(),
      dueAtMs: this.#dueAtMs,
      isSilent: !vad.isSpeech && !playout.isCutPending && !keypad.isTyping,
      isTold: vad.lastSpeechPositionMs - listener.knownThroughMs <= COVER_TOLERANCE_MS,
      isQuiet: turns.isQuiet,
      isWithinWholeReply: turns.state === "speaking" && speaker.isWhole && !playout.isPaused,
    });
  }
}
