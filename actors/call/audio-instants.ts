/**
 * When the edge got which frame of the caller's audio: where in the in-ring a position of it stands, for whoever goes on
 * with the leg. As far back as a ring of frames reaches. Per frame: a number is stored.
 */
import { DEFAULT_RECORD_COUNT, FRAME_MS } from "#runtime/media";

export class AudioInstants {
  readonly #atMs = new Float64Array(DEFAULT_RECORD_COUNT);
  #frameCount = 0;

  /** All audio up to this position, in full frames, was there at this instant. */
  note(positionMs: number, atMs: number): void {
    const count = positionMs / FRAME_MS;
    while (this.#frameCount < count) this.#atMs[this.#frameCount++ % DEFAULT_RECORD_COUNT] = atMs;
  }

  /** Of the frame that ends at this position or after it, as far as there is one; null before the first frame. */
  at(positionMs: number): number | null {
    if (this.#frameCount === 0) return null;
    const oldest = Math.max(0, this.#frameCount - DEFAULT_RECORD_COUNT);
    const frame = Math.ceil(positionMs / FRAME_MS) - 1;
    return this.#atMs[Math.max(oldest, Math.min(frame, this.#frameCount - 1)) % DEFAULT_RECORD_COUNT]!;
  }
}
