/**
 * One reply spoken in contexts: text in, audio and word times out, one end.
 *
 * Usually a reply is one context. Vendors forget a context into which no text comes (Cartesia a second after
 * its last audio, ElevenLabs after its inactivity time-out), so when the text pauses (a tool runs, the model
 * stalls) the context is kept alive or finished early; text that comes after its end goes to a new one,
 * whose times continue the first one's.
 *
 *   push() -> pending text -> context on a socket -> audio, words -> done
 *                ^ no socket open yet, or the context before is being finished
 *
 * Invariants:
 * R1  Audio is delivered in the order of the text; two contexts of a reply never speak at once.
 * R2  `onDone` only when all pushed text was spoken and the vendor ended the context; any other end is an
 *     error. Up to then audio and words are those of the text, from its beginning, without a gap.
 * R3  After `cancel()`, `onDone` or `onError` no event fires, and none runs inside a call of the owner's.
 */
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import { bytesPerMs, bytesPerSample } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { AudioScratch } from "./audio-scratch.js";
import type { ContextDialect, ContextMessage, ContextReader, ContextScript } from "./context-dialect.js";
import type { ContextSocket, VoiceContext } from "./context-socket.js";
import type { TtsEvents, TtsRequest, TtsStream, TtsWord } from "./provider.js";

/** Text that waits for a socket or a context: a long reply is 2,000 characters. */
const PENDING_TEXT_MAX_CHARS = 16 * 1024;

export interface ContextStreamDeps {
  readonly dialect: ContextDialect;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly scratch: AudioScratch;
  /** Room for a context: `onSocket` is called now, or later, or the stream is failed. */
  readonly wantSocket: (stream: ContextStream) => void;
  readonly nextContextId: (callId: string) => string;
  /** Told once, when it needs nothing more. */
  readonly onEnded: (stream: ContextStream) => void;
}

type Phase =
  /** No context: nothing pushed yet, or the text paused and the last context is done. */
  | "idle"
  /** Text waits for a socket. */
  | "wanting"
  /** A context takes text. */
  | "speaking"
  /** The context was told that no more text comes. */
  | "finishing"
  | "ended";

export class ContextStream implements TtsStream, VoiceContext, ContextReader, Due {
  dueAtMs = NEVER;
  contextId = "";
  readonly #request: TtsRequest;
  readonly #events: TtsEvents;
  readonly #deps: ContextStreamDeps;
  readonly #bytesPerMs: number;
  readonly #sampleBytes: number;
  readonly #swapsBytes: boolean;
  #phase: Phase = "idle";
  #socket: ContextSocket | null = null;
  #script: ContextScript | null = null;
  /** In a row, since the context's last text or audio. */
  #keepAliveCount = 0;
  #pendingText = "";
  /** No more text comes from the owner. */
  #finished = false;
  /** Text sent that no audio has answered yet; "" when none is owed. */
  #unanswered = "";
  #answerDueAtMs = NEVER;
  /** Byte of a sample whose other half is in the next chunk; -1 when there is none. */
  #halfSample = -1;
  #audioBytes = 0;
  /** Audio of the contexts before this one. */
  #contextStartMs = 0;

  constructor(request: TtsRequest, events: TtsEvents, deps: ContextStreamDeps) {
    this.#request = request;
    this.#events = events;
    this.#deps = deps;
    this.#bytesPerMs = bytesPerMs(request.format);
    this.#sampleBytes = bytesPerSample(request.format.encoding);
    this.#swapsBytes = request.format.encoding === "l16be";
    deps.sweep.add(this);
  }

  // TtsStream

