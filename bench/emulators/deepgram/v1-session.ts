/**
 * One stream of `/v1/listen`.
 *
 * A word is decoded when its audio has arrived, becomes `due` after the drawn interim delay, and is then
 * shown in interims until a final closes it. An utterance ends with a final at the drawn delay after
 * speech stopped, if by then the endpointing silence was heard and nobody spoke on.
 *
 * V1: a final never leaves out a word that was decoded before it, and never comes before that word is due.
 * V2: silence is counted in audio, not in time: a stream that stalls ends nothing.
 */
import { createHash } from "node:crypto";
import type { TimerHandle } from "#runtime/actor";
import { drawMs } from "../distribution.js";
import { IdleWatch } from "../idle-watch.js";
import type { EmulatorSettings } from "../options.js";
import type { Wire, WireHandler } from "../wire.js";
import { type DueWord, DueWords } from "./due-words.js";
import type { V1Options } from "./query.js";
import { type HeardWord, Recognizer } from "./recognizer.js";
import { ReviewTimer } from "./review-timer.js";
import { StreamFaults } from "./stream-faults.js";
import { type StreamIdentity, UtteranceLog } from "./utterance-log.js";
import { type V1Envelope, resultsMessage, seconds, transcriptOf } from "./v1-results.js";

/** The vendor's: no message for so long ends the stream (NET-0001), and so does no audio after opening, whatever else came. */
const V1_IDLE_MS = 10_000;
/** A segment of speech longer than this gets a final without `speech_final`, as the vendor's do. */
const SEGMENT_MAX_MS = 5_000;
/** Silence longer than this gets an empty final. */
const SILENT_SEGMENT_MS = 5_000;

export class V1Session implements WireHandler {
  readonly faults: StreamFaults;
  readonly #wire: Wire;
  readonly #settings: EmulatorSettings;
  readonly #options: V1Options;
  readonly #envelope: V1Envelope;
  readonly #log: UtteranceLog;
  readonly #onEnd: () => void;
  readonly #recognizer: Recognizer | null;
  readonly #audioHash = createHash("sha256");
  /** Decoded, not yet due. */
  readonly #pending: DueWords;
  /** Due, and not yet closed by a final. */
  readonly #shown: DueWord[] = [];
  /** Closed in this utterance by finals without `speech_final`. */
  #closedText: string[] = [];
  #segmentStartMs = 0;
  /** Speech has been heard that no `speech_final` has ended. */
  #inUtterance = false;
  /** Drawn once per utterance. */
  #finalDelayMs: number;
  /** End of the last finalised word that no UtteranceEnd was sent for; -1 without one. */
  #utteranceWordEndMs = -1;
  readonly #reviews: ReviewTimer;
  readonly #idle: IdleWatch;
  readonly #firstAudioTimer: TimerHandle;
  #gotAudio = false;
  #closing = false;

  constructor(
    wire: Wire,
    settings: EmulatorSettings,
    options: V1Options,
    identity: StreamIdentity,
    onEnd: () => void,
  ) {
    this.#wire = wire;
    this.#settings = settings;
    this.#options = options;
    this.#envelope = { ...identity, ...options };
    this.#log = new UtteranceLog(settings.log, identity, "v1");
    this.#onEnd = onEnd;
    this.#pending = new DueWords(settings);
    this.#reviews = new ReviewTimer(settings.clock, () => this.#review());
    this.faults = new StreamFaults(wire, settings.clock, (code, description) => {
      wire.sendJson({ type: "Error", variant: code, description, message: description });
      wire.close(1011, code);
    });
    this.#recognizer =
      options.encoding === null
        ? null
        : new Recognizer(
            options.encoding,
            options.sampleRateHz,
            settings.clock,
            settings.rates.sttMaxRealtimeFactor,
            { onWord: (word) => this.#onWord(word), onSpeechStart: (atMs) => this.#onSpeechStart(atMs) },
          );
    this.#finalDelayMs = this.#drawFinalDelay();
    const tooQuiet = (): void => wire.close(1011, "NET-0001");
    this.#idle = new IdleWatch(settings.clock, V1_IDLE_MS, tooQuiet);
    this.#firstAudioTimer = settings.clock.setTimer(V1_IDLE_MS, () => {
      if (!this.#gotAudio) tooQuiet();
    });
  }

  get audioMs(): number {
    return this.#recognizer?.positionMs ?? 0;
  }

