/**
 * One call's recogniser stream over connections that may break: what was said and not yet final is said
 * again to the next one, and what comes twice is told once.
 *
 *   write ─> ReplayAudio ─┬─> stream in use            (ready)
 *                         └─ all since `#replayFromMs` (a stream that has just become ready)
 *
 * The audio kept is what no final covers. A final acknowledges its range, but a word that stood across its
 * end is still to come: so a replay begins before it, at the last final word, and words that lie before
 * that word's end are dropped. Long silence is acknowledged by itself.
 *
 * Invariants
 * Y1 every byte is in a final's range, or kept, or is silence nobody spoke in; only a sentence longer than
 *    KEPT_MAX_MS loses its beginning, and then the words already shown for it become final instead (Y3).
 * Y2 times are the call's, whichever stream they came from: a stream's zero is where its replay began.
 * Y3 a word is final once: by time, and across recognisers whose times differ by its text as well.
 * Y4 while a replay catches up, interims that end before what was already shown are held back.
 * Y5 `onError` comes once, when no recogniser is left to try or we were closed; after it nothing does.
 */
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import { logThrown } from "../handler-fault.js";
import type { SttEvents, SttProvider, SttRequest, SttStream, SttTranscript, SttWord } from "./provider.js";
import { ReplayAudio } from "./replay-audio.js";
import { SttFailover } from "./stt-failover.js";

/**
 * A long breath of a caller; finals come every few seconds, and what was shown of longer ones is final then (Y1). It must
 * exceed the silence after which a recogniser counts as stalled (8 s) by a sentence and its pause: at 12 s the first word
 * was lost to a recogniser that had said nothing. 160 KB of µ-law when it is all used, for moments.
 */
const KEPT_MAX_MS = 20_000;
/** A word that a final's end cuts in two began at most this long before it. */
const STRADDLE_MS = 1_000;
/** Before the last final word's end: recognisers disagree about where words end, and one needs a run-up. */
const RUN_UP_MS = 200;
/** Silence after which a recogniser that has shown nothing has heard nothing. */
const SILENCE_CONFIRMED_MS = 3_000;
/** … that was spoken in by our own voice activity, and still nothing is final: it was noise. */
const NOISE_CONFIRMED_MS = 12_000;
/** Kept of confirmed silence: a word's beginning, before the voice activity noticed, which takes it a tenth of a second. */
const SILENCE_KEPT_MS = 600;
/** The speech flag outlasts speech by a quarter of a second, and a final's range need not. */
const SPEECH_FLAG_OVERHANG_MS = 500;
/** A stream that lived this long failed for a reason of its own. */
export const PROVEN_AFTER_MS = 10_000;
/** A word of the same text that lies this far within the last final one is that one, by other clocks. */
const SAME_WORD_OVERLAP_MS = 50;
/** Two reports that speech began, this near to each other, are of the same speech. */
const SAME_SPEECH_MS = 500;

/** A recogniser to try, and the model it is asked for. */
export interface SttChoice {
  readonly provider: SttProvider;
  readonly model: string;
}

export interface ReplayingDeps {
  readonly choices: readonly SttChoice[];
  /** May this one be opened now? Each true is followed by one or more `onOutcome` for it. */
  readonly mayTry: (index: number) => boolean;
  /** Null: it works (it has answered, or the call ended before it could). Else how a stream on it failed. */
  readonly onOutcome: (index: number, error: LumentraError | null) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Told once, when the stream has ended. */
  readonly onEnded: (stream: ReplayingStream) => void;
}

const noWords: readonly SttWord[] = [];

export class ReplayingStream implements SttStream, SttEvents {
  readonly #deps: ReplayingDeps;
  readonly #request: SttRequest;
  readonly #events: SttEvents;
  readonly #audio: ReplayAudio;
  readonly #failover: SttFailover;
  #ended = false;

  // The stream in use.
  #index = 0;
  #inner: SttStream | null = null;
  #ready = false;
  #everReady = false;
  #openedAtMs = 0;
  /** Y2. */
  #offsetMs = 0;
  /** `onOutcome(index, null)` was told for it. */
  #provenGood = false;
  /** It was heard of later audio than the failure before it had reached. */
  #progressed = false;
  #reopenTimer: TimerHandle | null = null;
  #failedAtAudioMs = 0;
  #lastError: LumentraError | null = null;

  // What was told.
  #finalThroughMs = 0;
  #lastFinalWord: SttWord | null = null;
  /** Y3: words of a stream after the first are compared with what was final when it began. */
  #repeatsThroughMs = -1;
  #shownWords: readonly SttWord[] = noWords;
  #speechStartedMs = Number.NEGATIVE_INFINITY;

  // What was written.
  #quietMs = 0;
  #speechThroughMs = 0;
  #finalizeWaits = false;

  constructor(request: SttRequest, events: SttEvents, deps: ReplayingDeps) {
    this.#deps = deps;
    this.#request = request;
    this.#events = events;
    this.#audio = new ReplayAudio(request.format, KEPT_MAX_MS);
    this.#failover = new SttFailover(deps.choices.length, deps.mayTry, deps.random);
  }

