/**
 * OpenAI-compatible batch transcription (`/audio/transcriptions`): Whisper on a server of one's own, or on
 * Groq. It has no stream, so utterances are cut here and sent whole.
 *
 *   quiet: the last PRE_ROLL_MS are kept ─ speech ─> collected ─ quiet, finalize, too long ─> a piece
 *   pieces wait in a row, one request at a time ─> onFinal, in order
 *   while one is collected and none waits, what is there so far ─> onInterim
 *
 * Invariants
 * B1 every byte is in one piece or in silence nobody spoke in; pieces touch, and finals come in their order.
 * B2 at most one request at a time; a final is never behind an interim, which is given up for it.
 * B3 what waits is at most WAITING_MAX_MS of audio; beyond that the stream ends with STT_OVERFLOW.
 * B4 after `close()` or `onError` no event fires; `onError` fires at most once.
 */
import type { Clock, Random } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import { type Failure, type Failures, reasonOfStatus, retryAfterMs, systemCode } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import { type Exchange, type HttpAnswer, HttpTransport, type ResponseSink } from "../http-transport.js";
import type { Network } from "../network.js";
import type { WhisperSettings } from "../settings.js";
import type { SttEvents, SttProvider, SttRequest, SttStream, SttWord } from "./provider.js";
import { ReplayAudio } from "./replay-audio.js";
import { errorInAnswer, transcriptionBody, transcriptionOf } from "./whisper-request.js";

/** Before the voice activity noticed: a soft consonant. */
const PRE_ROLL_MS = 300;
/** From here on a pause between two words ends a piece. */
const PIECE_SOFT_MAX_MS = 12_000;
/** Whisper hears 30 s at once. */
const PIECE_MAX_MS = 25_000;
/** B3. */
const WAITING_MAX_MS = 40_000;
/** A caller's minute with every word's times is some 30 KB. */
const ANSWER_MAX_BYTES = 1024 * 1024;
/** In no audio by chance; the body is ours alone. */
const BOUNDARY = "lumentra-utterance-4f1c9b2e7d";

export interface WhisperDeps {
  readonly name: string;
  /** Of the API within the origin. */
  readonly path: string;
  readonly settings: WhisperSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

export class WhisperStt implements SttProvider {
  readonly name: string;
  readonly #deps: WhisperDeps;
  readonly #transport: HttpTransport;
  readonly #path: string;
  readonly #streams = new Set<WhisperStream>();
  #closed = false;

  constructor(deps: WhisperDeps) {
    this.name = deps.name;
    this.#deps = deps;
    const { url, requestsMax, connectTimeoutMs } = deps.settings;
    const address = new URL(url);
    this.#transport = new HttpTransport(address.origin, requestsMax, connectTimeoutMs, deps.network);
    const base = address.pathname.replace(/\/+$/, "");
    this.#path = `${base === "" ? deps.path : base}/audio/transcriptions`;
  }

  open(request: SttRequest, events: SttEvents): SttStream {
    const stream = new WhisperStream(request, events, {
      ...this.#deps,
      transport: this.#transport,
      path: this.#path,
      onEnded: () => void this.#streams.delete(stream),
    });
    if (this.#closed) {
      queueMicrotask(() => stream.failWith({ reason: "CLOSED", what: "is closed on this shard" }));
      return stream;
    }
    this.#streams.add(stream);
    queueMicrotask(() => stream.tellReady());
    return stream;
  }

  /** Nothing is held ahead: the caller's first word comes long before the first request. */
  warm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#closed = true;
    // On a later tick: no event runs inside a call of theirs.
    return Promise.resolve().then(() => {
      for (const stream of this.#streams)
        stream.failWith({ reason: "CLOSED", what: "is closed on this shard" });
      return this.#transport.close();
    });
  }
}

interface StreamDeps extends WhisperDeps {
  readonly transport: HttpTransport;
  readonly onEnded: () => void;
}

interface Piece {
  readonly audio: Buffer;
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: an interim of what is still collected. */
  readonly endOfSpeech: boolean | null;
}

class WhisperStream implements SttStream, Due {
  dueAtMs = NEVER;
  readonly #request: SttRequest;
  readonly #events: SttEvents;
  readonly #deps: StreamDeps;
  readonly #audio: ReplayAudio;
  /** Where the utterance began; null while nobody speaks. */
  #fromMs: number | null = null;
  /** B1: pieces touch. */
  #cutAtMs = 0;
  #shownThroughMs = 0;
  readonly #waiting: Piece[] = [];
  #waitingMs = 0;
  #running: { readonly piece: Piece; readonly exchange: Running } | null = null;
  #ended = false;