  onBinary(bytes: Uint8Array): void {
    this.#idle.touch();
    if (this.#closing) return;
    // An empty frame, a container or a control message sent as binary are no audio.
    if (bytes.length === 0 || this.#recognizer === null || looksLikeControl(bytes)) {
      this.#wire.close(1008, "DATA-0000");
      return;
    }
    this.#gotAudio = true;
    this.#audioHash.update(bytes);
    this.#recognizer.push(bytes);
    this.faults.onAudio(this.#recognizer.positionMs);
    if (this.#wire.open) this.#review();
  }

  onText(text: string): void {
    this.#idle.touch();
    switch (controlType(text)) {
      case "KeepAlive":
        return;
      case "Finalize":
        this.#finalize();
        return;
      case "CloseStream":
        this.#closeStream();
        return;
      default: {
        const description = "Could not deserialize last text message.";
        this.#wire.sendJson({
          type: "Error",
          variant: "UNPARSABLE_CLIENT_MESSAGE",
          description,
          message: description,
        });
        this.#wire.close(1008, "DATA-0000");
      }
    }
  }

  onPing(): void {}

  onClosed(): void {
    this.#closing = true;
    this.#reviews.stop();
    this.#idle.stop();
    this.#firstAudioTimer.cancel();
    this.#onEnd();
  }

  #onSpeechStart(atMs: number): void {
    if (this.#options.vadEvents) {
      this.#wire.sendJson({ type: "SpeechStarted", channel: [0, 1], timestamp: seconds(atMs) });
    }
  }

