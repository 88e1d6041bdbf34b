/**
 * A node's disk, as far as callers' messages go: what MessageFiles says of it, in virtual time. It may be slow to say that
 * it has all of a message, or refuse it. A file that is opened again is empty, as on any disk.
 */
import type { CallShardParts } from "#actors/call";
import type { Seams } from "./seams.js";
import type { SimTime } from "./sim-time.js";
import { FRAME_BYTES, WordEar } from "./word-audio.js";

type Messages = NonNullable<CallShardParts["messages"]>;
type MessageFile = NonNullable<ReturnType<Messages["open"]>>;

/** Sooner or later than the call waits for. */
const KEPT_MS = [2, 120] as const;
const SLOW_MS = [400, 900] as const;
const SLOW_SHARE = 0.1;
const REFUSED_SHARE = 0.05;

export class SimDisk implements Messages {
  readonly #time: SimTime;
  readonly #seams: Seams;
  readonly #files = new Map<string, SimFile>();

  constructor(time: SimTime, seams: Seams) {
    this.#time = time;
    this.#seams = seams;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  open(tenantId: string, callId: string, epoch: number, sequence: number): MessageFile {
    const name = `messages/${tenantId}/${callId}-${epoch}-${sequence}.wav`;
    const file = new SimFile(name, this.#time, this.#seams, () => {
      if (this.#files.get(name) === file) this.#files.delete(name);
    });
    this.#files.set(name, file);
    return file;
  }

  /** The words in a file; null when there is none. */
  wordsIn(name: string): readonly string[] | null {
    return this.#files.get(name)?.words ?? null;
  }

  /** It would not take something of this call. */
  hasRefused(callId: string): boolean {
    return [...this.#files.values()].some(({ name, hasFailed }) => hasFailed && name.includes(`/${callId}-`));
  }
}

class SimFile implements MessageFile {
  readonly name: string;
  readonly words: string[] = [];
  hasFailed: boolean;
  isKept = false;
  readonly #time: SimTime;
  readonly #seams: Seams;
  readonly #remove: () => void;
  readonly #ear = new WordEar();
  #isClosed = false;

  constructor(name: string, time: SimTime, seams: Seams, remove: () => void) {
    this.name = name;
    this.#time = time;
    this.#seams = seams;
    this.#remove = remove;
    this.hasFailed = time.random.next() < REFUSED_SHARE;
  }

  write(audio: Uint8Array): void {
    if (this.#isClosed || this.hasFailed || this.#seams.keepsMessages === false) return;
    for (let at = 0; at + FRAME_BYTES <= audio.length; at += FRAME_BYTES) {
      const word = this.#ear.hear(audio, at);
      if (word !== null) this.words.push(word);
    }
  }

  keep(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isSlow = this.#time.random.next() < SLOW_SHARE;
    const [minMs, maxMs] = isSlow ? SLOW_MS : KEPT_MS;
    this.#time.setTimer(this.#time.between(minMs, maxMs), () => {
      this.isKept = !this.hasFailed;
    });
  }

  discard(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#remove();
  }
}
