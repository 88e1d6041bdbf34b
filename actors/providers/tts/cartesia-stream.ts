/**
 * One reply spoken by Cartesia: text in, audio and word times out, one end.
 *
 * Usually a reply is one context. A context expires a second after its last audio, and sending on an
 * expired one is unsupported; so when the text pauses (a tool runs, the model stalls) the context is
 * finished early, and text that comes later goes to a new one, whose times continue the first one's.
 *
 *   push() -> pending text -> context on a socket -> audio, words -> done
 *                ^ no socket open yet, or the context before is being finished
 *
 * Invariants:
 * R1  Audio is delivered in the order of the text; two contexts of a reply never speak at once.
 * R2  `onDone` only when all pushed text was spoken and the server said `done`; any other end is an error.
 * R3  After `cancel()`, `onDone` or `onError` no event fires, and none runs inside a call of the owner's.
 */
import type { Clock } from "#runtime/actor";
import type { LumentraError } from "#runtime/errors";
import { bytesPerMs, bytesPerSample } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import { logThrown } from "../handler-fault.js";
import type { CartesiaSettings } from "../settings.js";
import type { AudioScratch } from "./audio-scratch.js";
import {
  type CartesiaMessage,
  cancelMessage,
  envelopeOf,
  failureOf,
  finishMessage,
  textMessage,
  wordsOf,
} from "./cartesia-messages.js";
import type { CartesiaContext, CartesiaSocket } from "./cartesia-socket.js";
import type { TtsEvents, TtsRequest, TtsStream } from "./provider.js";

/** Finish a context this long after its last audio: before the second at which it expires, sweep included. */
const CONTEXT_IDLE_MS = 700;
/** Text that waits for a socket or a context: a long reply is 2,000 characters. */
const PENDING_TEXT_MAX_CHARS = 16 * 1024;

export interface CartesiaStreamDeps {
  readonly settings: CartesiaSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly scratch: AudioScratch;
  /** Room for a context: `onSocket` is called now, or later, or the stream is failed. */
  readonly wantSocket: (stream: CartesiaStream) => void;
  readonly nextContextId: (callId: string) => string;
  /** Told once, when it needs nothing more. */
  readonly onEnded: (stream: CartesiaStream) => void;
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

export class CartesiaStream implements TtsStream, CartesiaContext, Due {
  dueAtMs = NEVER;
  contextId = "";
  readonly #request: TtsRequest;
  readonly #events: TtsEvents;
  readonly #deps: CartesiaStreamDeps;
  readonly #bytesPerMs: number;
  readonly #sampleBytes: number;
  readonly #swapsBytes: boolean;
  #phase: Phase = "idle";
  #socket: CartesiaSocket | null = null;
  /** What does not change within a context, as JSON up to the transcript. */
  #envelope = "";
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

