/**
 * How long the recogniser has had, since the last of the caller's speech was given to it, to tell us what it was.
 *
 *   audio     ====speech====|------- silence -------|      a stall's second of it comes at once
 *   given                                         ^ all of it only here
 *   the recogniser's time                         0 …
 *
 * The silence in the audio says how long the caller has been silent; after a stall all of it was given to the recogniser
 * an instant ago. Nor does the clock alone say it: what was told while our thread stood still lies unread in its socket.
 * So time counts from the look at which speech was last given, and of the time between two looks no more than
 * LOOK_MAX_MS.
 */

/** Looks are a frame (20 ms) and a turn of the edge's loop apart; what is longer is a stall, ours or the carrier's. */
export const LOOK_MAX_MS = 60;

export class ListeningTime {
  #speechEndMs = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #sinceSpeechMs = 0;

  /** All audio until now was given on; the caller's last speech in it ended at this position. */
  look(nowMs: number, speechEndMs: number): void {
    const elapsedMs = Math.min(nowMs - this.#lookedAtMs, LOOK_MAX_MS);
    this.#lookedAtMs = nowMs;
    this.#sinceSpeechMs = speechEndMs === this.#speechEndMs ? this.#sinceSpeechMs + elapsedMs : 0;
    this.#speechEndMs = speechEndMs;
  }

  /** As of the last look. */
  get sinceSpeechMs(): number {
    return this.#sinceSpeechMs;
  }
}
