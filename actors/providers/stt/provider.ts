/**
 * Speech to text: the one interface every recogniser stands behind.
 *
 * A stream belongs to one call and is never reused across callers; providers keep warm sockets so that
 * `open` costs no handshake. Events arrive on the shard's thread, never synchronously from inside a call
 * of ours. After `close()` or `onError` no further event fires.
 */
import type { ErrorCode, LumentraError } from "#runtime/errors";
import type { AudioFormat } from "#runtime/media";

export interface SttRequest {
  readonly callId: string;
  readonly model: string;
  /** BCP-47. */
  readonly language: string;
  readonly format: AudioFormat;
  /** Words to listen for: business and staff names. At most 100. */
  readonly keyterms: readonly string[];
}

export interface SttWord {
  readonly word: string;
  /** Milliseconds of audio since the stream's first byte, across reconnects. */
  readonly startMs: number;
  readonly endMs: number;
}

export interface SttTranscript {
  /** May be empty. */
  readonly text: string;
  readonly words: readonly SttWord[];
  /** Audio range it covers, milliseconds of audio since the stream's first byte. */
  readonly startMs: number;
  readonly endMs: number;
}

export interface SttEvents {
  /**
   * It takes audio as it comes from now on. Once, before every other event. What was written before waits
   * within a bound of seconds: who has more to say, such as a replay, begins here.
   */
  onReady?(): void;
  /** Replaces the interim before it; covers what is not final yet. */
  onInterim(transcript: SttTranscript): void;
  /**
   * Closes its time range. `endOfSpeech`: the recogniser itself believes the caller paused here
   * (Deepgram `speech_final`, Flux `EndOfTurn`).
   */
  onFinal(transcript: SttTranscript, endOfSpeech: boolean): void;
  /** The recogniser heard speech begin, at this much audio. */
  onSpeechStarted(atMs: number): void;
  /** The caller is probably done (Flux `EagerEndOfTurn`); never fires on recognisers without it. */
  onEagerEndOfTurn(transcript: SttTranscript): void;
  /** The last `onEagerEndOfTurn` was wrong: the caller went on. */
  onTurnResumed(): void;
  /** Another recogniser goes on, since this one failed with `code`; only of a chain of several. */
  onSwitched?(from: string, to: string, code: ErrorCode): void;
  /** Terminal. Codes: STT_*. */
  onError(error: LumentraError): void;
}

export interface SttStream {
  /**
   * Takes a copy or sends at once; the caller may reuse the buffer. Audio in the requested format.
   * `speech` false says that nobody speaks: it may wait for more and save a message. True says that
   * somebody does: a recogniser that then reports nothing for long has failed. Unsaid, neither is taken
   * for granted.
   */
  write(audio: Uint8Array, speech?: boolean): void;
  /** Sends what is batched: somebody stopped speaking and waits for the answer. */
  flush(): void;
  /** What was written last may have been the end of speech: whoever keeps more than a frame back sends it. */
  nudge(): void;
  /** Ask for the final of what was sent so far, now; what was batched is sent first. */
  finalize(): void;
  /** Idempotent. */
  close(): void;
}

export interface SttProvider {
  readonly name: string;
  /** Throws nothing: what goes wrong arrives as `onError`. */
  open(request: SttRequest, events: SttEvents): SttStream;
  /** Open the warm sockets this kind of request will want; resolves when the first is ready or has failed. */
  warm(request: Omit<SttRequest, "callId">): Promise<void>;
  /** Close every socket; open streams get `onError` with STT_CLOSED. */
  close(): Promise<void>;
}
