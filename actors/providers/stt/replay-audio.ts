/**
 * The end of one call's audio: what a recogniser would have to hear again if its connection broke now.
 *
 *   startMs            endMs
 *   |--chunk--|--chunk--|--cut by write--|
 *
 * Kept in chunks, so that memory follows what is held: a line where nobody speaks holds a second or so
 * (12 KB), a sentence its own length. One freed chunk is kept for the next, since a quiet line frees and
 * takes one four times a second.
 *
 * Invariants
 * A1 what lies between `startMs` and `endMs` is there, byte for byte; nothing before `startMs` is.
 * A2 never more than `maxMs`: the oldest goes first, and `startMs` says so.
 */
import { type AudioFormat, bytesPerMs } from "#runtime/media";

/** 256 ms of µ-law: what is held is at most this much more than what is asked for. */
const CHUNK_BYTES = 2_048;

/** What `SttStream.write` was told of the audio; a chunk has the liveliest of its pieces. */
const SAID = { silence: 0, nothing: 1, speech: 2 } as const;
type Said = (typeof SAID)[keyof typeof SAID];

interface Chunk {
  readonly bytes: Buffer;
  length: number;
  said: Said;
}

export type AudioReader = (audio: Uint8Array, speech: boolean | undefined) => void;

export class ReplayAudio {
  readonly #bytesPerMs: number;
  readonly #maxBytes: number;
  readonly #chunks: Chunk[] = [];
  #spare: Chunk | null = null;
  /** Position of the first chunk's first byte, since the stream's first. */
  #firstByte = 0;
  /** What is held begins here, within the first chunk. */
  #startByte = 0;
  #endByte = 0;

  constructor(format: AudioFormat, maxMs: number) {
    this.#bytesPerMs = bytesPerMs(format);
    this.#maxBytes = maxMs * this.#bytesPerMs;
  }

  /** Milliseconds since the stream's first byte. */
  get startMs(): number {
    return this.#startByte / this.#bytesPerMs;
  }

  get endMs(): number {
    return this.#endByte / this.#bytesPerMs;
  }

  /** Memory taken, the spare chunk included. */
  get capacityBytes(): number {
    return (this.#chunks.length + (this.#spare === null ? 0 : 1)) * CHUNK_BYTES;
  }

  append(audio: Uint8Array, speech: boolean | undefined): void {
    const said = speech === undefined ? SAID.nothing : speech ? SAID.speech : SAID.silence;
    let offset = 0;
    while (offset < audio.length) {
      const chunk = this.#chunkWithRoom();
      const room = Math.min(CHUNK_BYTES - chunk.length, audio.length - offset);
      const piece = room === audio.length ? audio : audio.subarray(offset, offset + room);
      chunk.bytes.set(piece, chunk.length);
      chunk.length += room;
      if (said > chunk.said) chunk.said = said;
      offset += room;
    }
    this.#endByte += audio.length;
    if (this.#endByte - this.#startByte > this.#maxBytes) this.#drop(this.#endByte - this.#maxBytes); // A2
  }

  /** What came before this position is not needed any more. */
  dropBefore(ms: number): void {
    this.#drop(Math.floor(ms) * this.#bytesPerMs);
  }

  /** Everything from this position on, in order; the views are valid during the call. */
  readFrom(ms: number, read: AudioReader): void {
    let atByte = this.#firstByte;
    const fromByte = Math.max(this.#startByte, Math.floor(ms) * this.#bytesPerMs);
    for (const { bytes, length, said } of this.#chunks) {
      const skip = Math.max(0, fromByte - atByte);
      atByte += length;
      if (skip >= length) continue;
      read(bytes.subarray(skip, length), said === SAID.nothing ? undefined : said === SAID.speech);
    }
  }

  #chunkWithRoom(): Chunk {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.length < CHUNK_BYTES) return last;
    // Slow: a piece of Node's shared slab would keep all of the slab.
    const chunk = this.#spare ?? {
      bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES),
      length: 0,
      said: SAID.silence,
    };
    this.#spare = null;
    this.#chunks.push(chunk);
    return chunk;
  }

  #drop(beforeByte: number): void {
    if (beforeByte <= this.#startByte) return;
    this.#startByte = Math.min(beforeByte, this.#endByte);
    let first = this.#chunks[0];
    while (first !== undefined && this.#firstByte + first.length <= this.#startByte) {
      this.#chunks.shift(); // at most some 120 of them
      this.#firstByte += first.length;
      first.length = 0;
      first.said = SAID.silence;
      this.#spare = first;
      first = this.#chunks[0];
    }
  }
}
