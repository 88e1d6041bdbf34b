/**
 * The in-ring: the caller's audio and the carrier's events, from the edge (producer) to the shard
 * (consumer). It never refuses: when it is full the oldest record is overwritten, and the consumer,
 * finding itself overtaken, counts what it lost. One producer, one consumer; neither ever waits.
 *
 * ```
 *        lost            readable                 being written
 *   ……  |xxxxxxxx|=========================|~~~~~~~~|
 *       read     reserved - capacity       published  reserved      (reserved is published or published + 1)
 * ```
 *
 * R1  The producer raises `reserved` before it touches a record and `published` after it is complete.
 * R2  The consumer copies first and then checks `reserved`: if it has passed the record by capacity, the
 *     copy may be a mixture and is thrown away. So a published record is never half seen.
 * R3  Every sequence number is either read once or counted as dropped, never both.
 */
import {
  IN_DROPPED,
  IN_PUBLISHED,
  IN_READ,
  IN_RESERVED,
  OUT_EPOCH,
  RECORD_LENGTH_KIND,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_BYTES,
  RECORD_SEQUENCE,
  RECORD_TIMESTAMP,
  RECORD_WORDS,
  type SharedViews,
} from "./layout.js";
import { ReadRecord, writeHeader, writePayload } from "./record-io.js";
import { type HeldRecord, RecordKind } from "./records.js";
import { type UntoldAudio, isUntold } from "./untold-audio.js";

/**
 * How often one read() starts over after being overtaken. Once is already rare (the producer must lap the
 * ring during a copy of 0.1 us), so this only keeps read() finite; see its doc for what happens then.
 */
const MAX_READ_ATTEMPTS = 8;

/**
 * The oldest record is the next to be overwritten. Overtaken at it, the consumer goes on an eighth of the
 * ring further, else a producer at full speed would overtake it at nearly every record.
 */
const LEAD_SHIFT = 3;

export class InRingProducer {
  readonly #views: SharedViews;
  readonly #slotWord: number;
  readonly #recordsWord: number;
  readonly #mask: number;

  /** @internal Arena.edgeSide() makes it. */
  constructor(views: SharedViews, slotWord: number, recordsWord: number, recordCount: number) {
    this.#views = views;
    this.#slotWord = slotWord;
    this.#recordsWord = recordsWord;
    this.#mask = recordCount - 1;
  }

