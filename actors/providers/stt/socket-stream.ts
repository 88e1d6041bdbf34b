/**
 * One call's recogniser stream on one session: batches audio, maps the vendor's time to the call's,
 * watches for a recogniser gone quiet, and ends once.
 *
 *   write() -> batch (20 ms in speech, 100 ms in silence, 240 when it lasts) -> session, or `waiting` until the session is open
 *
 * Invariants:
 * D1  Audio leaves in the order it came and none is lost: what came before the socket was open follows
 *     first, and what cannot be kept ends the stream (STT_OVERFLOW) instead of leaving a gap.
 * D2  After `close()` or `onError` no event fires; `onError` fires at most once.
 * D3  Event times are milliseconds of the call's own audio: `#offsetMs` takes out what was sent ahead of it
 *     and would add what an earlier session had heard.
 */
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import { bytesPerMs } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { SttEvents, SttRequest, SttStream, SttWord } from "./provider.js";
import type {
  SessionOwner,
  SocketSettings,
  SttDialect,
  SttReader,
  SttSession,
  TranscriptSink,
} from "./stt-dialect.js";
import { KEEP_ALIVE_INTERVAL_MS } from "./warm-pool.js";

/** Audio that may wait for a socket: longer than its connect timeout, so that one ends the wait, not this. */
const WAITING_MAX_MS = 5_000;
/** Audio that a recogniser which takes no more than real time may be behind with: a replay of half a minute. */
const BEHIND_MAX_MS = 32_000;
/** Audio the kernel has not taken from an open socket: 5 s behind, the transcripts are of no use any more. */
const UNSENT_MAX_MS = 5_000;
/** Speech sent without an answer before `speechTimeoutMs` counts: a door that slams is no speech. */
const SPEECH_OWES_ANSWER_MS = 1_000;
/** Silence after which the pieces become larger still: longer than a caller pauses who has more to say. */
const QUIET_AFTER_MS = 2_000;
/**
 * Without any message while a final is owed: words were shown and are not final yet, or the final of speech that nothing
 * was said about was asked for. Vendors close words a second or two after the last of them, and say something each second
 * before that. A false alarm costs a dial and a replay; a stream that went deaf in the caller's last words costs the
 * words, which may be too short to owe an answer by themselves.
 */
const FINAL_OWED_MS = 4_000;
/** Between looks at the deadlines; they are seconds long. */
const WATCH_INTERVAL_MS = 500;

export interface SocketStreamDeps {
  readonly settings: SocketSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  /** All of the shard's, this one included. */
  readonly streams: { readonly size: number };
  /** Told once, when the stream has ended. */
  readonly onEnded: (stream: SocketStream) => void;
}

export class SocketStream implements SttStream, SessionOwner, TranscriptSink, Due {
  dueAtMs: number;
  readonly #deps: SocketStreamDeps;
  readonly #dialect: SttDialect;
  readonly #callId: string;
  readonly #events: SttEvents;
  readonly #reader: SttReader;
  readonly #swapsBytes: boolean;
  readonly #bytesPerMs: number;
  readonly #batch: Buffer;
  #batchBytes = 0;
  /** Silence written since the last speech. */
  #quietMs = 0;
  /** A flush found less than a message. */
  #flushWaits = false;
  #session: SttSession | null = null;
  /** Whole batches that came before the socket was open, or further ahead of time than it takes them. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #finalizeWaits = false;
  #ended = false;
  #offsetMs = 0;
  #openAtMs = 0;
  #sentBytes = 0;
  #lastSentAtMs: number;
  /** When the oldest audio since the vendor's last message was sent; NEVER when none was. */
  #unansweredSinceMs = NEVER;
  #unansweredSpeechMs = 0;
  /** Since when a final is owed, or the last message before it; NEVER when none is. */
  #owesFinalSinceMs = NEVER;

  constructor(dialect: SttDialect, request: SttRequest, events: SttEvents, deps: SocketStreamDeps) {
    this.#dialect = dialect;
    this.#deps = deps;
    this.#callId = request.callId;
    this.#events = events;
    this.#reader = dialect.createReader();
    this.#swapsBytes = request.format.encoding === "l16be";
    this.#bytesPerMs = bytesPerMs(request.format);
    // Slow: of Node's shared slab, 8 KiB, the rest would stay with this one as long as the stream lasts.
    this.#batch = Buffer.allocUnsafeSlow(dialect.quietBatchMs * this.#bytesPerMs);
    this.#lastSentAtMs = deps.clock.nowMs();
    this.dueAtMs = this.#lastSentAtMs + WATCH_INTERVAL_MS;
    deps.sweep.add(this);
  }

