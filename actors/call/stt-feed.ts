/**
 * The leg's audio on its way to the recogniser. The provider batches it, since a send costs the same
 * whatever its size; here it is decided how eagerly, from the voice activity.
 *
 * Invariants
 * F1 every byte is handed on, in order, once: silence too, as recognisers keep time by it.
 * F2 when the caller falls silent, what is batched leaves at once: the answer must not wait for a batch. Nor for the
 *    first silent frame, a fiftieth of a second: a frame that fades may have been the last. Nor is the silence after
 *    it gathered for a crowd's sake: its length is what the recogniser waits for.
 */
import type { SttStream } from "#actors/providers";
import { type AudioFormat, bytesPerMs } from "#runtime/media";

/**
 * How long after speech the small batches go on: recognisers tell the end of speech from the silence after
 * it, which must reach them as it happens. Our Deepgram is asked to wait for 150 ms of it.
 */
export const BRISK_AFTER_SPEECH_MS = 250;

export class SttFeed {
  #stream: Pick<SttStream, "write" | "flush" | "nudge">;
  readonly #bytesPerMs: number;
  #quietMs = BRISK_AFTER_SPEECH_MS;

  constructor(stream: SttStream, format: AudioFormat) {
    this.#stream = stream;
    this.#bytesPerMs = bytesPerMs(format);
  }

  /** From here on to another: a message is being left. */
  redirect(stream: Pick<SttStream, "write" | "flush" | "nudge">): void {
    this.#stream = stream;
  }

  /** One record's audio, at most 20 ms; `isSpeech` and `isFading` are the voice activity's of it, without hangover. */
  push(audio: Uint8Array, length: number, isSpeech: boolean, isFading = false): void {
    const fellSilent = this.#quietMs === 0 && !isSpeech;
    this.#quietMs = isSpeech ? 0 : this.#quietMs + length / this.#bytesPerMs;
    const bytes = length === audio.length ? audio : audio.subarray(0, length);
    const isBrisk = this.#quietMs < BRISK_AFTER_SPEECH_MS;
    this.#stream.write(bytes, isBrisk);
    if (fellSilent)
      this.#stream.flush(); // F2
    else if (isFading || (isBrisk && !isSpeech)) this.#stream.nudge();
  }
}