  constructor(request: SttRequest, events: SttEvents, deps: StreamDeps) {
    this.#request = request;
    this.#events = events;
    this.#deps = deps;
    this.#audio = new ReplayAudio(request.format, PIECE_MAX_MS + PRE_ROLL_MS);
    deps.sweep.add(this);
  }

  tellReady(): void {
    if (!this.#ended) this.#tell(() => this.#events.onReady?.());
  }

  write(audio: Uint8Array, speech?: boolean): void {
    if (this.#ended) return;
    const beforeMs = this.#audio.endMs;
    this.#audio.append(audio, speech);
    if (this.#fromMs === null) {
      if (speech === false) {
        this.#audio.dropBefore(this.#audio.endMs - PRE_ROLL_MS);
        return;
      }
      this.#fromMs = Math.floor(Math.max(this.#cutAtMs, this.#audio.startMs, beforeMs - PRE_ROLL_MS));
      this.#shownThroughMs = this.#fromMs;
      const saidFromMs = beforeMs;
      queueMicrotask(() => {
        if (!this.#ended) this.#tell(() => this.#events.onSpeechStarted(saidFromMs));
      });
    }
    if (speech === false) this.#cut(true);
    else if (this.#audio.endMs - this.#fromMs >= PIECE_MAX_MS) this.#cut(false);
    else this.#showIfDue();
  }

  /** A pause between words: a good place to end a long piece. */
  flush(): void {
    if (this.#ended || this.#fromMs === null) return;
    if (this.#audio.endMs - this.#fromMs >= PIECE_SOFT_MAX_MS) this.#cut(false);
  }

  /** Cut where there is a pause, whatever is kept back. */
  nudge(): void {}

  finalize(): void {
    if (!this.#ended && this.#fromMs !== null) this.#cut(true);
  }

  close(): void {
    this.#end(null);
  }

  failWith(failure: Failure): void {
    this.#end(failure);
  }

  onDue(): void {
    this.dueAtMs = NEVER;
    const detail = { phase: "firstEvent" } as const;
    this.failWith({ reason: "TIMEOUT", what: "did not transcribe an utterance in time", detail });
  }

  #cut(endOfSpeech: boolean): void {
    const piece = this.#pieceTo(this.#audio.endMs, endOfSpeech);
    this.#cutAtMs = piece.toMs;
    this.#audio.dropBefore(piece.toMs);
    this.#fromMs = endOfSpeech ? null : piece.toMs;
    this.#shownThroughMs = piece.toMs;
    this.#waiting.push(piece);
    this.#waitingMs += piece.toMs - piece.fromMs;
    if (this.#running?.piece.endOfSpeech === null) this.#abandon(); // B2
    if (this.#waitingMs > WAITING_MAX_MS) {
      // B3. On a later tick: we are inside `write`.
      queueMicrotask(() => this.failWith({ reason: "OVERFLOW", what: "transcribes slower than is spoken" }));
      return;
    }
    this.#sendNext();
  }

  #showIfDue(): void {
    const { interimEveryMs } = this.#deps.settings;
    if (interimEveryMs === 0 || this.#running !== null || this.#waiting.length > 0) return;
    if (this.#audio.endMs - this.#shownThroughMs < interimEveryMs) return;
    this.#shownThroughMs = this.#audio.endMs;
    this.#send(this.#pieceTo(this.#audio.endMs, null));
  }

  #pieceTo(toMs: number, endOfSpeech: boolean | null): Piece {
    const fromMs = this.#fromMs ?? toMs;
    const parts: Buffer[] = [];
    this.#audio.readFrom(fromMs, (part) => parts.push(Buffer.from(part)));
    return { audio: Buffer.concat(parts), fromMs, toMs, endOfSpeech };
  }

  #sendNext(): void {
    const piece = this.#waiting[0];
    if (piece !== undefined && this.#running === null) this.#send(piece);
  }

  #send(piece: Piece): void {
    const { settings, transport, path, clock } = this.#deps;
    const { contentType, body } = transcriptionBody(this.#request, piece.audio, BOUNDARY);
    const exchange = new Running(
      (text) => this.#answered(text),
      (failure) => this.failWith(failure),
      clock,
    );
    this.#running = { piece, exchange };
    this.dueAtMs = clock.nowMs() + settings.requestTimeoutMs;
    const authorization = settings.apiKey === "" ? {} : { authorization: `Bearer ${settings.apiKey}` };
    const headers = { "content-type": contentType, ...authorization };
    transport.send({ method: "POST", path, headers, body }, exchange);
  }

  #answered(text: string): void {
    const { piece } = this.#running!;
    this.#running = null;
    this.dueAtMs = NEVER;
    const error = errorInAnswer(text);
    if (error !== null) {
      const detail = { providerMessage: error };
      this.failWith({ reason: "STREAM_BROKEN", what: "reported an error for an answer", detail });
      return;
    }
    const words = transcriptionOf(text, piece.fromMs, piece.toMs);
    if (words === null) {
      this.failWith({ reason: "PROTOCOL_ERROR", what: "sent an answer that is no transcription" });
      return;
    }
    const transcript = { text: textOf(words), words, startMs: piece.fromMs, endMs: piece.toMs };
    if (piece.endOfSpeech === null) {
      this.#tell(() => this.#events.onInterim(transcript));
      return;
    }
    this.#waiting.shift();
    this.#waitingMs -= piece.toMs - piece.fromMs;
    this.#tell(() => this.#events.onFinal(transcript, piece.endOfSpeech === true));
    if (!this.#ended) this.#sendNext();
  }

  #abandon(): void {
    this.#running?.exchange.abandon();
    this.#running = null;
    this.dueAtMs = NEVER;
  }

  /** B4: the one way out. */
  #end(failure: Failure | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#abandon();
    this.#deps.sweep.remove(this);
    this.#waiting.length = 0;
    this.#deps.onEnded();
    if (failure === null) return;
    const error = this.#deps.failures.error(failure);
    this.#tell(() => this.#events.onError(error));
  }

  #tell(event: () => void): void {
    try {
      event();
    } catch (thrown) {
      logThrown(this.#deps.log, this.#deps.name, this.#request.callId, thrown);
    }
  }
}

/** One request's answer, as a whole. */
class Running implements ResponseSink {
  readonly #onText: (text: string) => void;
  readonly #onFailure: (failure: Failure) => void;
  readonly #clock: Clock;
  #exchange: Exchange | null = null;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(onText: (text: string) => void, onFailure: (failure: Failure) => void, clock: Clock) {
    this.#onText = onText;
    this.#onFailure = onFailure;
    this.#clock = clock;
  }

  abandon(): void {
    this.#exchange?.abort();
  }

  onExchange(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  onResponseData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= ANSWER_MAX_BYTES) this.#parts.push(Buffer.from(chunk));
    else this.#onFailure({ reason: "PROTOCOL_ERROR", what: "sent an answer too large for a transcription" });
  }

  onResponseEnd(): void {
    this.#onText(Buffer.concat(this.#parts).toString("utf8"));
  }

  onResponseBroken(error: Error): void {
    const detail = { systemCode: systemCode(error) };
    this.#onFailure({ reason: "STREAM_BROKEN", what: "broke off its answer", detail });
  }

  onRefused({ status, headers, text }: HttpAnswer): void {
    const waitMs = retryAfterMs(headers["retry-after"], this.#clock.unixMs());
    const requestId = headers["x-request-id"];
    const detail = {
      status,
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
      ...(requestId === undefined ? {} : { requestId }),
      providerMessage: errorInAnswer(text) ?? text,
    };
    const reason = reasonOfStatus(status, text);
    this.#onFailure({ reason, what: `refused an utterance (${status})`, detail });
  }

  onUnanswered(error: Error): void {
    const code = systemCode(error);
    const detail = { phase: "connect", systemCode: code } as const;
    if (code === "UND_ERR_CONNECT_TIMEOUT") {
      this.#onFailure({ reason: "TIMEOUT", what: "did not open a connection in time", detail });
    } else this.#onFailure({ reason: "CONNECT_FAILED", what: `could not be reached (${code})`, detail });
  }
}

function textOf(words: readonly SttWord[]): string {
  return words.map(({ word }) => word).join(" ");
}
