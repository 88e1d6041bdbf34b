/**
 * The bytes of an arena: every offset that two threads agree on, and which of them writes it.
 *
 * ```
 * arena      0                    header, 128 B: magic, version, counts, sizes; written once by create()
 *            128                  inBell:  wake flag line, then the dirty bitmap     edge rings, shard drains
 *            inBellEnd            outBell: wake flag line, then the dirty bitmap     shard rings, edge drains
 *            outBellEnd           slot 0, slot 1, …, each bytesPerSlot
 *
 * slot       +0      128 B        in-ring, producer line     written by the edge
 *            +128    128 B        in-ring, consumer line     written by the shard
 *            +256    128 B        out-ring, producer line    written by the shard
 *            +384    128 B        out-ring, consumer line    written by the edge
 *            +512    n * 192 B    in-ring records            written by the edge
 *            …       m * 192 B    out-ring records           written by the shard
 *
 * record     0    4    8         16          20         32                                192
 *            | seq|epoch|timestamp|len<<8|kind| unused   | payload, up to 160 B             |
 *            | u32| u32 | f64 ms  | u32       | 12 B     | bytes; u32 values little-endian  |
 * ```
 *
 * L1  Each line has one writer. Lines are 128 B: two 64 B cache lines, because x86 prefetches them in
 *     pairs and arm64 servers have 128 B lines.
 * L2  Cursors are free-running u32 sequence numbers; the record of sequence s lies at s & (capacity - 1).
 *     Differences are taken as `(a - b) | 0`, so they stay right when a cursor passes 2^32.
 * L3  A ring's whole state is in the slot, the cached copies of the other side's cursor included. The
 *     objects on either side hold offsets only, so that one reset() of the slot is seen by both.
 */
import assert from "node:assert/strict";
import { endianness } from "node:os";

// Records are written as words and read as bytes. Every platform uWebSockets.js has a binary for is little-endian.
assert.equal(endianness(), "LE", "rings need a little-endian machine");

/** "LUMA" as bytes. */
export const ARENA_MAGIC = 0x414d554c;
/** Changes whenever a byte in the picture above moves. */
export const ARENA_VERSION = 1;

/** See L1. */
export const LINE_BYTES = 128;
/** One 20 ms frame of G.711; L16 audio takes two to twelve records per frame. */
export const RECORD_PAYLOAD_BYTES = 160;
const RECORD_HEADER_BYTES = 32;
/** A multiple of 64, so that no two records share a 64 B cache line. */
export const RECORD_BYTES = RECORD_HEADER_BYTES + RECORD_PAYLOAD_BYTES;

/** 128 records of 20 ms: 2.56 s of G.711, five times the longest carrier stall we promise to carry over. */
export const DEFAULT_RECORD_COUNT = 128;
/** Below two, the record being read is always the one being overwritten. */
const MIN_RECORD_COUNT = 2;
/** 4096 records are 768 KiB, 82 s of G.711: beyond that a ring hides a fault rather than a stall. */
const MAX_RECORD_COUNT = 4096;
/** One shard never holds more calls than this; 4096 slots of the default size are 194 MiB. */
export const MAX_SLOT_COUNT = 4096;

// Word (Int32) offsets within the header.
export const HEADER_MAGIC = 0;
export const HEADER_VERSION = 1;
export const HEADER_SLOT_COUNT = 2;
export const HEADER_IN_RECORD_COUNT = 3;
export const HEADER_OUT_RECORD_COUNT = 4;
export const HEADER_RECORD_BYTES = 5;
export const HEADER_BYTES_PER_SLOT = 6;
export const HEADER_TOTAL_BYTES = 7;

export const LINE_WORDS = LINE_BYTES / 4;
export const RECORD_WORDS = RECORD_BYTES / 4;

// Word offsets within a slot. In-ring, producer line: written by the edge.
/** Sequence after the newest record the producer has begun; all older than this less capacity are lost. */
export const IN_RESERVED = 0;
/** Sequence after the newest record that is complete. */
export const IN_PUBLISHED = 1;
// In-ring, consumer line: written by the shard.
/** Sequence of the next record to read. */
export const IN_READ = LINE_WORDS;
/** Records the producer overwrote before they were read. */
export const IN_DROPPED = LINE_WORDS + 1;
// Out-ring, producer line: written by the shard.
/** Sequence after the newest record that is complete. */
export const OUT_PUBLISHED = 2 * LINE_WORDS;
/** The producer's copy of OUT_READ; may be behind, never ahead. */
export const OUT_READ_CACHED = 2 * LINE_WORDS + 1;
/** Records of older epochs are not played. */
export const OUT_EPOCH = 2 * LINE_WORDS + 2;
/** 1 while the edge should send nothing. */
export const OUT_PAUSED = 2 * LINE_WORDS + 3;
/** Writes that were not, or not wholly, accepted. */
export const OUT_REFUSED = 2 * LINE_WORDS + 4;
// Out-ring, consumer line: written by the edge.
/** Sequence of the next record to read; those before it may be overwritten. */
export const OUT_READ = 3 * LINE_WORDS;
/** The consumer's copy of OUT_PUBLISHED; may be behind, never ahead. */
export const OUT_PUBLISHED_CACHED = 3 * LINE_WORDS + 1;
/** Records skipped because their epoch had passed. */
export const OUT_SKIPPED = 3 * LINE_WORDS + 2;
export const SLOT_CONTROL_WORDS = 4 * LINE_WORDS;

