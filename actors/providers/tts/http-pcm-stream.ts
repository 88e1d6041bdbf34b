/**
 * One reply spoken by a server that answers a text with its audio: a request for each clause or few, in order,
 * the next one asked for while the one before is being delivered.
 *
 *   push() -> pending text -> next (asked ahead, kept) -> current (delivered) -> done
 *
 * Invariants:
 * R1  Audio is delivered in the order of the text, a request at a time; at most one more is under way, and
 *     what it brings is kept up to AHEAD_MAX_BYTES, past which its socket is not read.
 * R2  `onDone` only when every answer was whole. A failure is told when everything before it was delivered:
 *     audio and words up to then are those of the text, from its beginning, without a gap.
 * R3  After `cancel()`, `onDone` or `onError` no event fires, and none runs inside a call of the owner's.
 * R4  There are no word times on the wire: they are estimated from each answer's length when it is whole.
 */
import { endsClause } from "#actors/speech";
import type { LumentraError } from "#runtime/errors";
import { bytesPerMs } from "#runtime/media";
import { type Due, NEVER } from "../due-sweep.js";
import { type Failure, reasonOfStatus, retryAfterMs, systemCode } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { Exchange, HttpAnswer, HttpTransport, ResponseSink } from "../http-transport.js";
import type { HttpPcmSettings } from "../settings.js";
import type { HttpVoice } from "./http-pcm-voices.js";
import { LegAudio, PcmBody } from "./pcm-body.js";
import type { TtsDeps, TtsEvents, TtsRequest, TtsStream } from "./provider.js";
import { estimateWords } from "./word-estimates.js";

/** Text that waits: a long reply is 2,000 characters. */
const PENDING_TEXT_MAX_CHARS = 16 * 1024;
/** Text of one request: some 30 s of speech, and below OpenAI's 4,096 characters. */
const REQUEST_TEXT_MAX_CHARS = 500;
/** Of an answer that is not yet due: 20 s at 24 kHz. */
const AHEAD_MAX_BYTES = 1024 * 1024;
/** Text without the end of a clause is asked for after this long, when nothing is being spoken. */
const CLAUSE_WAIT_MS = 200;

export interface HttpPcmStreamDeps extends TtsDeps {
  readonly voice: HttpVoice;
  readonly settings: HttpPcmSettings;
  readonly transport: HttpTransport;
  /** Told once, when it needs nothing more. */
  readonly onEnded: (stream: HttpPcmStream) => void;
}

export class HttpPcmStream implements TtsStream, Due {
  dueAtMs = NEVER;
  readonly #request: TtsRequest;
  readonly #events: TtsEvents;
  readonly #deps: HttpPcmStreamDeps;
  readonly #leg: LegAudio;
  #pendingText = "";
  #finished = false;
  #ended = false;
  #current: Answer | null = null;
  #next: Answer | null = null;
  #requestNumber = 0;
  /** Audio of the answers whose words were told. */
  #wordsEndMs = 0;

