/**
 * Messages that callers left as audio, on the node's disk: one WAV file each, below the data directory.
 *
 *   messages/<tenant>/<call>-<epoch>.wav
 *
 * Written while the caller speaks, so that a hang-up, a crash of the call or of the node costs the last second at
 * most. The header is written last; until then players take the file's end for the audio's.
 *
 * Invariants
 * M1 nobody but people deletes a message that was kept. A full store takes no new ones, and callers are not offered
 *    to leave any.
 * M2 a message holds at most MESSAGE_MAX_MS of audio.
 */
import { type FileHandle, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type AudioFormat, bytesPerMs, wavHeader } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";

/** Longer than anybody dictates; a minute of µ-law is 480 KB. */
export const MESSAGE_MAX_MS = 120_000;
/** All messages of the node together, as far as this shard knows: a thousand of full length. */
export const MESSAGES_MAX_BYTES = 1024 * 1024 * 1024;
/** Written at once; what a crash of the node may cost. */
const CHUNK_MS = 1_000;

/** One message being left. */
export interface MessageFile {
  /** Below the data directory. */
  readonly name: string;
  /** The disk has refused something of it. */
  readonly hasFailed: boolean;
  write(audio: Uint8Array): void;
  /** Idempotent; what is on its way to the disk then is waited for by `MessageFiles.settled()`. */
  keep(): void;
  /** The transcript says it all. */
  discard(): void;
}

export class MessageFiles {
  readonly #dataDirectory: string;
  readonly #log: Logger;
  readonly #writing = new Set<Promise<void>>();
  #bytes = 0;

  constructor(dataDirectory: string, log: Logger) {
    this.#dataDirectory = dataDirectory;
    this.#log = log;
  }

  /** Counts what is there already. Never rejects. */
  async start(): Promise<void> {
    const root = join(this.#dataDirectory, "messages");
    const names = await readdir(root, { recursive: true }).catch(() => []);
    for (const name of names) {
      const file = await stat(join(root, name)).catch(() => null);
      if (file?.isFile() === true) this.#bytes += file.size;
    }
  }

  /** Null: the disk's share is used up. */
  open(tenantId: string, callId: string, epoch: number, format: AudioFormat): MessageFile | null {
    const maxBytes = MESSAGE_MAX_MS * bytesPerMs(format);
    if (this.#bytes + maxBytes > MESSAGES_MAX_BYTES) {
      this.#log.error({ bytes: this.#bytes }, "no room for messages: take them away");
      return null; // M1
    }
    const name = join("messages", tenantId, `${callId}-${epoch}.wav`);
    return new OpenMessage(name, join(this.#dataDirectory, name), format, maxBytes, {
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

  /** Every message that was begun is on disk, or has failed. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }
}

interface Disk {
  wrote(bytes: number): void;
  run(work: () => Promise<void>, failed: () => void): Promise<void>;
}

class OpenMessage implements MessageFile {
  readonly name: string;
  hasFailed = false;
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
      this.#file = await open(path, "w", 0o600);
      await this.#file.write(wavHeader(format, 0));
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
