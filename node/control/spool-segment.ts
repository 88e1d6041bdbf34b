/**
 * One file of the journals' spool: records appended one after the other.
 *
 *   | length u32 | crc32 u32 | payload, JSON of one event | length u32 | …
 *
 * Invariants
 * F1 a record is whole or it is not there: what a killed process left half written is found by length or checksum.
 * F2 nothing behind a damaged record is read: where it begins is not known. A write that failed half-way is therefore
 *    cut off again before the next.
 */
import { type FileHandle, open, readFile, truncate, unlink } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { JournalEvent } from "#actors/journal";

const HEADER_BYTES = 8;
/** What a caller said in one turn is some KiB at the very most; a longer length is damage, not a record. */
const RECORD_MAX_BYTES = 1024 * 1024;
/** Records parsed before others get the thread: half a millisecond. */
const PARSE_SLICE = 100;

export function encodeRecord(event: JournalEvent): Buffer {
  const payload = Buffer.from(JSON.stringify(event));
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  record.writeUInt32LE(payload.length, 0);
  record.writeUInt32LE(crc32(payload), 4);
  payload.copy(record, HEADER_BYTES);
  return record;
}

export interface SegmentContent {
  readonly events: readonly JournalEvent[];
  /** Where the last whole record ends. */
  readonly goodBytes: number;
  /** Bytes behind it: a torn tail, or damage. */
  readonly badBytes: number;
}

/** Reads what is whole (F1, F2), giving way to others in between. Rejects as readFile does. */
export async function readSegment(path: string): Promise<SegmentContent> {
  const bytes = await readFile(path);
  const events: JournalEvent[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    const end = at + HEADER_BYTES + length;
    if (length > RECORD_MAX_BYTES || end > bytes.length) break;
    const payload = bytes.subarray(at + HEADER_BYTES, end);
    if (crc32(payload) !== bytes.readUInt32LE(at + 4)) break;
    events.push(JSON.parse(payload.toString("utf8")) as JournalEvent);
    at = end;
    if (events.length % PARSE_SLICE === 0) await nextTurn();
  }
  return { events, goodBytes: at, badBytes: bytes.length - at };
}

/** Cuts a torn tail off. */
export async function cutSegment(path: string, goodBytes: number): Promise<void> {
  await truncate(path, goodBytes);
}

/** No error when it is gone already. */
export async function removeSegment(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** A segment that is being written. */
export class SegmentWriter {
  readonly #path: string;
  #file: FileHandle | null = null;
  #bytes: number;

  /** `bytes`: whole records that the file has already. */
  constructor(path: string, bytes = 0) {
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Of whole records. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All of them, or (rejecting with the disk's error) none as far as a reader can see, once it is called again. */
  async append(records: readonly Buffer[]): Promise<void> {
    try {
      this.#file ??= await this.#open();
      const block = Buffer.concat(records);
      let written = 0;
      while (written < block.length) {
        const { bytesWritten } = await this.#file.write(block, written, block.length - written);
        written += bytesWritten;
      }
      this.#bytes += block.length;
    } catch (error) {
      await this.close().catch(() => {});
      throw error;
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  /** F2: what a failed write left behind is cut off first. */
  async #open(): Promise<FileHandle> {
    const file = await open(this.#path, "a", 0o600);
    try {
      const { size } = await file.stat();
      if (size > this.#bytes) await file.truncate(this.#bytes);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}