  constructor(request: TtsRequest, events: TtsEvents, deps: HttpPcmStreamDeps) {
    this.#request = request;
    this.#events = events;
    this.#deps = deps;
    this.#leg = new LegAudio(request.format, (audio) => {
      if (!this.#ended) this.#guarded(() => events.onAudio(audio));
    });
    deps.sweep.add(this);
  }

  // TtsStream

  push(text: string): void {
    if (this.#ended || this.#finished) return;
    this.#pendingText += text;
    if (this.#pendingText.length > PENDING_TEXT_MAX_CHARS) {
      this.failSoon({ reason: "OVERFLOW", what: "has more text waiting than we keep" });
    } else this.#ask(false);
  }

  finish(): void {
    if (this.#ended || this.#finished) return;
    this.#finished = true;
    this.#ask(false);
    if (this.#current === null) queueMicrotask(() => this.#end(null, true));
  }

  cancel(): void {
    this.#end(null, false);
  }

  // its provider

  fail(failure: Failure): void {
    if (!this.#ended) this.#end(this.#deps.failures.error(failure), false);
  }

  failSoon(failure: Failure): void {
    const error = this.#deps.failures.error(failure);
    this.#end(null, false);
    queueMicrotask(() => this.#report(error));
  }

  onDue(): void {
    if (this.#current === null) {
      this.dueAtMs = NEVER;
      this.#ask(true);
      return;
    }
    const phase = this.#current.body.sampleCount === 0 ? "firstEvent" : "betweenEvents";
    const what = phase === "firstEvent" ? "did not speak in time" : "stalled in a reply";
    this.fail({ reason: "TIMEOUT", what, detail: { phase } });
  }

  // its answers

  onData(answer: Answer, piece: Buffer): void {
    if (answer !== this.#current) answer.keep(piece);
    else this.#deliver(answer, piece);
  }

  /** Whole, or failed (`answer.failure`). */
  onAnswered(answer: Answer): void {
    if (answer === this.#current) this.#settle();
  }

  /** R1. Requests for what may be spoken, as far as one ahead. `now`: without waiting for a clause's end. */
  #ask(now: boolean): void {
    while (this.#next === null && !this.#ended) {
      // Once something is being spoken, nothing is urgent any more.
      const text = this.#takeText(this.#finished || (now && this.#current === null));
      if (text === "") break;
      const { voice, settings, transport } = this.#deps;
      this.#requestNumber += 1;
      const body = new PcmBody(this.#leg, voice.body, voice.rateHz);
      const answer = new Answer(text, body, this, this.#deps.clock);
      if (this.#current === null) this.#begin(answer);
      else this.#next = answer;
      const id = `${this.#request.callId}.${this.#requestNumber}`;
      transport.send(voice.request(settings, this.#request, text, id), answer);
    }
    const isWaiting = this.#current === null && this.#pendingText.trim() !== "";
    if (isWaiting && this.dueAtMs === NEVER) this.dueAtMs = this.#deps.clock.nowMs() + CLAUSE_WAIT_MS;
  }

  /** Whole clauses of what is pending; whole words, or at the end all of it, when it is `due`. */
  #takeText(due: boolean): string {
    const text = this.#pendingText;
    if (text.trim() === "") return "";
    const end = this.#finished ? text.length : spokenEnd(text, due);
    const length = end <= REQUEST_TEXT_MAX_CHARS ? end : wordsEnd(text, REQUEST_TEXT_MAX_CHARS);
    this.#pendingText = text.slice(length);
    return text.slice(0, length);
  }

  #begin(answer: Answer): void {
    this.#current = answer;
    this.dueAtMs = this.#deps.clock.nowMs() + this.#deps.settings.firstAudioTimeoutMs;
  }

  #deliver(answer: Answer, piece: Buffer): void {
    const problem = answer.body.push(piece);
    if (this.#ended) return;
    this.dueAtMs = this.#deps.clock.nowMs() + this.#deps.settings.betweenEventsTimeoutMs;
    if (problem !== null) this.#failAnswer(`sent audio that ${problem}`);
  }

  /** The current answer is over: its words, and on to the next, which may be over too. */
  #settle(): void {
    for (let answer = this.#current; answer !== null && answer.isOver; answer = this.#current) {
      if (answer.failure !== null) {
        this.fail(answer.failure);
        return;
      }
      const problem = answer.body.end();
      if (problem !== null) {
        this.#failAnswer(`sent audio that ${problem}`);
        return;
      }
      this.#tellWords(answer);
      if (this.#ended) return;
      this.#goOn();
    }
  }

  /** R4. */
  #tellWords(answer: Answer): void {
    const perMs = bytesPerMs(this.#request.format);
    const isLast = this.#next === null && this.#finished && this.#pendingText.trim() === "";
    if (isLast) this.#leg.end();
    const endMs = this.#leg.bytes / perMs;
    const startMs = this.#wordsEndMs;
    this.#wordsEndMs = endMs;
    const words = estimateWords(answer.text, startMs, endMs - startMs);
    if (words.length > 0 && !this.#ended) this.#guarded(() => this.#events.onWords(words));
  }

  #goOn(): void {
    const next = this.#next;
    this.#current = null;
    this.#next = null;
    this.dueAtMs = NEVER;
    if (next !== null) {
      this.#begin(next);
      for (const piece of next.release()) {
        if (!this.#ended) this.#deliver(next, piece);
      }
    }
    if (this.#ended) return;
    this.#ask(false);
    if (this.#current === null && this.#finished) this.#end(null, true);
  }

  #failAnswer(what: string): void {
    this.fail({ reason: "PROTOCOL_ERROR", what });
  }

  /** R3: the one way out. `done` when complete, `error` when it failed, neither when cancelled. */
  #end(error: LumentraError | null, done: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const answer of [this.#current, this.#next]) answer?.abort();
    this.#current = null;
    this.#next = null;
    this.#pendingText = "";
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#deps.onEnded(this);
    if (error !== null || done) this.#report(error);
  }

  #report(error: LumentraError | null): void {
    this.#guarded(() => {
      if (error !== null) this.#events.onError(error);
      else this.#events.onDone();
    });
  }

  #guarded(tell: () => void): void {
    try {
      tell();
    } catch (thrown) {
      logThrown(this.#deps.log, this.#deps.voice.name, this.#request.callId, thrown);
    }
  }
}

/** One request's answer: kept while it is not its turn. */
class Answer implements ResponseSink {
  failure: Failure | null = null;
  isOver = false;
  readonly text: string;
  readonly body: PcmBody;
  readonly #stream: HttpPcmStream;
  readonly #clock: TtsDeps["clock"];
  #exchange: Exchange | null = null;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #isPaused = false;

  constructor(text: string, body: PcmBody, stream: HttpPcmStream, clock: TtsDeps["clock"]) {
    this.text = text;
    this.body = body;
    this.#stream = stream;
    this.#clock = clock;
  }

  keep(piece: Buffer): void {
    this.#kept.push(Buffer.from(piece));
    this.#keptBytes += piece.length;
    if (this.#keptBytes < AHEAD_MAX_BYTES || this.#isPaused) return;
    this.#isPaused = true;
    this.#exchange?.pause();
  }

  /** Its turn has come: what was kept, and the socket is read again. */
  release(): readonly Buffer[] {
    if (this.#isPaused) this.#exchange?.resume();
    this.#isPaused = false;
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    return kept;
  }

  abort(): void {
    this.#kept = [];
    if (!this.isOver) this.#exchange?.abort();
  }

  onExchange(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  onResponseData(piece: Buffer): void {
    this.#stream.onData(this, piece);
  }

  onResponseEnd(): void {
    this.#over(null);
  }

  onResponseBroken(error: Error): void {
    const code = systemCode(error);
    this.#over({
      reason: "STREAM_BROKEN",
      what: `broke off a reply (${code})`,
      detail: { systemCode: code },
    });
  }

  onRefused({ status, headers, text }: HttpAnswer): void {
    const waitMs = retryAfterMs(headers["retry-after"], this.#clock.unixMs());
    const requestId = headers["x-request-id"];
    this.#over({
      reason: reasonOfStatus(status, text),
      what: `refused to speak (${status})`,
      detail: {
        status,
        providerMessage: text,
        ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
        ...(requestId === undefined ? {} : { requestId }),
      },
    });
  }

  onUnanswered(error: Error): void {
    const code = systemCode(error);
    const reason = code === "UND_ERR_CONNECT_TIMEOUT" ? "TIMEOUT" : "CONNECT_FAILED";
    this.#over({ reason, what: `could not be reached (${code})`, detail: { systemCode: code } });
  }

  #over(failure: Failure | null): void {
    this.isOver = true;
    this.failure = failure;
    this.#stream.onAnswered(this);
  }
}

/** Where the last clause ends that is surely whole; the last word, when it is `due`. */
function spokenEnd(text: string, due: boolean): number {
  let end = 0;
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    const wordEnd = index + word.length;
    // At the very end, only punctuation after a letter closes a word: after a digit it may be half a number.
    const isWhole = wordEnd < text.length || /\p{L}[.,;:!?…]["'”’)\]]?$/u.test(word);
    if (isWhole && (due || endsClause(word))) end = wordEnd;
  }
  // Half a word alone, and nothing came after it for so long: it is all there is.
  return end === 0 && due ? text.length : end;
}

/** The last end of a word at or before `max`. */
function wordsEnd(text: string, max: number): number {
  const end = text.slice(0, max + 1).search(/\s\S*$/);
  return end > 0 ? end : max;
}