  push(text: string): void {
    if (this.#phase === "ended" || this.#finished) return;
    this.#pendingText += text;
    // White space alone makes no audio; it goes along with the words after it.
    if (this.#pendingText.trim() === "") return;
    if (this.#pendingText.length > PENDING_TEXT_MAX_CHARS) {
      this.#failSoon({ reason: "OVERFLOW", what: "has more text waiting than we keep" });
    } else if (this.#phase === "speaking") this.#sendPending();
    else if (this.#phase === "idle") this.#want();
  }

  finish(): void {
    if (this.#phase === "ended" || this.#finished) return;
    this.#finished = true;
    if (this.#phase === "speaking") this.#finishContext();
    else if (this.#phase === "idle") queueMicrotask(() => this.#end(null, true));
  }

  cancel(): void {
    this.#end(null, false);
  }

  // its provider

  /** Room on an open socket; begins a context there. */
  onSocket(socket: ContextSocket): void {
    this.#socket = socket;
    this.contextId = this.#deps.nextContextId(this.#request.callId);
    this.#script = this.#deps.dialect.begin(this.#request, this.contextId);
    this.#contextStartMs = this.#audioBytes / this.#bytesPerMs;
    socket.add(this);
    if (this.#script.opening !== null) socket.send(this.#script.opening);
    this.#phase = "speaking";
    this.#sendPending();
    if (this.#finished) this.#finishContext();
  }

  fail(failure: Failure): void {
    if (this.#phase !== "ended") this.#end(this.#deps.failures.error(failure), false);
  }

  // VoiceContext

  onMessage(message: ContextMessage): void {
    this.#script?.read(message, this);
  }

  onSocketLost(failure: Failure): void {
    this.#socket = null;
    this.fail(failure);
  }

  // Due

  onDue(): void {
    if (this.#phase === "speaking") {
      this.#onTextPaused();
      return;
    }
    const phase = this.#phase === "wanting" || this.#unanswered !== "" ? "firstEvent" : "betweenEvents";
    const what = phase === "firstEvent" ? "did not speak in time" : "stalled in a reply";
    this.fail({ reason: "TIMEOUT", what, detail: { phase } });
  }

  /** The text pauses; or what was sent ends in half a word, which is spoken only when told to finish. */
  #onTextPaused(): void {
    const { dialect, clock } = this.#deps;
    if (this.#unanswered !== "" || this.#keepAliveCount >= dialect.keepAlivesMax) {
      this.#finishContext();
      return;
    }
    this.#keepAliveCount += 1;
    this.#socket?.send(this.#script!.keepAlive());
    this.dueAtMs = clock.nowMs() + dialect.contextIdleMs;
  }

  #want(): void {
    this.#phase = "wanting";
    const { connectTimeoutMs, firstAudioTimeoutMs } = this.#deps.dialect.settings;
    this.dueAtMs = this.#deps.clock.nowMs() + connectTimeoutMs + firstAudioTimeoutMs;
    this.#deps.wantSocket(this);
  }

  #sendPending(): void {
    const text = this.#pendingText;
    this.#pendingText = "";
    const message = this.#script!.text(text);
    if (message !== null) this.#socket?.send(message);
    this.#unanswered += text;
    this.#keepAliveCount = 0;
    if (this.#unanswered !== text) return; // the deadline of the text before still runs
    const { firstAudioTimeoutMs } = this.#deps.dialect.settings;
    const nowMs = this.#deps.clock.nowMs();
    this.#answerDueAtMs = nowMs + firstAudioTimeoutMs;
    this.dueAtMs = nowMs + firstAudioTimeoutMs / 2;
  }

  #finishContext(): void {
    this.#phase = "finishing";
    for (const message of this.#script!.finish()) this.#socket?.send(message);
    this.dueAtMs =
      this.#unanswered === ""
        ? this.#deps.clock.nowMs() + this.#deps.dialect.settings.betweenEventsTimeoutMs
        : this.#answerDueAtMs;
  }

  // ContextReader

  get contextAudioMs(): number {
    return this.#audioBytes / this.#bytesPerMs - this.#contextStartMs;
  }

  onChunk(base64: unknown): void {
    if (typeof base64 !== "string") {
      this.fail({ reason: "PROTOCOL_ERROR", what: "sent a chunk without audio" });
      return;
    }
    const audio = this.#deps.scratch.decode(base64, this.#halfSample);
    const whole = audio.length - (audio.length % this.#sampleBytes);
    this.#halfSample = whole === audio.length ? -1 : audio[whole]!;
    this.#noteAudio();
    if (whole === 0) return;
    const samples = whole === audio.length ? audio : audio.subarray(0, whole);
    if (this.#swapsBytes) samples.swap16();
    this.#audioBytes += whole;
    this.#events.onAudio(samples);
  }

  onContextWords(words: readonly TtsWord[]): void {
    if (words.length === 0 || this.#phase === "ended") return; // R3: the audio before them may have ended it
    const startMs = this.#contextStartMs;
    this.#events.onWords(
      words.map((word) => ({
        word: word.word,
        startMs: startMs + word.startMs,
        endMs: startMs + word.endMs,
      })),
    );
  }

  /** The context is complete: ours to end the reply with, a pause of the text's, or the vendor's idea. */
  onContextDone(): void {
    if (this.#phase === "ended") return;
    if (this.#phase === "speaking") {
      // One that ends without a sound would end so again.
      if (this.contextAudioMs > 0 || this.#unanswered === "") this.#goOnElsewhere();
      else this.fail({ reason: "STREAM_BROKEN", what: "ended a reply it had not begun to speak" });
      return;
    }
    // Ended before it took the last text: a pause had been too long, and that text crossed the news of it.
    const forgotten =
      this.#deps.dialect.forgetsSilently && this.#unanswered !== "" && this.contextAudioMs > 0;
    if (forgotten) {
      this.#goOnElsewhere();
      return;
    }
    this.#leaveContext(true);
    this.#unanswered = "";
    this.#next();
  }

  onContextError(failure: Failure, forgotten: boolean): void {
    if (this.#phase === "ended") return;
    if (forgotten && this.contextAudioMs > 0) {
      this.#goOnElsewhere();
      return;
    }
    this.#leaveContext(true); // the vendor has ended it: nothing to cancel
    this.fail(failure);
  }

  /** We were late: what the context did not take goes to a new one, ahead of what came since. */
  #goOnElsewhere(): void {
    const held = this.#script?.heldText ?? "";
    const missed = this.#unanswered.length > held.length ? this.#unanswered : held;
    this.#pendingText = missed + this.#pendingText;
    this.#unanswered = "";
    this.#leaveContext(true);
    this.#next();
  }

  #next(): void {
    if (this.#pendingText.trim() !== "") this.#want();
    else if (this.#finished) this.#end(null, true);
  }

  #noteAudio(): void {
    this.#unanswered = "";
    this.#keepAliveCount = 0;
    const { settings, contextIdleMs } = this.#deps.dialect;
    const waitMs = this.#phase === "finishing" ? settings.betweenEventsTimeoutMs : contextIdleMs;
    this.dueAtMs = this.#deps.clock.nowMs() + waitMs;
  }

  #leaveContext(ended: boolean): void {
    this.#socket?.remove(this, ended);
    this.#socket = null;
    this.#script = null;
    this.#phase = "idle";
    this.#halfSample = -1;
    this.#keepAliveCount = 0;
    this.dueAtMs = NEVER;
  }

  #failSoon(failure: Failure): void {
    const error = this.#deps.failures.error(failure);
    this.#end(null, false);
    queueMicrotask(() => this.#report(error));
  }

  /** R3: the one way out. `done` when complete, `error` when it failed, neither when cancelled. */
  #end(error: LumentraError | null, done: boolean): void {
    if (this.#phase === "ended") return;
    const socket = this.#socket;
    if (socket !== null) {
      // What is being generated may still come; it finds no context and is dropped.
      socket.send(this.#script!.cancel());
      this.#leaveContext(false);
    }
    this.#phase = "ended";
    this.#pendingText = "";
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#deps.onEnded(this);
    if (error !== null || done) this.#report(error);
  }

  /** The last event: `onError`, or `onDone` without one. */
  #report(error: LumentraError | null): void {
    try {
      if (error !== null) this.#events.onError(error);
      else this.#events.onDone();
    } catch (thrown) {
      logThrown(this.#deps.log, this.#deps.dialect.name, this.#request.callId, thrown);
    }
  }
}