  #onWord(word: HeardWord): void {
    this.#pending.hear(word);
    this.#inUtterance = true;
    this.#log.heard(word);
  }

  /** After audio and at timers: does whatever is due, and sets the timer for what comes next. */
  #review(): void {
    const nowMs = this.#settings.clock.nowMs();
    this.#showDue(nowMs);
    this.#log.speechEnd(this.#speechEndMs, this.#speechEndAtMs);
    const finalAtMs = this.#finalDueAtMs();
    if (finalAtMs <= nowMs) this.#endUtterance();
    else this.#closeSegmentOfSilence();
    this.#sendUtteranceEnd();
    const nextAtMs = Math.min(this.#pending.firstDueAtMs, this.#finalDueAtMs());
    this.#reviews.wakeAt(this.#wire.open ? nextAtMs : Infinity);
  }

  /** Moves due words to the shown ones and sends one interim for them. */
  #showDue(nowMs: number): void {
    const due = this.#pending.takeDue(nowMs);
    const last = due.at(-1);
    if (last === undefined) return;
    this.#shown.push(...due);
    if (this.#options.interimResults) {
      this.#sendResults(this.#shown, this.audioMs, {
        isFinal: false,
        speechFinal: false,
        fromFinalize: false,
      });
      this.#log.interim(
        this.#utteranceText(),
        last.dueAtMs - last.receivedAtMs,
        this.#settings.clock.nowMs(),
        last.dueAtMs,
      );
    }
    if (last.endMs - this.#segmentStartMs <= SEGMENT_MAX_MS) return;
    // What is not yet due belongs to the next segment.
    this.#closeSegment(this.#shown.splice(0), last.endMs, false, false);
  }

  get #speechEndMs(): number {
    return this.#recognizer?.speechEndMs ?? -1;
  }

  get #speechEndAtMs(): number {
    return this.#recognizer?.speechEndAtMs ?? 0;
  }

  /** Infinity while there is nothing to end or silence is still to be heard. */
  #finalDueAtMs(): number {
    const { endpointingMs } = this.#options;
    if (!this.#inUtterance || endpointingMs === null) return Infinity;
    if (this.#recognizer!.silenceMs < endpointingMs) return Infinity; // V2
    const late = this.faults.get("lateFinals")?.delayMs ?? 0;
    const speechFinalAtMs = this.#speechEndAtMs + this.#finalDelayMs + late;
    return Math.max(speechFinalAtMs, this.#pending.lastDueAtMs); // V1
  }

  #endUtterance(): void {
    const empty = this.faults.get("emptyFinals")?.count ?? 0;
    for (let sent = 0; sent < empty; sent++) {
      const kind = { isFinal: true, speechFinal: true, fromFinalize: false };
      this.#sendResults([], this.#segmentStartMs, kind);
    }
    const speechFinal = this.faults.get("noSpeechFinal") === undefined;
    const plannedDelayMs = this.#finalDelayMs + (this.faults.get("lateFinals")?.delayMs ?? 0);
    const dueAtMs = Math.max(this.#finalDueAtMs(), this.#recognizer!.heardAtMs);
    this.#closeSegment(this.#takeOpen(), this.audioMs, speechFinal, false);
    this.#utteranceOver(plannedDelayMs, dueAtMs);
  }

  #utteranceOver(plannedDelayMs: number, dueAtMs: number): void {
    this.#log.final(this.#utteranceText(), plannedDelayMs, this.#settings.clock.nowMs(), dueAtMs);
    this.#inUtterance = false;
    this.#closedText = [];
    this.#finalDelayMs = this.#drawFinalDelay();
  }

  /** Everything decoded that no final has closed. */
  #takeOpen(): DueWord[] {
    return [...this.#shown.splice(0), ...this.#pending.takeAll()];
  }

  /** A final for these words. */
  #closeSegment(words: readonly DueWord[], endMs: number, speechFinal: boolean, fromFinalize: boolean): void {
    this.#sendResults(words, endMs, { isFinal: true, speechFinal, fromFinalize });
    const text = transcriptOf(words, this.#options.punctuate);
    if (text !== "") this.#closedText.push(text);
    if (words.length > 0) this.#utteranceWordEndMs = words.at(-1)!.endMs;
    this.#segmentStartMs = endMs;
  }

  #closeSegmentOfSilence(): void {
    if (this.#inUtterance || this.audioMs - this.#segmentStartMs < SILENT_SEGMENT_MS) return;
    this.#closeSegment(this.#takeOpen(), this.audioMs, false, false);
  }

  #sendUtteranceEnd(): void {
    const { utteranceEndMs } = this.#options;
    if (utteranceEndMs === null || this.#utteranceWordEndMs < 0 || this.#inUtterance) return;
    if (this.audioMs - this.#utteranceWordEndMs < utteranceEndMs) return;
    const lastWordEnd = seconds(this.#utteranceWordEndMs);
    this.#utteranceWordEndMs = -1;
    this.#wire.sendJson({ type: "UtteranceEnd", channel: [0, 1], last_word_end: lastWordEnd });
  }

  /** What is unfinalised becomes final; with nothing unfinalised there is no answer, as the vendor warns. */
  #finalize(): void {
    if (this.#closing || this.faults.get("ignoreFinalize") !== undefined) return;
    if (this.#shown.length + this.#pending.count === 0) return;
    const delayMs = drawMs(this.#settings.latency.sttFinalizeMs, this.#settings.random);
    const askedAtMs = this.#settings.clock.nowMs();
    const dueAtMs = Math.max(askedAtMs + delayMs, this.#pending.lastDueAtMs);
    this.#settings.clock.setTimer(dueAtMs - askedAtMs, () => {
      if (!this.#wire.open || this.#shown.length + this.#pending.count === 0) return;
      const silent = this.#recognizer!.silenceMs >= (this.#options.endpointingMs ?? Infinity);
      this.#closeSegment(this.#takeOpen(), this.audioMs, silent, true);
      if (silent) this.#utteranceOver(askedAtMs + delayMs - this.#speechEndAtMs, dueAtMs);
      this.#review();
    });
  }

  #closeStream(): void {
    if (this.#closing) return;
    this.#closing = true;
    const delayMs = drawMs(this.#settings.latency.sttFinalizeMs, this.#settings.random);
    const dueAtMs = this.#settings.clock.nowMs() + delayMs;
    this.#settings.clock.setTimer(delayMs, () => {
      if (!this.#wire.open) return;
      if (this.#shown.length + this.#pending.count > 0) {
        this.#closeSegment(this.#takeOpen(), this.audioMs, false, false);
        this.#utteranceOver(delayMs, dueAtMs);
      }
      this.#wire.sendJson({
        type: "Metadata",
        transaction_key: "deprecated",
        request_id: this.#envelope.requestId,
        sha256: this.#audioHash.digest("hex"),
        created: new Date(this.#settings.clock.unixMs()).toISOString(),
        duration: seconds(this.audioMs),
        channels: 1,
      });
      this.#wire.close(1000, "");
    });
  }

  #sendResults(
    words: readonly HeardWord[],
    endMs: number,
    kind: { isFinal: boolean; speechFinal: boolean; fromFinalize: boolean },
  ): void {
    this.#wire.sendJson(resultsMessage(this.#envelope, words, this.#segmentStartMs, endMs, kind));
  }

  /** The whole utterance so far. */
  #utteranceText(): string {
    const open = transcriptOf(this.#shown, this.#options.punctuate);
    return [...this.#closedText, ...(open === "" ? [] : [open])].join(" ");
  }

  #drawFinalDelay(): number {
    return drawMs(this.#settings.latency.sttFinalMs, this.#settings.random);
  }
}

/** `{"type":"KeepAlive"}` and the like, sent as binary by mistake. */
function looksLikeControl(bytes: Uint8Array): boolean {
  if (bytes.length > 64 || bytes[0] !== 0x7b) return false;
  return Buffer.from(bytes).toString("latin1").includes('"type"');
}

/** The type of a control message; "" when it is none. */
function controlType(text: string): string {
  try {
    const message = JSON.parse(text) as { type?: unknown } | null;
    return typeof message?.type === "string" ? message.type : "";
  } catch {
    return "";
  }
}