  /** Starts on a session: ready from the pool, or still opening. */
  attach(session: SttSession): void {
    this.#session = session;
    session.adopt(this);
    if (!session.isReady) return;
    this.#begin(session);
    // On a later tick: we are inside `open`.
    queueMicrotask(() => this.#tellReady());
  }

  // SttStream

  write(audio: Uint8Array, speech?: boolean): void {
    if (this.#ended) return;
    const pieceBytes = this.#pieceMs(speech) * this.#bytesPerMs;
    let offset = 0;
    while (offset < audio.length) {
      const room = Math.min(this.#batch.length - this.#batchBytes, audio.length - offset);
      const piece = room === audio.length ? audio : audio.subarray(offset, offset + room);
      this.#batch.set(piece, this.#batchBytes);
      this.#batchBytes += room;
      offset += room;
      if (this.#batchBytes >= pieceBytes) this.#sendBatch();
    }
    const audioMs = audio.length / this.#bytesPerMs;
    this.#quietMs = speech === false ? this.#quietMs + audioMs : 0;
    if (speech === true) this.#unansweredSpeechMs += audioMs;
  }

  flush(): void {
    if (this.#ended || this.#batchBytes === 0) return;
    if (this.#batchBytes >= this.#dialect.messageMinMs * this.#bytesPerMs) this.#sendBatch();
    else this.#flushWaits = true; // the next frame or two make it a message
  }

  /** Only where pieces are larger for the crowd's sake: others are as their vendor wants them. */
  nudge(): void {
    if (this.#speechBatchMs() > this.#dialect.speechBatchMs) this.flush();
  }

  finalize(): void {
    if (this.#ended) return;
    this.flush();
    if (this.#unansweredSpeechMs > 0 && this.#owesFinalSinceMs === NEVER)
      this.#owesFinalSinceMs = this.#deps.clock.nowMs();
    this.#finalizeWaits = true;
    this.#finalizeIfSent();
  }

  close(): void {
    this.#end(null);
  }

  /** Ends the stream with an error, as if the provider had failed. */
  failWith(failure: Failure): void {
    this.#end(this.#deps.failures.error(failure));
  }

  // SessionOwner

  onReady(): void {
    this.#begin(this.#session!);
    this.#tellReady();
  }

  onMessage(message: unknown): void {
    if (this.#ended) return;
    this.#unansweredSinceMs = NEVER;
    this.#unansweredSpeechMs = 0;
    if (typeof message !== "object" || message === null) {
      this.failed({ reason: "PROTOCOL_ERROR", what: "sent a message that is not a JSON object" });
      return;
    }
    try {
      this.#reader.read(message as Readonly<Record<string, unknown>>, this);
    } catch (error) {
      this.#logThrown(error);
    }
  }

  onEnd(failure: Failure): void {
    this.#end(this.#deps.failures.error(failure));
  }

  // TranscriptSink

  interim(text: string, words: readonly SttWord[], startMs: number, endMs: number): void {
    if (this.#ended) return;
    this.#owesFinalSinceMs = text === "" ? NEVER : this.#deps.clock.nowMs();
    this.#events.onInterim(this.#transcript(text, words, startMs, endMs));
  }

  final(text: string, words: readonly SttWord[], startMs: number, endMs: number, endOfSpeech: boolean): void {
    if (this.#ended) return;
    this.#owesFinalSinceMs = NEVER;
    this.#events.onFinal(this.#transcript(text, words, startMs, endMs), endOfSpeech);
  }

  speechStarted(atMs: number): void {
    if (!this.#ended) this.#events.onSpeechStarted(this.#callMs(atMs));
  }

  eagerEndOfTurn(text: string, words: readonly SttWord[], startMs: number, endMs: number): void {
    if (!this.#ended) this.#events.onEagerEndOfTurn(this.#transcript(text, words, startMs, endMs));
  }

  turnResumed(): void {
    if (!this.#ended) this.#events.onTurnResumed();
  }

  failed(failure: Failure): void {
    this.failWith(failure);
  }

  // Due

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + WATCH_INTERVAL_MS;
    if (this.#session?.isReady !== true) return; // the socket's own connect deadline counts
    this.#sendWaiting(this.#session);
    if (this.#isStalled(nowMs)) {
      const detail = { phase: "betweenEvents" } as const;
      this.failWith({ reason: "TIMEOUT", what: "hears audio but reports nothing", detail });
      return;
    }
    if (nowMs - this.#lastSentAtMs < KEEP_ALIVE_INTERVAL_MS) return;
    this.#lastSentAtMs = nowMs;
    this.#session.keepAlive();
  }

  #isStalled(nowMs: number): boolean {
    const { speechTimeoutMs, silenceTimeoutMs } = this.#deps.settings;
    const quietMs = nowMs - this.#unansweredSinceMs;
    const owesAnswer = this.#unansweredSpeechMs >= SPEECH_OWES_ANSWER_MS;
    if (quietMs >= silenceTimeoutMs || (owesAnswer && quietMs >= speechTimeoutMs)) return true;
    return quietMs >= FINAL_OWED_MS && nowMs - this.#owesFinalSinceMs >= FINAL_OWED_MS;
  }

  #begin(session: SttSession): void {
    this.#offsetMs = -session.leadInMs;
    this.#openAtMs = this.#deps.clock.nowMs();
    this.#sendWaiting(session);
    this.#finalizeIfSent();
  }

  #tellReady(): void {
    if (this.#ended) return;
    try {
      this.#events.onReady?.();
    } catch (thrown) {
      this.#logThrown(thrown);
    }
  }

  #pieceMs(speech: boolean | undefined): number {
    const { idleBatchMs, quietBatchMs, messageMinMs } = this.#dialect;
    if (this.#flushWaits) return messageMinMs;
    if (speech !== false) return this.#speechBatchMs();
    return this.#quietMs < QUIET_AFTER_MS ? idleBatchMs : quietBatchMs;
  }

  #speechBatchMs(): number {
    const { streams, settings } = this.#deps;
    const isCrowded = streams.size >= settings.crowdedStreams;
    return isCrowded ? this.#dialect.crowdedBatchMs : this.#dialect.speechBatchMs;
  }

  #sendBatch(): void {
    const bytes = this.#batchBytes;
    // Never an empty message: some take it for the end of the stream.
    if (bytes === 0) return;
    this.#batchBytes = 0;
    this.#flushWaits = false;
    const audio = bytes === this.#batch.length ? this.#batch : this.#batch.subarray(0, bytes);
    if (this.#swapsBytes) audio.swap16();
    const session = this.#session;
    if (session === null || !session.isReady) {
      this.#keep(audio, WAITING_MAX_MS, "has no open connection for the audio that waits");
      return;
    }
    this.#sendWaiting(session);
    if (this.#waiting.length > 0 || !this.#mayFollow(bytes)) {
      this.#keep(audio, BEHIND_MAX_MS, "is too far behind with what was said");
      return;
    }
    if (session.bufferedBytes > UNSENT_MAX_MS * this.#bytesPerMs) {
      this.#overflow("does not take audio as fast as it is spoken");
      return;
    }
    session.sendAudio(audio);
    this.#noteSent(bytes);
    this.#finalizeIfSent();
  }

  /** D1: first what came first, as far as it is taken. */
  #sendWaiting(session: SttSession): void {
    let sent = 0;
    while (sent < this.#waiting.length && this.#mayFollow(this.#waiting[sent]!.length)) {
      const audio = this.#waiting[sent]!;
      session.sendAudio(audio);
      this.#noteSent(audio.length);
      this.#waitingBytes -= audio.length;
      sent += 1;
    }
    if (sent > 0) this.#waiting.splice(0, sent);
    if (sent > 0) this.#finalizeIfSent();
  }

  #mayFollow(bytes: number): boolean {
    const { aheadMaxMs } = this.#dialect;
    const afterMs = (this.#sentBytes + bytes) / this.#bytesPerMs;
    return afterMs <= this.#deps.clock.nowMs() - this.#openAtMs + aheadMaxMs;
  }

  #finalizeIfSent(): void {
    if (!this.#finalizeWaits || this.#session?.isReady !== true) return;
    if (this.#flushWaits || this.#waiting.length > 0) return;
    this.#finalizeWaits = false;
    this.#session.finalize();
  }

  /** D1. */
  #keep(audio: Buffer, maxMs: number, what: string): void {
    if (this.#waitingBytes + audio.length > maxMs * this.#bytesPerMs) {
      this.#overflow(what);
      return;
    }
    this.#waiting.push(Buffer.from(audio));
    this.#waitingBytes += audio.length;
  }

  /** On a later tick: we are inside `write` or `finalize`. */
  #overflow(what: string): void {
    const error = this.#deps.failures.error({ reason: "OVERFLOW", what });
    this.#end(null);
    queueMicrotask(() => this.#reportError(error));
  }

  #noteSent(bytes: number): void {
    this.#sentBytes += bytes;
    this.#lastSentAtMs = this.#deps.clock.nowMs();
    if (this.#unansweredSinceMs === NEVER) this.#unansweredSinceMs = this.#lastSentAtMs;
  }

  /** D3. */
  #transcript(text: string, words: readonly SttWord[], startMs: number, endMs: number) {
    const mapped = words.map((word) => ({
      word: word.word,
      startMs: this.#callMs(word.startMs),
      endMs: this.#callMs(word.endMs),
    }));
    return { text, words: mapped, startMs: this.#callMs(startMs), endMs: this.#callMs(endMs) };
  }

  #callMs(vendorMs: number): number {
    return Math.max(0, vendorMs + this.#offsetMs);
  }

  /** D2: the one way out. */
  #end(error: LumentraError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#session?.release();
    this.#session = null;
    this.#waiting = [];
    this.#deps.onEnded(this);
    if (error !== null) this.#reportError(error);
  }

  #reportError(error: LumentraError): void {
    try {
      this.#events.onError(error);
    } catch (thrown) {
      this.#logThrown(thrown);
    }
  }

  #logThrown(error: unknown): void {
    logThrown(this.#deps.log, this.#dialect.name, this.#callId, error);
  }
}
