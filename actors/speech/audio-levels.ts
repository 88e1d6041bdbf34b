/**
 * How loud a stretch of audio is, frame by frame of 20 ms from its first byte; it grows as audio comes.
 */
import { type AudioFormat, FRAME_MS } from "#runtime/media";
import { FrameMeter, SILENCE_DB } from "./frame-meter.js";

export class AudioLevels {
  readonly #meter: FrameMeter;
  readonly #levels: number[] = [];

  constructor(format: AudioFormat) {
    this.#meter = new FrameMeter(format);
  }

  /** The next bytes; any length. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      at = this.#meter.feed(bytes, at, bytes.length);
      if (this.#meter.frameDone) this.#levels.push(this.#meter.levelDb);
    }
  }

  /** Whole frames so far. */
  get frameCount(): number {
    return this.#levels.length;
  }

  /** Level of one of them. */
  at(frame: number): number {
    return this.#levels[frame]!;
  }

  /** The loudest frame of those that lie, if in part, between two positions; `SILENCE_DB` when there is none. */
  loudest(fromMs: number, toMs: number): number {
    const end = Math.min(this.#levels.length, Math.ceil(toMs / FRAME_MS));
    let loudest = SILENCE_DB;
    for (let frame = Math.floor(fromMs / FRAME_MS); frame < end; frame += 1) {
      if (this.#levels[frame]! > loudest) loudest = this.#levels[frame]!;
    }
    return loudest;
  }

  /** Forgets everything: the next byte is the first. */
  reset(): void {
    this.#meter.reset();
    this.#levels.length = 0;
  }
}
