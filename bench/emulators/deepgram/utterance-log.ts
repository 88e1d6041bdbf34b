/** Keeps the log entry of a stream's present utterance: from its first word to the final that ends it. */
import type { EmulatorLog, SttUtteranceEntry } from "../log.js";
import type { HeardWord } from "./recognizer.js";

/** Who a stream is, in its messages and in the log. */
export interface StreamIdentity {
  readonly requestId: string;
  readonly modelUuid: string;
  readonly callId: string | null;
}

export class UtteranceLog {
  readonly #log: EmulatorLog;
  readonly #identity: StreamIdentity;
  readonly #flavour: SttUtteranceEntry["flavour"];
  #entry: SttUtteranceEntry | null = null;

  constructor(log: EmulatorLog, identity: StreamIdentity, flavour: SttUtteranceEntry["flavour"]) {
    this.#log = log;
    this.#identity = identity;
    this.#flavour = flavour;
  }

  heard(word: HeardWord): void {
    this.#entry ??= this.#log.add({
      kind: "stt" as const,
      callId: this.#identity.callId,
      requestId: this.#identity.requestId,
      flavour: this.#flavour,
      firstWordReceivedAtMs: word.receivedAtMs,
      speechEndReceivedAtMs: word.receivedAtMs,
      speechEndAudioMs: word.endMs,
      interimCount: 0,
      interim: null,
      eager: null,
      final: null,
    });
  }

  speechEnd(audioMs: number, receivedAtMs: number): void {
    if (this.#entry === null) return;
    this.#entry.speechEndAudioMs = audioMs;
    this.#entry.speechEndReceivedAtMs = receivedAtMs;
  }

  interim(text: string, plannedDelayMs: number, sentAtMs: number, dueAtMs: number): void {
    if (this.#entry === null) return;
    this.#entry.interimCount += 1;
    this.#entry.interim = { text, plannedDelayMs, sentAtMs, lateMs: Math.max(0, sentAtMs - dueAtMs) };
    this.#log.changed(this.#entry, "interim");
  }

  eager(text: string, plannedDelayMs: number, sentAtMs: number, dueAtMs: number): void {
    if (this.#entry === null) return;
    this.#entry.eager = { text, plannedDelayMs, sentAtMs, lateMs: Math.max(0, sentAtMs - dueAtMs) };
    this.#log.changed(this.#entry, "eager");
  }

  resumed(): void {
    if (this.#entry !== null) this.#log.changed(this.#entry, "resumed");
  }

  /** Ends the utterance. */
  final(text: string, plannedDelayMs: number, sentAtMs: number, dueAtMs: number): void {
    if (this.#entry === null) return;
    this.#entry.final = { text, plannedDelayMs, sentAtMs, lateMs: Math.max(0, sentAtMs - dueAtMs) };
    this.#log.changed(this.#entry, "final");
    this.#entry = null;
  }
}
