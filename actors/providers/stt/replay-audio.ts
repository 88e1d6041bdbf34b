/**
 * The end of one call's audio: what a recogniser would have to hear again if its connection broke now.
 *
 *   startMs            endMs
 *   |--chunk--|--chunk--|--cut by write--|
 *
 * Kept in chunks, so that memory follows what is held: a line where nobody speaks holds a second or so
 * (12 KB), a sentence its own length. Chunks that are free are kept for whichever call is next: a line takes and frees
 * four a second, each lives long enough to be moved to the old half of the heap, and what is let go there is
 * collected so late that 40 KiB a call were waiting for it.
 *
 * Invariants
 * A1 what lies between `startMs` and `endMs` is there, byte for byte; nothing before `startMs` is.
 * A2 never more than `maxMs`: the oldest goes first, and `startMs` says so.
 */
import { type AudioFormat, bytesPerMs } from "#runtime/media";

/** 256 ms of µ-law: what is held is at most this much more than what is asked for. */
const CHUNK_BYTES = 2_048;
/** 1 MiB of a thread; what 150 lines free at once when they fall silent together. */
const FREE_CHUNKS_MAX = 512;

/** What `SttStream.write` was told of the audio; a chunk has the liveliest of its pieces. */
const SAID = { silence: 0, nothing: 1, speech: 2 } as const;
type Said = (typeof SAID)[keyof typeof SAID];

interface Chunk {
  readonly bytes: Buffer;
  length: number;
  said: Said;
}

/** Of a thread: chunks belong to nobody while they are here. */
const freeChunks: Chunk[] = [];

export type AudioReader = (audio: Uint8Array, speech: boolean | undefined) => void;

export class ReplayAudio {
  readonly #bytesPerMs: number;
  readonly #maxBytes: number;
  readonly #chunks: Chunk[] = [];
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

  /** Memory taken. */
  get capacityBytes(): number {
    return this.#chunks.length * CHUNK_BYTES;
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

  /** Nothing of it is needed any more. */
  clear(): void {
    this.#drop(this.#endByte);
    const last = this.#chunks.pop();
    if (last === undefined) return;
    this.#firstByte = this.#endByte;
    free(last);
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
    const chunk = freeChunks.pop() ?? newChunk();
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
      free(first);
      first = this.#chunks[0];
    }
  }
}

function newChunk(): Chunk {
  // Slow: a piece of Node's shared slab would keep all of the slab.
  return { bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES), length: 0, said: SAID.silence };
}

function free(chunk: Chunk): void {
  chunk.length = 0;
  chunk.said = SAID.silence;
  if (freeChunks.length < FREE_CHUNKS_MAX) freeChunks.push(chunk);
}
