/**
 * Messages that callers left as audio, on the node's disk: one WAV file each, below the data directory.
 *
 *   messages/<tenant>/<call>-<epoch>-<sequence>.wav      sequence of the journal's event that names it
 *
 * Written while the caller speaks, so that a hang-up, a crash of the call or of the node costs the last second at
 * most. The header is written last; until then players take the file's end for the audio's.
 *
 * Invariants
 * M1 nobody but people deletes a message that was kept. A full store takes no new ones, and callers are not offered
 *    to leave any.
 * M2 a message holds at most MESSAGE_MAX_MS of audio.
 * M3 the bound is the node's: every shard counts what is on disk, whoever wrote it, before it lets one in, and takes
 *    those that may still be written for full ones.
 * M4 an actor that goes on with a message writes a file of its own, since the one before may have crashed within the
 *    same epoch; no file is opened twice.
 */
import { type FileHandle, mkdir, open, readFile, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type AudioFormat, bytesPerMs, wavHeader } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";

/** Longer than anybody dictates; a minute of µ-law is 480 KB. */
export const MESSAGE_MAX_MS = 120_000;
/** All messages of the node together: a thousand of full length. */
const MESSAGES_MAX_BYTES = 1024 * 1024 * 1024;
/** Written at once; what a crash of the node may cost. */
const CHUNK_MS = 1_000;
/** M3. A message in progress is written to each second; a busy disk is later. */
const GROWS_WITHIN_MS = 10 * CHUNK_MS;
/** … and is taken for one of full length, µ-law. */
const FULL_BYTES = MESSAGE_MAX_MS * 8;

/** One message being left. */
export interface MessageFile {
  /** Below the data directory. */
  readonly name: string;
  /** The disk has refused something of it. */
  readonly hasFailed: boolean;
  /** The disk has said that it has all of it. */
  readonly isKept: boolean;
  write(audio: Uint8Array): void;
  /** Idempotent; what is on its way to the disk then is waited for by `MessageFiles.settled()`. */
  keep(): void;
  /** The transcript says it all. */
  discard(): void;
}

export class MessageFiles {
  readonly #dataDirectory: string;
  readonly #log: Logger;
  readonly #maxBytes: number;
  readonly #writing = new Set<Promise<void>>();
  /** At the last count, and written here since. */
  #bytes = 0;
  #counting: Promise<unknown> = Promise.resolve();
  #nextCount: Promise<number> | null = null;

  constructor(dataDirectory: string, log: Logger, maxBytes = MESSAGES_MAX_BYTES) {
    this.#maxBytes = maxBytes;
    this.#dataDirectory = dataDirectory;
    this.#log = log;
  }

  /** Counts what is there already. Never rejects. */
  async start(): Promise<void> {
    await this.#count();
  }

  /** `sequence`: of the journal's event that will name it (M4). Null: the disk's share is used up. */
  open(
    tenantId: string,
    callId: string,
    epoch: number,
    sequence: number,
    format: AudioFormat,
  ): MessageFile | null {
    const maxBytes = MESSAGE_MAX_MS * bytesPerMs(format);
    if (this.#bytes + maxBytes > this.#maxBytes) {
      this.#log.error({ bytes: this.#bytes }, "no room for messages: take them away");
      return null; // M1
    }
    const name = join("messages", tenantId, `${callId}-${epoch}-${sequence}.wav`);
    return new OpenMessage(name, join(this.#dataDirectory, name), format, maxBytes, {
      hasRoom: async () => (await this.#count()) <= this.#maxBytes,
      wrote: (bytes) => {
        this.#bytes += bytes;
      },
      run: (work, failed) => {
        const running: Promise<void> = work()
          .catch((error: unknown) => {
            failed();
            this.#log.error({ err: error, callId }, "a message could not be written");
          })
          .finally(() => this.#writing.delete(running));
        this.#writing.add(running);
        return running;
      },
    });
  }

  /** M3. What is taken, with those that may grow. Whoever asks while it is counted shares the next count. */
  #count(): Promise<number> {
    this.#nextCount ??= this.#counting.then(() => {
      this.#nextCount = null;
      const count = this.#readSizes();
      this.#counting = count;
      return count;
    });
    return this.#nextCount;
  }

  async #readSizes(): Promise<number> {
    const root = join(this.#dataDirectory, "messages");
    const names = await readdir(root, { recursive: true }).catch(() => []);
    let bytes = 0;
    let reserved = 0;
    let newestMs = 0;
    const grown: { readonly size: number; readonly atMs: number }[] = [];
    for (const name of names) {
      const file = await stat(join(root, name)).catch(() => null);
      if (file?.isFile() !== true) continue;
      bytes += file.size;
      if (!name.endsWith(".wav")) continue; // it does not grow
      newestMs = Math.max(newestMs, file.mtimeMs);
      grown.push({ size: file.size, atMs: file.mtimeMs });
    }
    // By the disk's own clock. One that was written lately may be a message in progress.
    for (const { size, atMs } of grown) {
      if (newestMs - atMs < GROWS_WITHIN_MS) reserved += Math.max(0, FULL_BYTES - size);
    }
    this.#bytes = bytes;
    return bytes + reserved;
  }

  /** Every message that was begun is on disk, or has failed. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }
}

/**
 * The audio that a call's last actor here kept, as a WAV file; null when there is none. Parts of actors before are named by
 * the journal.
 */