  /** Writes `length` bytes as records of up to RECORD_PAYLOAD_BYTES, all with the same timestamp. */
  writeAudio(source: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const end = offset + length;
    for (let at = offset; at < end; at += RECORD_PAYLOAD_BYTES) {
      const chunkLength = Math.min(RECORD_PAYLOAD_BYTES, end - at);
      const recordWord = this.#begin(RecordKind.audio, chunkLength, timestampMs);
      writePayload(this.#views.i32, recordWord, source, at, chunkLength);
      this.#publish();
    }
  }

  /** An event of one byte: a DTMF digit, a LegEnd. */
  writeByteEvent(kind: RecordKind, timestampMs: number, byte: number): void {
    const recordWord = this.#begin(kind, 1, timestampMs);
    this.#views.i32[recordWord + RECORD_PAYLOAD] = byte & 0xff;
    this.#publish();
  }

  /** An event of one u32: a mark, a cue, an epoch. */
  writeU32Event(kind: RecordKind, timestampMs: number, value: number): void {
    const recordWord = this.#begin(kind, 4, timestampMs);
    this.#views.i32[recordWord + RECORD_PAYLOAD] = value;
    this.#publish();
  }

  /**
   * What the ring still holds for whoever goes on with the leg, oldest first: audio and keys that the shard has not
   * read, and audio that it has and that is untold, as far back as the ring reaches. Other events mean something to
   * their owner alone. Allocates: once per owner, not per frame.
   */
  held(untold: UntoldAudio): HeldRecord[] {
    const { i32, f64 } = this.#views;
    const published = i32[this.#slotWord + IN_PUBLISHED]!;
    const read = Atomics.load(i32, this.#slotWord + IN_READ);
    const records: HeldRecord[] = [];
    for (let age = this.#mask + 1; age > 0; age--) {
      const sequence = (published - age) | 0;
      const recordWord = this.#recordsWord + (sequence & this.#mask) * RECORD_WORDS;
      // Never written since the last reset.
      if (i32[recordWord + RECORD_SEQUENCE] !== sequence) continue;
      const lengthKind = i32[recordWord + RECORD_LENGTH_KIND]!;
      const kind = (lengthKind & 0xff) as RecordKind;
      const timestampMs = f64[(recordWord + RECORD_TIMESTAMP) >>> 1]!;
      const wasRead = ((sequence - read) | 0) < 0;
      const isHeld =
        kind === RecordKind.audio
          ? !wasRead || isUntold(untold, timestampMs)
          : kind === RecordKind.dtmf && !wasRead;
      if (!isHeld) continue;
      const words = i32.slice(recordWord + RECORD_PAYLOAD, recordWord + RECORD_WORDS);
      records.push({ kind, timestampMs, payload: new Uint8Array(words.buffer, 0, lengthKind >>> 8) });
    }
    return records;
  }

  /** Writes what `held` gave, as it was. */
  writeHeld(records: readonly HeldRecord[]): void {
    for (const { kind, timestampMs, payload } of records) {
      if (kind === RecordKind.audio) this.writeAudio(payload, 0, payload.length, timestampMs);
      else this.writeByteEvent(kind, timestampMs, payload[0]!);
    }
  }

  /** Reserves the next record, taking it from the oldest if need be, and writes its header. */
  #begin(kind: RecordKind, length: number, timestampMs: number): number {
    const { i32 } = this.#views;
    const reserved = this.#slotWord + IN_RESERVED;
    // reserve: pairs with the second load in InRingConsumer.read. The load right after it is not idle: on
    // arm64 plain stores may pass an earlier release store, but not an acquire load that follows it, so it
    // keeps the record's bytes behind the reservation. Its value is used, so that it stays in the code.
    Atomics.store(i32, reserved, (i32[reserved]! + 1) | 0);
    const sequence = (Atomics.load(i32, reserved) - 1) | 0;
    const recordWord = this.#recordsWord + (sequence & this.#mask) * RECORD_WORDS;
    const epoch = Atomics.load(i32, this.#slotWord + OUT_EPOCH);
    writeHeader(this.#views, recordWord, sequence, epoch, kind, length, timestampMs);
    return recordWord;
  }

  #publish(): void {
    const { i32 } = this.#views;
    // publish: pairs with the first load in InRingConsumer.read.
    Atomics.store(i32, this.#slotWord + IN_PUBLISHED, i32[this.#slotWord + IN_RESERVED]!);
  }
}

export class InRingConsumer extends ReadRecord {
  readonly #views: SharedViews;
  readonly #slotWord: number;
  readonly #recordsWord: number;
  readonly #recordCount: number;

  /** @internal Arena.shardSide() makes it. */
  constructor(views: SharedViews, slotWord: number, recordsWord: number, recordCount: number) {
    super();
    this.#views = views;
    this.#slotWord = slotWord;
    this.#recordsWord = recordsWord;
    this.#recordCount = recordCount;
  }

  /**
   * Takes the oldest record there is into this object's fields; false when there is none. False too after
   * being overtaken MAX_READ_ATTEMPTS times in a row: the producer is then writing at full speed, and its
   * next ring of the bell brings us back.
   */
  read(): boolean {
    const { i32 } = this.#views;
    const slotWord = this.#slotWord;
    // Our own cursor: only this thread writes it.
    let sequence = i32[slotWord + IN_READ]!;
    // Pairs with publish in InRingProducer.
    if (Atomics.load(i32, slotWord + IN_PUBLISHED) === sequence) return false;
    for (let attempt = 0; attempt < MAX_READ_ATTEMPTS; attempt++) {
      sequence = this.#skipOverwritten(sequence, attempt === 0 ? 0 : this.#recordCount >>> LEAD_SHIFT);
      const recordWord = this.#recordsWord + (sequence & (this.#recordCount - 1)) * RECORD_WORDS;
      this.copyFrom(this.#views, recordWord);
      // Also a barrier: as a release store followed by the acquire load below, it keeps the copying above
      // from being done after the check (see InRingProducer.#begin for its mirror image).
      Atomics.store(i32, slotWord + IN_READ, (sequence + 1) | 0);
      // Pairs with reserve in InRingProducer: R2.
      const reserved = Atomics.load(i32, slotWord + IN_RESERVED);
      if (((reserved - this.#recordCount - sequence) | 0) <= 0) return true;
    }
    Atomics.store(i32, slotWord + IN_READ, this.#skipOverwritten(sequence, 0));
    return false;
  }

  /** The out-ring's epoch when the record last read was written, u32: tells what came before a cut. */
  get epoch(): number {
    return this.recordEpoch;
  }

  /** Records waiting. May report less than is there, never more. */
  get fill(): number {
    return inFill(this.#views.i32, this.#slotWord, this.#recordCount);
  }

  /** Less than `count` records wait, far from being overwritten, and all of them are audio. */
  hasOnlyAudio(count: number): boolean {
    const { i32 } = this.#views;
    const read = i32[this.#slotWord + IN_READ]!;
    // Pairs with publish in InRingProducer.
    const waiting = (Atomics.load(i32, this.#slotWord + IN_PUBLISHED) - read) | 0;
    if (waiting >= count) return false;
    for (let at = 0; at < waiting; at++) {
      const recordWord = this.#recordsWord + ((read + at) & (this.#recordCount - 1)) * RECORD_WORDS;
      if ((i32[recordWord + RECORD_LENGTH_KIND]! & 0xff) !== RecordKind.audio) return false;
    }
    return true;
  }

  /** Records that were overwritten before they could be read, since the slot was reset; u32. */
  get droppedCount(): number {
    return this.#views.i32[this.#slotWord + IN_DROPPED]! >>> 0;
  }

  /**
   * `sequence` while it is not lost, else the oldest that is not, plus `leadCount`; what lies between is
   * counted (R3).
   */
  #skipOverwritten(sequence: number, leadCount: number): number {
    const { i32 } = this.#views;
    // Whoever sees `reserved` at s + 1 sees all up to s published: the oldest survivor is always complete.
    const oldest = (Atomics.load(i32, this.#slotWord + IN_RESERVED) - this.#recordCount) | 0;
    if (((oldest - sequence) | 0) <= 0) return sequence;
    const next = (oldest + leadCount) | 0;
    i32[this.#slotWord + IN_DROPPED] = (i32[this.#slotWord + IN_DROPPED]! + next - sequence) | 0;
    return next;
  }
}

/** Records waiting in an in-ring, from either side. The one being overwritten no longer counts. */
export function inFill(i32: Int32Array, slotWord: number, recordCount: number): number {
  const read = Atomics.load(i32, slotWord + IN_READ);
  const published = Atomics.load(i32, slotWord + IN_PUBLISHED);
  const oldest = (Atomics.load(i32, slotWord + IN_RESERVED) - recordCount) | 0;
  const first = ((oldest - read) | 0) > 0 ? oldest : read;
  return Math.max((published - first) | 0, 0);
}

/** Records lost so far, those included that the consumer has yet to find out about; u32. */
export function inDropped(i32: Int32Array, slotWord: number, recordCount: number): number {
  const read = Atomics.load(i32, slotWord + IN_READ);
  const oldest = (Atomics.load(i32, slotWord + IN_RESERVED) - recordCount) | 0;
  const unseen = Math.max((oldest - read) | 0, 0);
  return (Atomics.load(i32, slotWord + IN_DROPPED) + unseen) >>> 0;
}
