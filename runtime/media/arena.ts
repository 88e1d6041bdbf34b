/**
 * An arena holds the rings of every call one shard can carry, in one SharedArrayBuffer of a size fixed at
 * start: a full arena means "no", never "slow". The edge's thread creates it, the shard's attaches.
 *
 * A1  At most one object per thread, side and slot is at work: edgeSide() and shardSide() return the same
 *     one each time, and a thread attaches to a buffer once.
 */
import assert from "node:assert/strict";
import { LumentraError } from "#runtime/errors";
import { Doorbell } from "./doorbell.js";
import { InRingConsumer, InRingProducer, inDropped, inFill } from "./in-ring.js";
import {
  ARENA_MAGIC,
  ARENA_VERSION,
  type ArenaLayout,
  HEADER_BYTES_PER_SLOT,
  HEADER_IN_RECORD_COUNT,
  HEADER_MAGIC,
  HEADER_OUT_RECORD_COUNT,
  HEADER_RECORD_BYTES,
  HEADER_SLOT_COUNT,
  HEADER_TOTAL_BYTES,
  HEADER_VERSION,
  IN_PUBLISHED,
  IN_READ,
  IN_RESERVED,
  LINE_BYTES,
  layoutFault,
  OUT_EPOCH,
  OUT_PAUSED,
  OUT_PUBLISHED,
  OUT_PUBLISHED_CACHED,
  OUT_READ,
  OUT_READ_CACHED,
  OUT_REFUSED,
  OUT_SKIPPED,
  RECORD_BYTES,
  RECORD_WORDS,
  type ResolvedArenaLayout,
  resolveArenaLayout,
  type SharedViews,
  SLOT_CONTROL_WORDS,
} from "./layout.js";
import { OutRingConsumer, OutRingProducer, outFill } from "./out-ring.js";

/** The edge's ends of a slot's rings. */
export interface EdgeSlot {
  readonly in: InRingProducer;
  readonly out: OutRingConsumer;
  /**
   * Empties both rings and zeroes epoch, pause and counters, so that the next call sees nothing of the last.
   * Only when both sides are quiescent: the old actor is gone and the new one has not been told of the slot.
   * @param firstSequence where both rings' sequences start; other than 0 only in tests of the 2^32 wrap.
   */
  reset(firstSequence?: number): void;
}

/** The shard's ends of a slot's rings. */
export interface ShardSlot {
  readonly in: InRingConsumer;
  readonly out: OutRingProducer;
}

/** One slot's counters since its reset, for metrics; read from either thread, each value by itself. */
export interface SlotStats {
  readonly inFillRecords: number;
  readonly inWrittenCount: number;
  /** Overwritten before they were read, those included that the shard has yet to notice. */
  readonly inDroppedCount: number;
  readonly outFillRecords: number;
  readonly outWrittenCount: number;
  /** Skipped because their epoch had passed. */
  readonly outSkippedCount: number;
  /** Writes that were not, or not wholly, accepted. */
  readonly outRefusedCount: number;
  readonly epoch: number;
  readonly paused: boolean;
}

export class Arena {
  readonly buffer: SharedArrayBuffer;
  readonly slotCount: number;
  /** Shared memory of one slot: both rings and their cursors. */
  readonly bytesPerSlot: number;
  /** Rung by the edge, drained by the shard. */
  readonly inBell: Doorbell;
  /** Rung by the shard, drained by the edge. */
  readonly outBell: Doorbell;
  readonly #layout: ResolvedArenaLayout;
  readonly #views: SharedViews;
  readonly #edgeSlots: (EdgeSlot | undefined)[];
  readonly #shardSlots: (ShardSlot | undefined)[];

  private constructor(buffer: SharedArrayBuffer, layout: ResolvedArenaLayout) {
    const i32 = new Int32Array(buffer);
    this.buffer = buffer;
    this.slotCount = layout.slotCount;
    this.bytesPerSlot = layout.bytesPerSlot;
    this.inBell = new Doorbell(i32, layout.inBellWord, layout.bellBitmapWords);
    this.outBell = new Doorbell(i32, layout.outBellWord, layout.bellBitmapWords);
    this.#layout = layout;
    this.#views = { i32, f64: new Float64Array(buffer) };
    this.#edgeSlots = Array.from({ length: layout.slotCount });
    this.#shardSlots = Array.from({ length: layout.slotCount });
  }

  /** Allocates the shared memory, all of it, zeroed: every slot is ready for its first call. */
  static create(layout: ArenaLayout): Arena {
    const resolved = resolveArenaLayout(layout);
    const buffer = new SharedArrayBuffer(resolved.totalBytes);
    const header = new Int32Array(buffer);
    header[HEADER_VERSION] = ARENA_VERSION;
    header[HEADER_SLOT_COUNT] = resolved.slotCount;
    header[HEADER_IN_RECORD_COUNT] = resolved.inRecordCount;
    header[HEADER_OUT_RECORD_COUNT] = resolved.outRecordCount;
    header[HEADER_RECORD_BYTES] = RECORD_BYTES;
    header[HEADER_BYTES_PER_SLOT] = resolved.bytesPerSlot;
    header[HEADER_TOTAL_BYTES] = resolved.totalBytes;
    // publish: pairs with the load in Arena.attach.
    Atomics.store(header, HEADER_MAGIC, ARENA_MAGIC);
    return new Arena(buffer, resolved);
  }

  /** Opens an arena that another thread created. @throws LumentraError ARENA_HEADER_INVALID */
  static attach(buffer: SharedArrayBuffer): Arena {
    const fault = headerFault(buffer);
    if (fault !== null) throw new LumentraError("ARENA_HEADER_INVALID", `the buffer is no arena: ${fault}`);
    return new Arena(buffer, resolveArenaLayout(layoutInHeader(new Int32Array(buffer))));
  }