  constructor(request: TtsRequest, events: TtsEvents, deps: CartesiaStreamDeps) {
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
  onSocket(socket: CartesiaSocket): void {
    this.#socket = socket;
    this.contextId = this.#deps.nextContextId(this.#request.callId);
    this.#envelope = envelopeOf(this.#request, this.contextId);
    this.#contextStartMs = this.#audioBytes / this.#bytesPerMs;
    socket.add(this);
    this.#phase = "speaking";
    this.#sendPending();
    if (this.#finished) this.#finishContext();
  }

  fail(failure: Failure): void {
    if (this.#phase !== "ended") this.#end(this.#deps.failures.error(failure), false);
  }

  // CartesiaContext

  onMessage(message: CartesiaMessage): void {
    switch (message["type"]) {
      case "chunk":
        this.#onChunk(message["data"]);
        return;
      case "timestamps":
        this.#onTimestamps(message["word_timestamps"]);
        return;
      case "done":
        this.#onContextDone();
        return;
      case "error":
        this.#onContextError(failureOf(message));
        return;
      default: // flush_done, phoneme_timestamps and what they may add: nothing to act on
    }
  }

  onSocketLost(failure: Failure): void {
    this.#socket = null;
    this.fail(failure);
  }

  // Due

  onDue(): void {
    if (this.#phase === "speaking") {
      // The text pauses; or what was sent ends in half a word, which is spoken only when told to finish.
      this.#finishContext();
      return;
    }
    const phase = this.#phase === "wanting" || this.#unanswered !== "" ? "firstEvent" : "betweenEvents";
    const what = phase === "firstEvent" ? "did not speak in time" : "stalled in a reply";
    this.fail({ reason: "TIMEOUT", what, detail: { phase } });
  }

  #want(): void {
    this.#phase = "wanting";
    const { connectTimeoutMs, firstAudioTimeoutMs } = this.#deps.settings;
    this.dueAtMs = this.#deps.clock.nowMs() + connectTimeoutMs + firstAudioTimeoutMs;
    this.#deps.wantSocket(this);
  }

  #sendPending(): void {
    const text = this.#pendingText;
    this.#pendingText = "";
    this.#socket?.send(textMessage(this.#envelope, text));
    this.#unanswered += text;
    if (this.#unanswered !== text) return; // the deadline of the text before still runs
    const { firstAudioTimeoutMs } = this.#deps.settings;
    const nowMs = this.#deps.clock.nowMs();
    this.#answerDueAtMs = nowMs + firstAudioTimeoutMs;
    this.dueAtMs = nowMs + firstAudioTimeoutMs / 2;
  }

  #finishContext(): void {
    this.#phase = "finishing";
    this.#socket?.send(finishMessage(this.#envelope));
    this.dueAtMs =
      this.#unanswered === ""
        ? this.#deps.clock.nowMs() + this.#deps.settings.betweenEventsTimeoutMs
        : this.#answerDueAtMs;
  }

  #onChunk(data: unknown): void {
    if (typeof data !== "string") {
      this.fail({ reason: "PROTOCOL_ERROR", what: "sent a chunk without audio" });
      return;
    }
    const audio = this.#deps.scratch.decode(data, this.#halfSample);
    const whole = audio.length - (audio.length % this.#sampleBytes);
    this.#halfSample = whole === audio.length ? -1 : audio[whole]!;
    this.#noteAudio();
    if (whole === 0) return;
    const samples = whole === audio.length ? audio : audio.subarray(0, whole);
    if (this.#swapsBytes) samples.swap16();
    this.#audioBytes += whole;
    this.#events.onAudio(samples);
  }

  #noteAudio(): void {
    this.#unanswered = "";
    const waitMs = this.#phase === "finishing" ? this.#deps.settings.betweenEventsTimeoutMs : CONTEXT_IDLE_MS;
    this.dueAtMs = this.#deps.clock.nowMs() + waitMs;
  }

  #onTimestamps(value: unknown): void {
    const spoken = wordsOf(value, this.#contextStartMs);
    if (spoken.length > 0) this.#events.onWords(spoken);
  }

  /** The context is complete: ours to end the reply with, a pause of the text's, or the server's idea. */
  #onContextDone(): void {
    this.#leaveContext();
    this.#unanswered = "";
    if (this.#pendingText.trim() !== "") this.#want();
    else if (this.#finished) this.#end(null, true);
  }

  #onContextError(failure: Failure): void {
    this.#leaveContext(); // the server has ended it: nothing to cancel
    const said = `${failure.detail?.providerCode} ${failure.detail?.providerMessage}`;
    const hadAudio = this.#audioBytes > this.#contextStartMs * this.#bytesPerMs;
    if (!hadAudio || !/expired/i.test(said)) {
      this.fail(failure);
      return;
    }
    // We were late: what it did not take goes to a new context, ahead of what came since.
    const text = this.#unanswered;
    this.#pendingText = text + this.#pendingText;
    this.#onContextDone();
  }

  #leaveContext(): void {
    this.#socket?.remove(this);
    this.#socket = null;
    this.#phase = "idle";
    this.#halfSample = -1;
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
      socket.send(cancelMessage(this.contextId));
      this.#leaveContext();
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
      logThrown(this.#deps.log, "cartesia", this.#request.callId, thrown);
    }
  }
}