export async function readMessage(dataDirectory: string, callId: string): Promise<Uint8Array | null> {
  if (!/^[\w-]{1,128}$/.test(callId)) return null;
  const root = join(dataDirectory, "messages");
  const names = await readdir(root, { recursive: true }).catch(() => []);
  let best: { readonly name: string; readonly epoch: number; readonly sequence: number } | null = null;
  for (const name of names) {
    const file = basename(name, ".wav");
    const [epoch = Number.NaN, sequence = Number.NaN, ...more] = file
      .slice(callId.length + 1)
      .split("-")
      .map(Number);
    if (!file.startsWith(`${callId}-`) || !Number.isInteger(epoch + sequence) || more.length > 0) continue;
    const isLater = best === null || epoch > best.epoch || (epoch === best.epoch && sequence > best.sequence);
    if (isLater) best = { name, epoch, sequence };
  }
  return best === null ? null : readFile(join(root, best.name)).catch(() => null);
}

interface Disk {
  /** With what was just begun. */
  hasRoom(): Promise<boolean>;
  wrote(bytes: number): void;
  run(work: () => Promise<void>, failed: () => void): Promise<void>;
}

class OpenMessage implements MessageFile {
  readonly name: string;
  hasFailed = false;
  isKept = false;
  readonly #failed = () => {
    this.hasFailed = true;
  };
  readonly #path: string;
  readonly #format: AudioFormat;
  readonly #disk: Disk;
  #leftBytes: number;
  #chunk: Uint8Array;
  #chunkBytes = 0;
  #dataBytes = 0;
  #file: FileHandle | null = null;
  /** What was asked of the disk, one after the other. */
  #last: Promise<void>;
  #closed = false;

  constructor(name: string, path: string, format: AudioFormat, maxBytes: number, disk: Disk) {
    this.name = name;
    this.#path = path;
    this.#format = format;
    this.#disk = disk;
    this.#leftBytes = maxBytes;
    this.#chunk = new Uint8Array(CHUNK_MS * bytesPerMs(format));
    this.#last = disk.run(async () => {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(path, "wx", 0o600);
      await file.write(wavHeader(format, 0));
      if (await disk.hasRoom()) {
        this.#file = file;
        return;
      }
      await file.close();
      await rm(path, { force: true });
      throw new Error("no room for messages: take them away"); // M1
    }, this.#failed);
  }

  write(audio: Uint8Array): void {
    if (this.#closed) return;
    const length = Math.min(audio.length, this.#leftBytes); // M2
    this.#leftBytes -= length;
    let at = 0;
    while (at < length) {
      const fits = Math.min(length - at, this.#chunk.length - this.#chunkBytes);
      this.#chunk.set(audio.subarray(at, at + fits), this.#chunkBytes);
      this.#chunkBytes += fits;
      at += fits;
      if (this.#chunkBytes === this.#chunk.length) this.#flush();
    }
  }

  keep(): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#then(async (file) => {
      await file.write(wavHeader(this.#format, this.#dataBytes), 0, undefined, 0);
      await file.sync();
      await file.close();
      this.isKept = !this.hasFailed;
    });
  }

  discard(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#disk.wrote(-this.#dataBytes);
    this.#then(async (file) => {
      await file.close();
      await rm(this.#path, { force: true });
    });
  }

  #flush(): void {
    if (this.#chunkBytes === 0) return;
    const bytes = Buffer.from(this.#chunk.subarray(0, this.#chunkBytes));
    if (this.#format.encoding === "l16be") bytes.swap16();
    this.#chunkBytes = 0;
    this.#dataBytes += bytes.length;
    this.#disk.wrote(bytes.length);
    this.#then(async (file) => void (await file.write(bytes)));
  }

  #then(work: (file: FileHandle) => Promise<void>): void {
    const before = this.#last;
    this.#last = this.#disk.run(async () => {
      await before;
      if (this.#file !== null) await work(this.#file);
    }, this.#failed);
  }
}