// Word offsets within a record.
export const RECORD_SEQUENCE = 0;
export const RECORD_EPOCH = 1;
/** Two words, read as one f64. */
export const RECORD_TIMESTAMP = 2;
/** length << 8 | kind. */
export const RECORD_LENGTH_KIND = 4;
export const RECORD_PAYLOAD = RECORD_HEADER_BYTES / 4;

/** Three views of the same shared bytes; each element keeps to one of them. */
export interface SharedViews {
  readonly i32: Int32Array;
  readonly f64: Float64Array;
}

/** What people ask for. Record counts are powers of two. */
export interface ArenaLayout {
  /** Calls this arena can carry at once, 1 to MAX_SLOT_COUNT. */
  readonly slotCount: number;
  /** @default 128 */
  readonly inRecordCount?: number;
  /** @default 128 */
  readonly outRecordCount?: number;
}

/** Where everything is, in bytes and words. */
export interface ResolvedArenaLayout {
  readonly slotCount: number;
  readonly inRecordCount: number;
  readonly outRecordCount: number;
  readonly bytesPerSlot: number;
  readonly totalBytes: number;
  readonly bellBitmapWords: number;
  readonly inBellWord: number;
  readonly outBellWord: number;
  readonly firstSlotWord: number;
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(count) && count > 0 && (count & (count - 1)) === 0;
}

function isRecordCount(count: number): boolean {
  return isPowerOfTwo(count) && count >= MIN_RECORD_COUNT && count <= MAX_RECORD_COUNT;
}

/** Says what is wrong with the counts, or null. */
export function layoutFault(layout: ArenaLayout): string | null {
  const { slotCount, inRecordCount = DEFAULT_RECORD_COUNT, outRecordCount = DEFAULT_RECORD_COUNT } = layout;
  if (!Number.isInteger(slotCount) || slotCount < 1 || slotCount > MAX_SLOT_COUNT) {
    return `slotCount must be 1 to ${MAX_SLOT_COUNT} (got ${slotCount})`;
  }
  for (const count of [inRecordCount, outRecordCount]) {
    if (!isRecordCount(count)) {
      return `record counts must be powers of two from ${MIN_RECORD_COUNT} to ${MAX_RECORD_COUNT} (got ${count})`;
    }
  }
  return null;
}

export function resolveArenaLayout(layout: ArenaLayout): ResolvedArenaLayout {
  const fault = layoutFault(layout);
  assert(fault === null, fault ?? "");
  const { slotCount, inRecordCount = DEFAULT_RECORD_COUNT, outRecordCount = DEFAULT_RECORD_COUNT } = layout;
  const bitmapLines = Math.ceil(slotCount / (LINE_BYTES * 8));
  const bellWords = (1 + bitmapLines) * LINE_WORDS;
  const inBellWord = LINE_WORDS;
  const outBellWord = inBellWord + bellWords;
  const firstSlotWord = outBellWord + bellWords;
  const bytesPerSlot = bytesPerSlotOf(inRecordCount, outRecordCount);
  return {
    slotCount,
    inRecordCount,
    outRecordCount,
    bytesPerSlot,
    totalBytes: firstSlotWord * 4 + slotCount * bytesPerSlot,
    bellBitmapWords: Math.ceil(slotCount / 32),
    inBellWord,
    outBellWord,
    firstSlotWord,
  };
}

function bytesPerSlotOf(inRecordCount: number, outRecordCount: number): number {
  return SLOT_CONTROL_WORDS * 4 + (inRecordCount + outRecordCount) * RECORD_BYTES;
}

/** Shared memory of one call with the default counts: 48.5 KiB, within the budget of 56. */
export const DEFAULT_BYTES_PER_SLOT = bytesPerSlotOf(DEFAULT_RECORD_COUNT, DEFAULT_RECORD_COUNT);
