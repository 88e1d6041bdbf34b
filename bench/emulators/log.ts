/**
 * What the emulators did and when: one entry per recognised utterance, model request and speech context,
 * with monotonic instants (Clock.nowMs(), one origin for all processes of a machine), so that a bench can
 * take the emulated delays out of what it measured.
 *
 * An entry is added when its thing begins and its fields fill in as things happen; listeners hear of
 * each change in the same tick, which is where a test acts "right after the first token was sent".
 *
 * L1: the log never holds more than its capacity; the oldest entry goes first.
 */

/** Enough for 1,000 talking calls between two readings a minute apart; about 40 MB when full. */
export const LOG_CAPACITY_DEFAULT = 100_000;

export interface SttUtteranceEntry {
  readonly kind: "stt";
  readonly seq: number;
  /** From the query (`extra=call_id:…` or `tag`); null when the stream was opened ahead of its call. */
  readonly callId: string | null;
  /** `dg-request-id` of the stream. */
  readonly requestId: string;
  readonly flavour: "v1" | "flux" | "assemblyai" | "whisper";
  /** Instant the audio holding the end of the first word arrived. */
  readonly firstWordReceivedAtMs: number;
  /** Instant the last speech audio so far arrived. */
  speechEndReceivedAtMs: number;
  /** Position of that speech end in the stream's audio. */
  speechEndAudioMs: number;
  interimCount: number;
  /** The latest interim: drawn delay after its last word's audio had arrived, and when it was sent. */
  interim: SttShown | null;
  /** Flux: the latest EagerEndOfTurn. `plannedDelayMs` counts from `speechEndReceivedAtMs`. */
  eager: SttShown | null;
  /** The final with which the utterance ended. `plannedDelayMs` counts from `speechEndReceivedAtMs`. */
  final: SttShown | null;
}

/** What a recogniser said of an utterance, and when. */
export interface SttShown {
  readonly text: string;
  readonly plannedDelayMs: number;
  readonly sentAtMs: number;
  /** After the instant it was due: the emulator's own lateness, which nobody should take for the node's. */
  readonly lateMs?: number;
}

export interface LlmRequestEntry {
  readonly kind: "llm";
  readonly seq: number;
  /** The request's `user` field. */
  callId: string | null;
  /** Whose server was asked. */
  readonly provider: string;
  readonly requestId: string;
  readonly receivedAtMs: number;
  /** Last user message, to tell requests of one call apart. */
  prompt: string;
  /** HTTP status answered; 0 until then. */
  status: number;
  /** Drawn delay from `receivedAtMs` to the first token. */
  plannedFirstTokenMs: number;
  firstTokenSentAtMs: number | null;
  doneAtMs: number | null;
  /** What was sent so far. */
  reply: string;
  toolCalls: string[];
  /** The client went away before the end. */
  aborted: boolean;
}

export interface TtsContextEntry {
  readonly kind: "tts";
  readonly seq: number;
  /** The context id up to its last `.`, `/`, `:` or `#`: clients put the call's id first. */
  readonly callId: string;
  readonly contextId: string;
  readonly firstTextAtMs: number;
  /** Drawn delay from `firstTextAtMs` to the first audio. */
  plannedMs: number;
  firstAudioSentAtMs: number | null;
  lastAudioSentAtMs: number | null;
  doneAtMs: number | null;
  cancelledAtMs: number | null;
  /** Everything spoken so far. */
  text: string;
  audioMs: number;
}

export type LogEntry = SttUtteranceEntry | LlmRequestEntry | TtsContextEntry;

/** What just happened to the entry. */
export type LogChange =
  | "started"
  | "interim"
  | "eager"
  | "resumed"
  | "final"
  | "refused"
  | "firstToken"
  | "firstAudio"
  | "done"
  | "aborted"
  | "cancelled"
  | "failed";

export type LogListener = (entry: LogEntry, change: LogChange) => void;

/** An entry before it has its number. */
export type NewLogEntry =
  | Omit<SttUtteranceEntry, "seq">
  | Omit<LlmRequestEntry, "seq">
  | Omit<TtsContextEntry, "seq">;

export class EmulatorLog {
  readonly #capacity: number;
  readonly #listeners = new Set<LogListener>();
  #entries: LogEntry[] = [];
  #oldest = 0;
  #nextSeq = 1;

  constructor(capacity: number = LOG_CAPACITY_DEFAULT) {
    this.#capacity = capacity;
  }

  /** Oldest first. Entries are live: fields fill in later. */
  get entries(): readonly LogEntry[] {
    return [...this.#entries.slice(this.#oldest), ...this.#entries.slice(0, this.#oldest)];
  }

  /** Entries numbered after `seq`; to read on, pass the last one's number. */
  since(seq: number): readonly LogEntry[] {
    return this.entries.filter((entry) => entry.seq > seq);
  }

  stt(callId?: string): readonly SttUtteranceEntry[] {
    return this.entries.filter(
      (entry): entry is SttUtteranceEntry => entry.kind === "stt" && isOf(entry, callId),
    );
  }

  llm(callId?: string): readonly LlmRequestEntry[] {
    return this.entries.filter(
      (entry): entry is LlmRequestEntry => entry.kind === "llm" && isOf(entry, callId),
    );
  }

  tts(callId?: string): readonly TtsContextEntry[] {
    return this.entries.filter(
      (entry): entry is TtsContextEntry => entry.kind === "tts" && isOf(entry, callId),
    );
  }

  /** Calls back in the tick of each change. Returns the function that ends it. */
  on(listener: LogListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves with the first entry, from now on, for which the condition holds. */
  until(condition: (entry: LogEntry, change: LogChange) => boolean): Promise<LogEntry> {
    return new Promise((resolve) => {
      const off = this.on((entry, change) => {
        if (!condition(entry, change)) return;
        off();
        resolve(entry);
      });
    });
  }

  clear(): void {
    this.#entries = [];
    this.#oldest = 0;
  }

  /** @internal */
  add<Entry extends NewLogEntry>(fields: Entry): Entry & { readonly seq: number } {
    const entry: Entry & { readonly seq: number } = { ...fields, seq: this.#nextSeq };
    this.#nextSeq += 1;
    if (this.#entries.length < this.#capacity) this.#entries.push(entry);
    else {
      // L1
      this.#entries[this.#oldest] = entry;
      this.#oldest = (this.#oldest + 1) % this.#capacity;
    }
    this.changed(entry, "started");
    return entry;
  }

  /** @internal */
  changed(entry: LogEntry, change: LogChange): void {
    for (const listener of this.#listeners) listener(entry, change);
  }
}

function isOf(entry: LogEntry, callId: string | undefined): boolean {
  return callId === undefined || entry.callId === callId;
}
