/**
 * A lull on the line: nobody speaks, and nothing is said, prepared or unanswered. Nothing hangs on a single frame then,
 * so the shard looks at the call once in LULL_FRAMES of them: most of what a frame of silence costs is getting there.
 *
 * U1 anything but audio is looked at at once.
 * U2 a frame waits for LULL_FRAMES - 1 others at most, and only while the last look found a lull. So the first of
 *    a caller's voice may be noticed 60 ms later; its end, on which the answer waits, is not.
 */
import type { InRingConsumer } from "#runtime/media";

/** U2: a fourth of the looks. 60 ms is a quarter of a short "yes", whose words come after its end. */
export const LULL_FRAMES = 4;
/** Silence before a lull begins: longer than the pauses in which a caller looks for his next word. */
export const LULL_AFTER_MS = 1_000;

export class Lull {
  /** What the last look found; the call says so. */
  isOn = false;
  readonly #ring: Pick<InRingConsumer, "hasOnlyAudio">;

  constructor(ring: Pick<InRingConsumer, "hasOnlyAudio">) {
    this.#ring = ring;
  }

  /** Whether what is in the ring may wait for more. */
  get mayWait(): boolean {
    return this.isOn && this.#ring.hasOnlyAudio(LULL_FRAMES);
  }
}
