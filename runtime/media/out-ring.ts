/**
 * The out-ring: what the caller is to hear, with marks and cues between, from the shard (producer) to the
 * edge (consumer). Nothing is ever lost in it: when it is full, writing is refused with a number, and the
 * actor holds. One producer, one consumer; neither ever waits.
 *
 * ```
 *      free      older epochs: skipped   current epoch: played        free
 *   |..........|xxxxxxxxxxxxxxxxxxxxxxx|======================|....................|
 *              read                                           published
 * ```
 *
 * W1  The producer writes a record only where `read` has passed, and raises `published` when it is complete.
 * W2  The consumer raises `read` only after it has copied the record out.
 * W3  Bumping the epoch forgets all records written before: whatever read() finds older than the epoch it
 *     loads is skipped. Newer than that, by a bump in between, is as good as current.
 */
import {
  OUT_EPOCH,
  OUT_PAUSED,
  OUT_PUBLISHED,
  OUT_PUBLISHED_CACHED,
  OUT_READ,
  OUT_READ_CACHED,
  OUT_REFUSED,
  OUT_SKIPPED,
  RECORD_EPOCH,
  RECORD_LENGTH_KIND,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_BYTES,
  RECORD_WORDS,
  type SharedViews,
} from "./layout.js";
import { ReadRecord, writeHeader, writePayload } from "./record-io.js";
import { RecordKind } from "./records.js";

export class OutRingProducer {
  readonly #views: SharedViews;
  readonly #slotWord: number;
  readonly #recordsWord: number;
  readonly #recordCount: number;

  /** @internal Arena.shardSide() makes it. */
  constructor(views: SharedViews, slotWord: number, recordsWord: number, recordCount: number) {
    this.#views = views;
    this.#slotWord = slotWord;
    this.#recordsWord = recordsWord;
    this.#recordCount = recordCount;
  }

