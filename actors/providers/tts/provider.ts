/**
 * Text to speech: the one interface every voice stands behind. One stream is one reply (one prosody);
 * text is pushed clause by clause while the model still writes. Events arrive on the shard's thread,
 * never synchronously from inside a call of ours. After `cancel()`, `onDone` or `onError` no event fires.
 */
import type { Clock, Random } from "#runtime/actor";
import type { ErrorCode, LumentraError } from "#runtime/errors";
import type { AudioFormat } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import type { DueSweep } from "../due-sweep.js";
import type { Failures } from "../failures.js";
import type { Network } from "../network.js";

/** Who speaks, and how. */
export interface TtsVoice {
  readonly model: string;
  readonly voice: string;
  /** BCP-47 primary tag: `en`, `es`, `fr`. */
  readonly language: string;
  /** What the leg carries; the provider delivers exactly this. */
  readonly format: AudioFormat;
}

export interface TtsRequest extends TtsVoice {
  readonly callId: string;
}

export interface TtsWord {
  /** As it stood in the text, punctuation included. */
  readonly word: string;
  /** Milliseconds of audio since the stream's first byte. */
  readonly startMs: number;
  readonly endMs: number;
}

export interface TtsEvents {
  /** In order. The view is only valid during the call. Any length, whole samples. */
  onAudio(audio: Uint8Array): void;
  /** When each word is spoken; may come before or after its audio, always before `onDone`. */
  onWords(words: readonly TtsWord[]): void;
  /** Terminal: all audio of all pushed text was delivered. */
  onDone(): void;
  /** Another voice goes on, since this one failed with `code`; only of a chain of several. */
  onSwitched?(from: string, to: string, code: ErrorCode): void;
  /** Terminal. Codes: TTS_*. An end without `done` is an error. */
  onError(error: LumentraError): void;
}

export interface TtsStream {
  /** Pieces are concatenated verbatim: bring your own spaces. */
  push(text: string): void;
  /** No more text follows. Idempotent. */
  finish(): void;
  /** Idempotent. */
  cancel(): void;
}

export interface TtsProvider {
  readonly name: string;
  speak(request: TtsRequest, events: TtsEvents): TtsStream;
  /** Share of what may be spoken at once that is spoken now, 0 to 1. @default 0: it has no bound of its own */
  readonly usage?: number;
  /** Makes ready what the first reply in this voice would wait for; resolves although it failed. */
  warm(voice: TtsVoice): Promise<void>;
  close(): Promise<void>;
}

/** What every voice is built with. */
export interface TtsDeps {
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}
