/**
 * How one record's bytes are laid down and taken up; both rings share it. Nothing here orders anything
 * between threads: the rings publish and validate around these calls.
 */
import {
  RECORD_EPOCH,
  RECORD_LENGTH_KIND,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_BYTES,
  RECORD_SEQUENCE,
  RECORD_TIMESTAMP,
  type SharedViews,
} from "./layout.js";
import { RecordKind } from "./records.js";

export function writeHeader(
  views: SharedViews,
  recordWord: number,
  sequence: number,
  epoch: number,
  kind: RecordKind,
  length: number,
  timestampMs: number,
): void {
  const { i32 } = views;
  i32[recordWord + RECORD_SEQUENCE] = sequence;
  i32[recordWord + RECORD_EPOCH] = epoch;
  views.f64[(recordWord + RECORD_TIMESTAMP) >>> 1] = timestampMs;
  i32[recordWord + RECORD_LENGTH_KIND] = (length << 8) | kind;
}

/**
 * Copies `length` bytes, four to a word, and zeroes the rest of the last word. A loop, since
 * `Uint8Array.set` needs a subarray, and that is an allocation per frame.
 */
export function writePayload(
  i32: Int32Array,
  recordWord: number,
  source: Uint8Array,
  sourceOffset: number,
  length: number,
): void {
  let word = recordWord + RECORD_PAYLOAD;
  let at = sourceOffset;
  const wholeEnd = sourceOffset + (length & ~3);
  while (at < wholeEnd) {
    i32[word] = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
    word++;
    at += 4;
  }
  const rest = length & 3;
  if (rest === 0) return;
  let last = source[at]!;
  if (rest > 1) last |= source[at + 1]! << 8;
  if (rest > 2) last |= source[at + 2]! << 16;
  i32[word] = last;
}

/**
 * The payload last read, of any ring of this thread: one for each ring took half a KiB, twice a call, and each was out
 * of the cache by the time its ring was read again.
 */
const scratch = new ArrayBuffer(RECORD_PAYLOAD_BYTES);
const payloadBytes = new Uint8Array(scratch);
const payloadWords = new Int32Array(scratch);

/**
 * The record last read, in fields rather than in a result object: valid after `read()` returned true and
 * until the next `read()`, its payload until the next of any ring.
 */
export class ReadRecord {
  kind: RecordKind = RecordKind.audio;
  /** The epoch the record was written in, u32. */
  recordEpoch = 0;
  /** Counts every record of the ring from 0 (or the sequence it was reset to), u32: a gap is a drop. */
  sequence = 0;
  /** Monotonic instant the writer gave it. */
  timestampMs = 0;
  /** How many bytes of `payload` are the record's. */
  length = 0;
  /** A private copy, RECORD_PAYLOAD_BYTES long; not shared memory, so any API takes it. */
  readonly payload = payloadBytes;

  /** The payload of a mark, cue or clear: its first four bytes, little-endian. */
  u32(): number {
    return payloadWords[0]! >>> 0;
  }

  /** @internal Copies the record out. Of a record being overwritten it may copy a mixture: validate after. */
  protected copyFrom(views: SharedViews, recordWord: number): void {
    const { i32 } = views;
    const target = payloadWords;
    const lengthKind = i32[recordWord + RECORD_LENGTH_KIND]!;
    // Bounded although the header may be half overwritten: a torn length must not run past the scratch.
    const length = Math.min(lengthKind >>> 8, RECORD_PAYLOAD_BYTES);
    this.kind = (lengthKind & 0xff) as RecordKind;
    this.length = length;
    this.recordEpoch = i32[recordWord + RECORD_EPOCH]! >>> 0;
    this.sequence = i32[recordWord + RECORD_SEQUENCE]! >>> 0;
    this.timestampMs = views.f64[(recordWord + RECORD_TIMESTAMP) >>> 1]!;
    const wordCount = (length + 3) >>> 2;
    const payloadWord = recordWord + RECORD_PAYLOAD;
    for (let word = 0; word < wordCount; word++) target[word] = i32[payloadWord + word]!;
  }
}