  edgeSide(slot: number): EdgeSlot {
    const existing = this.#edgeSlots[this.#checked(slot)];
    if (existing) return existing;
    const { inRecordCount, outRecordCount } = this.#layout;
    const slotWord = this.#slotWord(slot);
    const created: EdgeSlot = {
      in: new InRingProducer(this.#views, slotWord, this.#inRecordsWord(slot), inRecordCount),
      out: new OutRingConsumer(this.#views, slotWord, this.#outRecordsWord(slot), outRecordCount),
      reset: (firstSequence = 0) => resetSlot(this.#views.i32, slotWord, firstSequence | 0),
    };
    this.#edgeSlots[slot] = created;
    return created;
  }

  shardSide(slot: number): ShardSlot {
    const existing = this.#shardSlots[this.#checked(slot)];
    if (existing) return existing;
    const { inRecordCount, outRecordCount } = this.#layout;
    const slotWord = this.#slotWord(slot);
    const created: ShardSlot = {
      in: new InRingConsumer(this.#views, slotWord, this.#inRecordsWord(slot), inRecordCount),
      out: new OutRingProducer(this.#views, slotWord, this.#outRecordsWord(slot), outRecordCount),
    };
    this.#shardSlots[slot] = created;
    return created;
  }

  /** Allocates its result: for metrics and tests, not per frame. */
  stats(slot: number): SlotStats {
    const slotWord = this.#slotWord(this.#checked(slot));
    const { i32 } = this.#views;
    const { inRecordCount } = this.#layout;
    return {
      inFillRecords: inFill(i32, slotWord, inRecordCount),
      inWrittenCount: Atomics.load(i32, slotWord + IN_PUBLISHED) >>> 0,
      inDroppedCount: inDropped(i32, slotWord, inRecordCount),
      outFillRecords: outFill(i32, slotWord),
      outWrittenCount: Atomics.load(i32, slotWord + OUT_PUBLISHED) >>> 0,
      outSkippedCount: Atomics.load(i32, slotWord + OUT_SKIPPED) >>> 0,
      outRefusedCount: Atomics.load(i32, slotWord + OUT_REFUSED) >>> 0,
      epoch: Atomics.load(i32, slotWord + OUT_EPOCH) >>> 0,
      paused: Atomics.load(i32, slotWord + OUT_PAUSED) === 1,
    };
  }

  #checked(slot: number): number {
    assert(Number.isInteger(slot) && slot >= 0 && slot < this.slotCount, `no slot ${slot}`);
    return slot;
  }

  #slotWord(slot: number): number {
    return this.#layout.firstSlotWord + (slot * this.bytesPerSlot) / 4;
  }

  #inRecordsWord(slot: number): number {
    return this.#slotWord(slot) + SLOT_CONTROL_WORDS;
  }

  #outRecordsWord(slot: number): number {
    return this.#inRecordsWord(slot) + this.#layout.inRecordCount * RECORD_WORDS;
  }
}

/** The slot's whole state is its control words (L3): records left over lie beyond the cursors, unreachable. */
function resetSlot(i32: Int32Array, slotWord: number, firstSequence: number): void {
  for (let word = 0; word < SLOT_CONTROL_WORDS; word++) Atomics.store(i32, slotWord + word, 0);
  const cursors = [
    IN_RESERVED,
    IN_PUBLISHED,
    IN_READ,
    OUT_PUBLISHED,
    OUT_READ_CACHED,
    OUT_READ,
    OUT_PUBLISHED_CACHED,
  ];
  for (const cursor of cursors) Atomics.store(i32, slotWord + cursor, firstSequence);
}

function layoutInHeader(header: Int32Array): Required<ArenaLayout> {
  return {
    slotCount: header[HEADER_SLOT_COUNT]!,
    inRecordCount: header[HEADER_IN_RECORD_COUNT]!,
    outRecordCount: header[HEADER_OUT_RECORD_COUNT]!,
  };
}

/** Says in which way the buffer is not an arena of this version, or null. */
function headerFault(buffer: SharedArrayBuffer): string | null {
  const { byteLength } = buffer;
  if (byteLength < LINE_BYTES || byteLength % LINE_BYTES !== 0) return `its size is ${byteLength} bytes`;
  const header = new Int32Array(buffer);
  // Pairs with publish in Arena.create.
  const magic = Atomics.load(header, HEADER_MAGIC) >>> 0;
  if (magic !== ARENA_MAGIC) return `its magic is 0x${magic.toString(16)}`;
  const version = header[HEADER_VERSION]!;
  if (version !== ARENA_VERSION) return `its version is ${version}, this is ${ARENA_VERSION}`;
  const counts = layoutFault(layoutInHeader(header));
  if (counts !== null) return counts;
  const expected = resolveArenaLayout(layoutInHeader(header));
  const recordBytes = header[HEADER_RECORD_BYTES]!;
  if (recordBytes !== RECORD_BYTES) return `its records have ${recordBytes} bytes, not ${RECORD_BYTES}`;
  const bytesPerSlot = header[HEADER_BYTES_PER_SLOT]!;
  if (bytesPerSlot !== expected.bytesPerSlot) {
    return `its slots have ${bytesPerSlot} bytes, not ${expected.bytesPerSlot}`;
  }
  const totalBytes = header[HEADER_TOTAL_BYTES]!;
  if (totalBytes !== expected.totalBytes || totalBytes !== byteLength) {
    return `it says ${totalBytes} bytes, needs ${expected.totalBytes} and has ${byteLength}`;
  }
  return null;
}
