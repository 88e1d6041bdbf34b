/**
 * Lines of log on their way out of the process. Whoever reads them may be slow, stand still or be gone: that costs lines,
 * told once he reads again, and neither a call nor the end of the process.
 *
 * W1  `write` never waits. One write per thread is with the thread pool at a time, and since the descriptor does not
 *     block where it is a pipe or a socket, it comes back at once: a pool whose threads wait for a reader of logs has
 *     none left for names and files.
 * W2  What cannot be written, because nobody is there or the disk is full, is dropped and counted.
 * W3  The end of a thread waits a bounded time for what is left.
 *
 * Why not pino's own destination (sonic-boom 4.2): its flush at exit tries for ever what failed with anything but
 * EAGAIN, so that a process whose reader had gone never ended.
 */
// oxlint-disable no-restricted-globals -- a thread at its end has no other way to sleep; nobody shares this word
import { write, writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

/** Some 20,000 lines; past it new lines are dropped while the reader of our output does not read. In characters. */
export const LOG_BUFFER_CHARS = 8 * 1024 * 1024;
/** A pipe takes so much whole or not at all, so that lines of several threads are not mixed (POSIX: PIPE_BUF, 4,096 on Linux). */
const CHUNK_CHARS = 4_096;
/** How soon a reader that does not read is tried again. */
const RETRY_MS = 100;
/** W3. For the pool to finish what it has begun when a thread ends: usually microseconds. */
const LAST_WRITE_MS = 20;
/** W3. The longest that the end of a thread waits for a reader who takes nothing. */
const LAST_READ_MS = 500;
const LAST_RETRY_MS = 5;

/** Where a thread may sleep. */
const nobody = new Int32Array(new SharedArrayBuffer(4));
const outputs = new Map<number, LogOutput>();

/** What lines of this thread for standard output (1) or standard error (2) are written to. One for all loggers. */
export function logOutput(fd: 1 | 2): LogOutput {
  let output = outputs.get(fd);
  if (output === undefined) {
    // W1: for Node, to open its stream is to set the descriptor to non-blocking, and to set it back at the end. It is the
    // process', so the main thread's word counts for all: no thread logs before it has made a logger.
    if (isMainThread) nonBlocking(fd);
    output = new LogOutput(fd);
    outputs.set(fd, output);
  }
  return output;
}

export class LogOutput {
  readonly #fd: number;
  #waiting: string[] = [];
  #waitingChars = 0;
  /** What is being written, or its rest. */
  #chunk: Buffer | null = null;
  #chunkLines = 0;
  /** Of those dropped, how many the chunk tells of. */
  #chunkTold = 0;
  #state: "idle" | "writing" | "resting" | "ended" = "idle";
  #dropped = 0;

  constructor(fd: number) {
    this.#fd = fd;
    process.once("exit", () => this.#end());
  }

  /** A line with its line feed. */
  write(line: string): void {
    if (this.#waitingChars + line.length > LOG_BUFFER_CHARS) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingChars += line.length;
    if (this.#state === "idle") this.#next();
    // Whoever logs at exit after us.
    else if (this.#state === "ended") this.#end();
  }

  #next(): void {
    this.#state = "idle";
    if (!this.#take()) return;
    this.#state = "writing";
    write(this.#fd, this.#chunk!, this.#onWritten);
  }

  readonly #onWritten = (error: NodeJS.ErrnoException | null, written: number): void => {
    if (this.#state === "ended") return;
    if (error === null) this.#wrote(written);
    else if (isBusy(error)) {
      this.#state = "resting";
      setTimeout(() => this.#state === "resting" && this.#next(), RETRY_MS).unref();
      return;
    } else this.#drop();
    this.#next();
  };

  /** False when there is nothing to write. */
  #take(): boolean {
    if (this.#chunk !== null) return true;
    let count = 0;
    let chars = 0;
    for (const line of this.#waiting) {
      if (count > 0 && chars + line.length > CHUNK_CHARS) break;
      count++;
      chars += line.length;
    }
    if (count === 0) return false;
    const lines = this.#waiting.splice(0, count);
    this.#waitingChars -= chars;
    this.#chunkLines = count;
    this.#chunkTold = this.#dropped;
    if (this.#chunkTold > 0) lines.unshift(droppedLine(this.#chunkTold));
    this.#chunk = Buffer.from(lines.join(""));
    return true;
  }

  #wrote(byteCount: number): void {
    const chunk = this.#chunk!;
    this.#chunk = byteCount < chunk.length ? chunk.subarray(byteCount) : null;
    if (this.#chunk !== null) return;
    this.#dropped -= this.#chunkTold;
  }

  /** W2 */
  #drop(): void {
    this.#chunk = null;
    this.#dropped += this.#chunkLines;
  }

  /** W3 */
  #end(): void {
    if (this.#state === "writing") {
      sleep(LAST_WRITE_MS);
      this.#chunk = null;
    }
    this.#state = "ended";
    let waitedMs = 0;
    while (this.#take()) {
      try {
        this.#wrote(writeSync(this.#fd, this.#chunk!));
        waitedMs = 0;
      } catch (error) {
        if (!isBusy(error) || waitedMs >= LAST_READ_MS) return;
        sleep(LAST_RETRY_MS);
        waitedMs += LAST_RETRY_MS;
      }
    }
  }
}

function nonBlocking(fd: 1 | 2): boolean {
  return fd === 1 ? process.stdout.writable : process.stderr.writable;
}

/** As pino writes one. */
function droppedLine(count: number): string {
  const fields = {
    level: "warn",
    time: new Date().toISOString(),
    name: "log",
    count,
    message: "lines were dropped",
  };
  return `${JSON.stringify(fields)}\n`;
}

function isBusy(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EAGAIN" || code === "EBUSY";
}

function sleep(ms: number): void {
  Atomics.wait(nobody, 0, 0, ms);
}