  /** Opens the first stream; not from inside the constructor, since nothing may be told then. */
  begin(): void {
    this.#openNext();
  }

  /** Memory taken by audio that may have to be said again. */
  get keptBytes(): number {
    return this.#audio.capacityBytes;
  }

  // SttStream

  write(audio: Uint8Array, speech?: boolean): void {
    if (this.#ended) return;
    const beforeMs = this.#audio.endMs;
    this.#audio.append(audio, speech);
    if (this.#ready) this.#inner!.write(audio, speech);
    if (speech === false) {
      this.#quietMs += this.#audio.endMs - beforeMs;
      if (this.#quietMs >= SILENCE_CONFIRMED_MS) this.#forgetSilence();
    } else {
      this.#quietMs = 0;
      if (speech === true) this.#speechThroughMs = this.#audio.endMs;
    }
  }

  flush(): void {
    if (this.#ready) this.#inner!.flush();
  }

  nudge(): void {
    if (this.#ready) this.#inner!.nudge();
  }

  finalize(): void {
    if (this.#ended) return;
    this.#finalizeWaits = true;
    if (this.#ready) this.#inner!.finalize();
  }

  close(): void {
    this.#end(null);
  }

  /** Ends the stream with an error; not from inside a call of its owner's. */
  failWith(error: LumentraError): void {
    this.#end(error);
  }

  // SttEvents, of the stream in use

  onReady(): void {
    if (this.#ended) return;
    if (this.#lastError !== null) {
      this.#finishUnrepeatable();
      this.#repeatsThroughMs = this.#lastFinalWord?.endMs ?? 0;
    }
    const fromMs = Math.max(this.#replayFromMs, this.#audio.startMs);
    this.#offsetMs = Math.floor(fromMs);
    const inner = this.#inner!;
    this.#audio.readFrom(fromMs, (audio, speech) => inner.write(audio, speech));
    this.#ready = true;
    if (this.#finalizeWaits) inner.finalize();
    else inner.flush();
    if (this.#everReady) return;
    this.#everReady = true;
    this.#events.onReady?.();
  }

  onInterim(transcript: SttTranscript): void {
    const told = this.#told(transcript);
    this.#heardThrough(told.endMs);
    const shownThroughMs = this.#shownWords.at(-1)?.endMs ?? 0;
    if (this.#repeatsThroughMs >= 0 && told.endMs < shownThroughMs) return; // Y4
    this.#shownWords = told.words;
    this.#events.onInterim(told);
  }

  onFinal(transcript: SttTranscript, endOfSpeech: boolean): void {
    const told = this.#told(transcript);
    this.#heardThrough(told.endMs);
    this.#finalizeWaits = false;
    this.#tellFinal(told, endOfSpeech);
  }

  onSpeechStarted(atMs: number): void {
    const toldMs = atMs + this.#offsetMs;
    this.#heardThrough(toldMs);
    if (this.#repeatsThroughMs >= 0 && toldMs < this.#speechStartedMs + SAME_SPEECH_MS) return;
    this.#speechStartedMs = toldMs;
    this.#events.onSpeechStarted(toldMs);
  }

  onEagerEndOfTurn(transcript: SttTranscript): void {
    const told = this.#told(transcript);
    this.#heardThrough(told.endMs);
    this.#shownWords = told.words;
    this.#events.onEagerEndOfTurn(told);
  }

  onTurnResumed(): void {
    this.#events.onTurnResumed();
  }

  onError(error: LumentraError): void {
    const nowMs = this.#deps.clock.nowMs();
    const livedLong = this.#ready && nowMs - this.#openedAtMs >= PROVEN_AFTER_MS;
    this.#inner = null;
    this.#ready = false;
    this.#lastError = error;
    // It heard this caller, and now says nothing of what our voice activity took for speech: noise, or its fault? The
    // next stream hears the same and tells; until then other calls' breaker need not know.
    const isDoubtful = error.code === "STT_TIMEOUT" && this.#provenGood && this.#shownWords.length === 0;
    if (!isDoubtful) this.#deps.onOutcome(this.#index, error);
    if (this.#ended) return;
    if (error.code === "STT_CLOSED") return this.#end(error);
    this.#failover.failed(this.#index, error, this.#progressed || livedLong, nowMs);
    this.#failedAtAudioMs = this.#audio.endMs;
    this.#openNext();
  }

  #openNext(): void {
    const { clock, choices, log } = this.#deps;
    const step = this.#failover.next(clock.nowMs());
    switch (step.kind) {
      case "exhausted":
        return this.#exhausted();
      case "wait":
        this.#reopenTimer = clock.setTimer(step.forMs, () => {
          this.#reopenTimer = null;
          this.#openNext();
        });
        return;
      case "open": {
        const { provider, model } = choices[step.index]!;
        if (this.#lastError !== null) {
          const fields = {
            callId: this.#request.callId,
            provider: provider.name,
            code: this.#lastError.code,
          };
          log.warn(fields, "a recogniser's stream is opened again");
        }
        this.#index = step.index;
        this.#openedAtMs = clock.nowMs();
        this.#provenGood = false;
        this.#progressed = false;
        this.#inner = provider.open({ ...this.#request, model }, this);
      }
    }
  }

  /** On a later tick when nothing was opened at all: we are inside `open` then. */
  #exhausted(): void {
    const error =
      this.#lastError ?? new LumentraError("STT_CONNECT_FAILED", "no recogniser may be tried at present");
    if (this.#lastError !== null) this.#end(error);
    else queueMicrotask(() => this.#end(error));
  }

  /** Where a stream that begins now must begin to hear. */
  get #replayFromMs(): number {
    const wordEndMs = this.#lastFinalWord?.endMs ?? 0;
    return Math.max(0, wordEndMs, this.#finalThroughMs - STRADDLE_MS) - Math.min(RUN_UP_MS, wordEndMs);
  }

  /** Y1: what was shown of audio that is not kept any more cannot be heard again. */
  #finishUnrepeatable(): void {
    const { startMs } = this.#audio;
    if (startMs <= this.#replayFromMs) return;
    const words = this.#shownWords.filter((word) => middleOf(word) < startMs);
    if (words.length === 0) return;
    const told = {
      text: textOf(words),
      words,
      startMs: words[0]!.startMs,
      endMs: Math.min(startMs, words.at(-1)!.endMs),
    };
    const rest = this.#shownWords.slice(words.length);
    try {
      this.#tellFinal(told, false);
    } catch (thrown) {
      logThrown(this.#deps.log, "stt", this.#request.callId, thrown);
    }
    this.#shownWords = rest;
  }

  #tellFinal(told: SttTranscript, endOfSpeech: boolean): void {
    this.#finalThroughMs = Math.max(this.#finalThroughMs, told.endMs);
    this.#lastFinalWord = told.words.at(-1) ?? this.#lastFinalWord;
    this.#shownWords = noWords;
    this.#audio.dropBefore(Math.min(this.#replayFromMs, this.#audio.endMs));
    this.#events.onFinal(told, endOfSpeech);
  }

  #forgetSilence(): void {
    if (!this.#ready || this.#shownWords.length > 0) return;
    // Whoever misses a word asks for its final: it may be shorter than the flag's overhang.
    const isAnswered =
      !this.#finalizeWaits && this.#finalThroughMs + SPEECH_FLAG_OVERHANG_MS >= this.#speechThroughMs;
    if (!isAnswered && this.#quietMs < NOISE_CONFIRMED_MS) return;
    this.#audio.dropBefore(this.#audio.endMs - SILENCE_KEPT_MS);
  }

  #heardThrough(audioMs: number): void {
    if (audioMs >= this.#failedAtAudioMs) this.#progressed = true;
    if (this.#provenGood) return;
    this.#provenGood = true;
    this.#deps.onOutcome(this.#index, null);
  }

  /** Y2, Y3. */
  #told(transcript: SttTranscript): SttTranscript {
    const offsetMs = this.#offsetMs;
    const throughMs = this.#repeatsThroughMs;
    if (offsetMs === 0 && throughMs < 0) return transcript;
    const startMs = transcript.startMs + offsetMs;
    const endMs = transcript.endMs + offsetMs;
    const shifted = transcript.words.map(({ word, startMs: from, endMs: to }) => ({
      word,
      startMs: from + offsetMs,
      endMs: to + offsetMs,
    }));
    const words = shifted.filter((word) => !this.#isRepeat(word));
    if (words.length === shifted.length) return { text: transcript.text, words, startMs, endMs };
    return { text: textOf(words), words, startMs: Math.max(startMs, throughMs), endMs };
  }

  #isRepeat(word: SttWord): boolean {
    const throughMs = this.#repeatsThroughMs;
    if (throughMs < 0 || word.startMs >= throughMs) return false;
    if (middleOf(word) <= throughMs) return true;
    if (word.startMs > throughMs - SAME_WORD_OVERLAP_MS) return false;
    return bare(word.word) === bare(this.#lastFinalWord?.word ?? "");
  }

  /** Y5: the one way out. */
  #end(error: LumentraError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reopenTimer?.cancel();
    const inner = this.#inner;
    this.#inner = null;
    this.#ready = false;
    inner?.close();
    this.#audio.clear();
    if (inner !== null && !this.#provenGood) this.#deps.onOutcome(this.#index, null);
    this.#deps.onEnded(this);
    if (error === null) return;
    try {
      this.#events.onError(error);
    } catch (thrown) {
      logThrown(this.#deps.log, "stt", this.#request.callId, thrown);
    }
  }
}

function middleOf(word: SttWord): number {
  return (word.startMs + word.endMs) / 2;
}

function textOf(words: readonly SttWord[]): string {
  return words.map(({ word }) => word).join(" ");
}

function bare(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}
