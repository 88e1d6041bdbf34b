/**
 * How much later than usual a leg's audio arrives: the network's jitter, or the burst after a stall.
 *
 *   usual = the least of (arrival − position in the audio) over the last 5 to 10 s
 *
 * Audio that was lost moves the usual: until the window has passed, what comes after a loss counts as late
 * by as much as was lost.
 */
const WINDOW_MS = 5_000;

export class Lateness {
  #windowEndsAtMs = Number.NEGATIVE_INFINITY;
  #offsetMs = Number.POSITIVE_INFINITY;
  #lastOffsetMs = Number.POSITIVE_INFINITY;

  /** Audio up to `positionMs` of the leg had arrived at `atMs`; how late it was. */
  of(atMs: number, positionMs: number): number {
    const offsetMs = atMs - positionMs;
    if (atMs >= this.#windowEndsAtMs) {
      this.#windowEndsAtMs = atMs + WINDOW_MS;
      this.#lastOffsetMs = this.#offsetMs;
      this.#offsetMs = offsetMs;
    } else if (offsetMs < this.#offsetMs) {
      this.#offsetMs = offsetMs;
    }
    return offsetMs - Math.min(this.#offsetMs, this.#lastOffsetMs);
  }
}
