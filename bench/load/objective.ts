/**
 * Which turns and calls were as a caller wants them, in the steady part of a run.
 *
 * O1 a turn is within objective when every word of its reply was right and the reply began in time.
 * O2 a call is when each of its turns was, it had one, no gap was heard in it, and it did not break off.
 * O3 kept are the calls that are up; a call's record comes with or after the last of its turns.
 */
import type { Figure } from "./figures.js";
import type { CallRecord, TurnRecord } from "./records.js";

/** The budget of voice to voice at its 95th percentile. */
export const VOICE_TO_VOICE_MS_MOST = 450;

export class ObjectiveCount {
  /** By CallSid, whether all of its turns were within objective so far. */
  readonly #calls = new Map<string, boolean>();
  #turnCount = 0;
  #turnsWithin = 0;
  #callCount = 0;
  #callsWithin = 0;

  /** Of a turn that ended in the steady part. */
  add({ callSid, right, replyAtMs, speechEndAtMs }: TurnRecord): void {
    const within = right && replyAtMs !== null && replyAtMs - speechEndAtMs <= VOICE_TO_VOICE_MS_MOST; // O1
    this.#turnCount += 1;
    if (within) this.#turnsWithin += 1;
    this.#calls.set(callSid, within && (this.#calls.get(callSid) ?? true));
  }

  callEnded({ callSid, end, underruns }: CallRecord): void {
    const turnsWithin = this.#calls.get(callSid);
    this.#calls.delete(callSid); // O3
    // One of the ramp alone says nothing, unless it broke off.
    if (turnsWithin === undefined && end === "done") return;
    this.#callCount += 1;
    if (turnsWithin === true && end === "done" && underruns === 0) this.#callsWithin += 1; // O2
  }

  figures(): Figure[] {
    return [
      share("turns within objective", this.#turnsWithin, this.#turnCount),
      share("calls within objective", this.#callsWithin, this.#callCount),
    ].flat();
  }
}

function share(name: string, within: number, count: number): Figure[] {
  if (count === 0) return [];
  return [{ name, unit: "%", value: (100 * within) / count, slices: [], better: "higher", count }];
}
