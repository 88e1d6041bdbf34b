/** Decodes base64 audio into one buffer that all streams of a shard share: nothing is allocated per chunk. */

/** 400 ms of 24 kHz PCM; grows to the largest chunk seen, which the socket's message bound limits. */
const SCRATCH_INITIAL_BYTES = 20 * 1024;

export class AudioScratch {
  #buffer = Buffer.allocUnsafe(SCRATCH_INITIAL_BYTES);

  /** A view that the next call overwrites. `firstByte`, unless -1, is put in front. */
  decode(base64: string, firstByte: number): Buffer {
    const start = firstByte < 0 ? 0 : 1;
    // Three bytes for four characters, and padding makes it less.
    const bytesMax = start + Math.ceil((base64.length * 3) / 4);
    if (bytesMax > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(bytesMax);
    if (start === 1) this.#buffer[0] = firstByte;
    const written = this.#buffer.write(base64, start, "base64");
    return this.#buffer.subarray(0, start + written);
  }
}