  /**
   * Writes as many records of RECORD_PAYLOAD_BYTES (the last may be shorter) as there is room for, in one
   * publish, and returns how many bytes went in: `length` when all of it, less when the ring is full.
   */
  tryWriteAudio(source: Uint8Array, offset: number, length: number, timestampMs: number): number {
    const wantedCount = Math.ceil(length / RECORD_PAYLOAD_BYTES);
    const recordCount = this.#reserve(wantedCount);
    if (recordCount === 0) return 0;
    const { i32 } = this.#views;
    const first = i32[this.#slotWord + OUT_PUBLISHED]!;
    let accepted = 0;
    for (let index = 0; index < recordCount; index++) {
      const chunkLength = Math.min(RECORD_PAYLOAD_BYTES, length - accepted);
      const recordWord = this.#writeHeader((first + index) | 0, RecordKind.audio, chunkLength, timestampMs);
      writePayload(i32, recordWord, source, offset + accepted, chunkLength);
      accepted += chunkLength;
    }
    this.#publish(first, recordCount);
    return accepted;
  }

  /** Writes a mark or a cue with its id; false when the ring is full. */
  tryWriteU32(kind: RecordKind, value: number, timestampMs: number): boolean {
    if (this.#reserve(1) === 0) return false;
    const { i32 } = this.#views;
    const first = i32[this.#slotWord + OUT_PUBLISHED]!;
    const recordWord = this.#writeHeader(first, kind, 4, timestampMs);
    i32[recordWord + RECORD_PAYLOAD] = value;
    this.#publish(first, 1);
    return true;
  }

  /** The epoch that records are written in, u32; 0 when the slot was reset. */
  get epoch(): number {
    return this.#views.i32[this.#slotWord + OUT_EPOCH]! >>> 0;
  }

  /**
   * "Forget what is queued": returns the new epoch. The room that the forgotten records take comes back
   * once the edge has looked at them, so ring the bell.
   */
  bumpEpoch(): number {
    const { i32 } = this.#views;
    const epoch = (i32[this.#slotWord + OUT_EPOCH]! + 1) | 0;
    // publish: pairs with the load in OutRingConsumer.epoch.
    Atomics.store(i32, this.#slotWord + OUT_EPOCH, epoch);
    return epoch >>> 0;
  }

  /** Everything written was taken by the edge. May say so late, never early. */
  get isEmpty(): boolean {
    return this.#views.i32[this.#slotWord + OUT_PUBLISHED] === this.#loadRead();
  }

  /** Of the audio that was written in the current epoch, what the edge has not taken. May report more than is there, never less. */
  get waitingBytes(): number {
    const { i32 } = this.#views;
    const epoch = i32[this.#slotWord + OUT_EPOCH]!;
    const published = i32[this.#slotWord + OUT_PUBLISHED]!;
    let bytes = 0;
    for (let sequence = this.#loadRead(); sequence !== published; sequence = (sequence + 1) | 0) {
      const recordWord = this.#recordsWord + (sequence & (this.#recordCount - 1)) * RECORD_WORDS;
      const lengthKind = i32[recordWord + RECORD_LENGTH_KIND]!;
      const isAudio = ((lengthKind & 0xff) as RecordKind) === RecordKind.audio;
      if (isAudio && i32[recordWord + RECORD_EPOCH] === epoch) bytes += lengthKind >>> 8;
    }
    return bytes;
  }

  /** Asks the edge to send nothing past the next mark until it is taken back; the ring itself goes on. */
  setPaused(paused: boolean): void {
    // publish: pairs with the load in OutRingConsumer.paused.
    Atomics.store(this.#views.i32, this.#slotWord + OUT_PAUSED, paused ? 1 : 0);
  }

  /** How many of `wantedCount` records there is room for. Asks the consumer only if it looks too few. */
  #reserve(wantedCount: number): number {
    const { i32 } = this.#views;
    const published = i32[this.#slotWord + OUT_PUBLISHED]!;
    let free = this.#recordCount - ((published - i32[this.#slotWord + OUT_READ_CACHED]!) | 0);
    if (free < wantedCount) free = this.#recordCount - ((published - this.#loadRead()) | 0);
    if (free >= wantedCount) return wantedCount;
    i32[this.#slotWord + OUT_REFUSED] = (i32[this.#slotWord + OUT_REFUSED]! + 1) | 0;
    return free;
  }

  #loadRead(): number {
    const { i32 } = this.#views;
    // Pairs with the release in OutRingConsumer: W1.
    const read = Atomics.load(i32, this.#slotWord + OUT_READ);
    i32[this.#slotWord + OUT_READ_CACHED] = read;
    return read;
  }

  #writeHeader(sequence: number, kind: RecordKind, length: number, timestampMs: number): number {
    const recordWord = this.#recordsWord + (sequence & (this.#recordCount - 1)) * RECORD_WORDS;
    const epoch = this.#views.i32[this.#slotWord + OUT_EPOCH]!;
    writeHeader(this.#views, recordWord, sequence, epoch, kind, length, timestampMs);
    return recordWord;
  }

  #publish(first: number, recordCount: number): void {
    // publish: pairs with the load in OutRingConsumer.#hasRecord.
    Atomics.store(this.#views.i32, this.#slotWord + OUT_PUBLISHED, (first + recordCount) | 0);
  }
}

export class OutRingConsumer extends ReadRecord {
  readonly #views: SharedViews;
  readonly #slotWord: number;
  readonly #recordsWord: number;
  readonly #recordCount: number;

  /** @internal Arena.edgeSide() makes it. */
  constructor(views: SharedViews, slotWord: number, recordsWord: number, recordCount: number) {
    super();
    this.#views = views;
    this.#slotWord = slotWord;
    this.#recordsWord = recordsWord;
    this.#recordCount = recordCount;
  }

  /** Takes the next record of the current epoch into this object's fields; false when there is none. */
  read(): boolean {
    const recordWord = this.#nextCurrent();
    if (recordWord < 0) return false;
    this.copyFrom(this.#views, recordWord);
    this.#release();
    return true;
  }

  /**
   * The current epoch, u32. Once it differs from the last one seen, the carrier's queue is to be cleared,
   * and before anything of a record whose `recordEpoch` is newer than the last one cleared is sent.
   */
  get epoch(): number {
    // Pairs with publish in OutRingProducer.bumpEpoch.
    return Atomics.load(this.#views.i32, this.#slotWord + OUT_EPOCH) >>> 0;
  }

  /** Whether the actor asks for silence. read() does not look at it: pacing is the edge's. */
  get paused(): boolean {
    // Pairs with publish in OutRingProducer.setPaused.
    return Atomics.load(this.#views.i32, this.#slotWord + OUT_PAUSED) === 1;
  }

  /** Records waiting, those of older epochs included. May report less than is there, never more. */
  get fill(): number {
    return outFill(this.#views.i32, this.#slotWord);
  }

  /** Records skipped since the slot was reset because their epoch had passed; u32. */
  get skippedCount(): number {
    return this.#views.i32[this.#slotWord + OUT_SKIPPED]! >>> 0;
  }

  /** Skips records of older epochs, at most a ring full; the word of the next one to play, or -1. */
  #nextCurrent(): number {
    const { i32 } = this.#views;
    for (let looked = 0; looked <= this.#recordCount; looked++) {
      if (!this.#hasRecord()) return -1;
      const sequence = i32[this.#slotWord + OUT_READ]!;
      const recordWord = this.#recordsWord + (sequence & (this.#recordCount - 1)) * RECORD_WORDS;
      // Loaded for each record, so that a cut holds from the next one on: W3.
      const epoch = Atomics.load(i32, this.#slotWord + OUT_EPOCH);
      if (((i32[recordWord + RECORD_EPOCH]! - epoch) | 0) >= 0) return recordWord;
      i32[this.#slotWord + OUT_SKIPPED] = (i32[this.#slotWord + OUT_SKIPPED]! + 1) | 0;
      this.#release();
    }
    return -1;
  }

  #hasRecord(): boolean {
    const { i32 } = this.#views;
    const read = i32[this.#slotWord + OUT_READ]!;
    if (i32[this.#slotWord + OUT_PUBLISHED_CACHED]! !== read) return true;
    // Pairs with publish in OutRingProducer.
    const published = Atomics.load(i32, this.#slotWord + OUT_PUBLISHED);
    i32[this.#slotWord + OUT_PUBLISHED_CACHED] = published;
    return published !== read;
  }

  #release(): void {
    const { i32 } = this.#views;
    // release: pairs with the load in OutRingProducer.#loadRead: W2.
    Atomics.store(i32, this.#slotWord + OUT_READ, (i32[this.#slotWord + OUT_READ]! + 1) | 0);
  }
}

/** Records waiting in an out-ring, from either side. */
export function outFill(i32: Int32Array, slotWord: number): number {
  // `published` first: read only runs behind it, so the difference is never too large, and may be negative.
  const published = Atomics.load(i32, slotWord + OUT_PUBLISHED);
  return Math.max((published - Atomics.load(i32, slotWord + OUT_READ)) | 0, 0);
}
