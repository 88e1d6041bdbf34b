/**
 * Both directions of a call as they were on the line, on one timeline that starts with the first media
 * stream: what the microphone sent and what the earpiece played.
 */
import { SAMPLES_PER_MS } from "./playout.js";

/** A quarter of an hour; 29 MB for both directions. What is beyond it is not kept. */
const RECORDING_SAMPLES_MAX = 15 * 60 * 1000 * SAMPLES_PER_MS;
const BLOCK_SAMPLES = 10_000 * SAMPLES_PER_MS;

class Track {
  readonly #blocks: Int16Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(samples: Int16Array): void {
    let done = 0;
    while (done < samples.length && this.#length < RECORDING_SAMPLES_MAX) {
      const block = this.#writableBlock();
      const at = this.#length % BLOCK_SAMPLES;
      const count = Math.min(samples.length - done, BLOCK_SAMPLES - at);
      block.set(samples.subarray(done, done + count), at);
      done += count;
      this.#length += count;
    }
  }

  appendSilence(sampleCount: number): void {
    const until = Math.min(this.#length + sampleCount, RECORDING_SAMPLES_MAX);
    while (this.#length < until) {
      this.#writableBlock();
      this.#length = Math.min(until, (Math.floor(this.#length / BLOCK_SAMPLES) + 1) * BLOCK_SAMPLES);
    }
  }

  /** Copies. */
  toSamples(): Int16Array {
    const samples = new Int16Array(this.#length);
    for (const [index, block] of this.#blocks.entries()) {
      const at = index * BLOCK_SAMPLES;
      samples.set(block.subarray(0, Math.min(BLOCK_SAMPLES, this.#length - at)), at);
    }
    return samples;
  }

  #writableBlock(): Int16Array {
    const index = Math.floor(this.#length / BLOCK_SAMPLES);
    return (this.#blocks[index] ??= new Int16Array(BLOCK_SAMPLES));
  }
}

export class CallRecording {
  readonly caller = new Track();
  readonly agent = new Track();

  /** Brings both tracks to this many milliseconds: a later stream of the same call starts there. */
  padTo(offsetMs: number): void {
    const sample = Math.round(offsetMs * SAMPLES_PER_MS);
    this.caller.appendSilence(Math.max(0, sample - this.caller.length));
    this.agent.appendSilence(Math.max(0, sample - this.agent.length));
  }
}
