/**
 * One stream of `/v2/listen` (Flux): turns instead of finals.
 *
 * ready --word--> speaking --silence--> awaitingEnd --more silence--> ready (turn_index + 1)
 *                    ^----- speech -----|
 *
 * Confidence that the turn is over grows with silence: it reaches 0.7 (the default threshold) after the
 * drawn final delay, and any other threshold in proportion.
 *
 * F1: an EndOfTurn's transcript equals that of the EagerEndOfTurn before it, or a TurnResumed stands between.
 * F2: without audio nothing happens: silence is counted in audio.
 */
import assert from "node:assert/strict";
import { drawMs } from "../distribution.js";
import { IdleWatch } from "../idle-watch.js";
import type { EmulatorSettings } from "../options.js";
import type { Wire, WireHandler } from "../wire.js";
import { type DueWord, DueWords } from "./due-words.js";
import { type FluxConfig, configurationMessage, configure } from "./flux-configure.js";
import type { FluxOptions } from "./query.js";
import { type HeardWord, Recognizer } from "./recognizer.js";
import { ReviewTimer } from "./review-timer.js";
import { StreamFaults } from "./stream-faults.js";
import { type StreamIdentity, UtteranceLog } from "./utterance-log.js";
import { seconds } from "./v1-results.js";

/** Users report the socket closing after 20 to 30 s without audio; pings keep it open. */
const FLUX_IDLE_MS = 25_000;
const UPDATE_EVERY_MS = 250;
/** The threshold that the drawn final delay stands for. */
const USUAL_THRESHOLD = 0.7;
/** Silence that must have been heard before an end, however short the drawn delay. */
const EAGER_SILENCE_MS = 40;
const END_SILENCE_MS = 80;
/** Speech this far past the end of the last word means the caller went on. */
const RESUMED_AFTER_MS = 40;

type TurnEvent = "StartOfTurn" | "Update" | "EagerEndOfTurn" | "TurnResumed" | "EndOfTurn";
type Trigger = "model" | "manual" | "timeout";

type TurnState =
  /** Nobody speaks. */
  | { readonly kind: "ready" }
  /** Words of a turn were shown. */
  | { readonly kind: "speaking" }
  /** An EagerEndOfTurn was sent for words that ended here. */
  | { readonly kind: "awaitingEnd"; readonly speechEndMs: number };

export class FluxSession implements WireHandler {
  readonly faults: StreamFaults;
  readonly #wire: Wire;
  readonly #settings: EmulatorSettings;
  readonly #identity: StreamIdentity;
  readonly #multi: boolean;
  readonly #log: UtteranceLog;
  readonly #onEnd: () => void;
  readonly #recognizer: Recognizer | null;
  #config: FluxConfig;
  #state: TurnState = { kind: "ready" };
  #sequenceId = 0;
  #turnIndex = 0;
  #turnStartMs = 0;
  /** Decoded, not yet due. */
  readonly #pending: DueWords;
  #shown: DueWord[] = [];
  /** Drawn once per turn. */
  #finalDelayMs: number;
  #lastUpdateMs = 0;
  readonly #reviews: ReviewTimer;
  readonly #idle: IdleWatch;
  #closing = false;

  constructor(
    wire: Wire,
    settings: EmulatorSettings,
    options: FluxOptions,
    identity: StreamIdentity,
    onEnd: () => void,
  ) {
    this.#wire = wire;
    this.#settings = settings;
    this.#identity = identity;
    this.#multi = options.model === "flux-general-multi";
    this.#config = options;
    this.#log = new UtteranceLog(settings.log, identity, "flux");
    this.#onEnd = onEnd;
    this.#pending = new DueWords(settings);
    this.#reviews = new ReviewTimer(settings.clock, () => this.#review());
    this.faults = new StreamFaults(wire, settings.clock, (code, description) =>
      this.#fail(code, description),
    );
    this.#recognizer =
      options.encoding === null
        ? null
        : new Recognizer(
            options.encoding,
            options.sampleRateHz,
            settings.clock,
            settings.rates.sttMaxRealtimeFactor,
            { onWord: (word) => this.#onWord(word), onSpeechStart: () => undefined },
          );
    this.#finalDelayMs = drawMs(settings.latency.sttFinalMs, settings.random);
    this.#send({ type: "Connected", request_id: identity.requestId });
    this.#idle = new IdleWatch(settings.clock, FLUX_IDLE_MS, () =>
      this.#fail("NET-0001", "No audio was received in time."),
    );
  }

  get audioMs(): number {
    return this.#recognizer?.positionMs ?? 0;
  }

  onBinary(bytes: Uint8Array): void {
    this.#idle.touch();
    if (this.#closing) return;
    if (bytes.length === 0 || this.#recognizer === null) {
      this.#fail("DATA-0000", "The audio could not be decoded.");
      return;
    }
    this.#recognizer.push(bytes);
    this.faults.onAudio(this.#recognizer.positionMs);
    if (this.#wire.open) this.#review();
  }

  onText(text: string): void {
    this.#idle.touch();
    let message: { type?: unknown; [key: string]: unknown };
    try {
      message = JSON.parse(text) as typeof message;
    } catch {
      message = {};
    }
    switch (message.type) {
      case "CloseStream":
        this.#closeStream();
        return;
      case "ForceEndTurn":
        this.#forceEnd();
        return;
      case "Configure":
        this.#configure(message);
        return;
      default:
        this.#fail("UNPARSABLE_CLIENT_MESSAGE", "The message could not be understood.");
    }
  }

  onPing(): void {
    this.#idle.touch();
  }

  onClosed(): void {
    this.#closing = true;
    this.#reviews.stop();
    this.#idle.stop();
    this.#onEnd();
  }

  #onWord(word: HeardWord): void {
    this.#pending.hear(word);
    this.#log.heard(word);
  }

  /** After audio and at timers: does whatever is due, and sets the timer for what comes next. */
  #review(): void {
    const nowMs = this.#settings.clock.nowMs();
    this.#log.speechEnd(this.#speechEndMs, this.#speechEndAtMs);
    this.#resumeIfSpeaking();
    this.#showDue(nowMs);
    if (this.#eagerDueAtMs() <= nowMs) this.#sendEager();
    const trigger = this.#endTrigger(nowMs);
    if (trigger !== null) this.#endTurn(trigger);
    this.#sendUpdate();
    const nextAtMs = Math.min(this.#pending.firstDueAtMs, this.#eagerDueAtMs(), this.#endDueAtMs());
    this.#reviews.wakeAt(this.#wire.open ? nextAtMs : Infinity);
  }

  #resumeIfSpeaking(): void {
    const state = this.#state;
    if (state.kind !== "awaitingEnd") return;
    if (this.#speechEndMs <= state.speechEndMs + RESUMED_AFTER_MS && this.#pending.count === 0) return;
    this.#resume();
  }

  #resume(): void {
    this.#state = { kind: "speaking" };
    this.#sendTurn("TurnResumed");
    this.#log.resumed();
  }

  #showDue(nowMs: number): void {
    const due = this.#pending.takeDue(nowMs);
    const last = due.at(-1);
    if (last === undefined) return;
    this.#shown.push(...due);
    if (this.#state.kind === "ready") {
      this.#state = { kind: "speaking" };
      this.#turnStartMs = this.#shown[0]!.startMs;
      this.#sendTurn("StartOfTurn");
    } else {
      // The next update carries the word; one is due at once, so that the interim delay holds.
      this.#lastUpdateMs = -UPDATE_EVERY_MS;
      this.#sendUpdate();
    }
    this.#log.interim(this.#transcript, last.dueAtMs - last.receivedAtMs, nowMs, last.dueAtMs);
  }

  get #speechEndMs(): number {
    return this.#recognizer?.speechEndMs ?? -1;
  }

  get #speechEndAtMs(): number {
    return this.#recognizer?.speechEndAtMs ?? 0;
  }

  /** When the confidence of the end reaches `threshold`; Infinity while words are due or too little silence was heard. */
  #reachedAtMs(threshold: number, silenceMs: number): number {
    if (this.#shown.length === 0 || this.#pending.count > 0) return Infinity;
    if (this.#recognizer!.silenceMs < silenceMs) return Infinity; // F2
    const late = this.faults.get("lateFinals")?.delayMs ?? 0;
    return this.#speechEndAtMs + (this.#finalDelayMs + late) * (threshold / USUAL_THRESHOLD);
  }

  #eagerDueAtMs(): number {
    const { eagerEotThreshold } = this.#config.thresholds;
    if (eagerEotThreshold === null || this.#state.kind !== "speaking") return Infinity;
    return this.#reachedAtMs(eagerEotThreshold, EAGER_SILENCE_MS);
  }

  #endDueAtMs(): number {
    const { eotThreshold } = this.#config.thresholds;
    if (this.#state.kind === "ready" || eotThreshold >= 1) return Infinity;
    if (this.faults.get("noSpeechFinal") !== undefined) return Infinity;
    return this.#reachedAtMs(eotThreshold, END_SILENCE_MS);
  }

  #endTrigger(nowMs: number): Trigger | null {
    if (this.#state.kind === "ready" || this.#pending.count > 0) return null;
    if (this.#endDueAtMs() <= nowMs) return "model";
    return this.#recognizer!.silenceMs >= this.#config.thresholds.eotTimeoutMs ? "timeout" : null;
  }

  #sendEager(): void {
    const flaps = this.faults.get("eagerFlapping")?.times ?? 0;
    for (let flap = 0; flap < flaps; flap++) {
      this.#sendEagerOnce();
      this.#resume();
    }
    this.#sendEagerOnce();
  }

  #sendEagerOnce(): void {
    this.#state = { kind: "awaitingEnd", speechEndMs: this.#speechEndMs };
    this.#sendTurn("EagerEndOfTurn");
    const plannedDelayMs =
      this.#finalDelayMs * ((this.#config.thresholds.eagerEotThreshold ?? USUAL_THRESHOLD) / USUAL_THRESHOLD);
    this.#log.eager(
      this.#transcript,
      plannedDelayMs,
      this.#settings.clock.nowMs(),
      this.#shownDueAtMs(plannedDelayMs),
    );
  }

  /** As timers have it; or the latest audio, when it was silence that was waited for. */
  #shownDueAtMs(plannedDelayMs: number): number {
    const heardAtMs = this.#recognizer?.heardAtMs ?? 0;
    return Math.max(this.#speechEndAtMs + plannedDelayMs, heardAtMs);
  }

  #endTurn(trigger: Trigger): void {
    this.#sendTurn("EndOfTurn", trigger);
    const late = this.faults.get("lateFinals")?.delayMs ?? 0;
    const plannedDelayMs =
      (this.#finalDelayMs + late) * (this.#config.thresholds.eotThreshold / USUAL_THRESHOLD);
    this.#log.final(
      this.#transcript,
      plannedDelayMs,
      this.#settings.clock.nowMs(),
      this.#shownDueAtMs(plannedDelayMs),
    );
    this.#state = { kind: "ready" };
    this.#turnIndex += 1;
    this.#shown = [];
    this.#turnStartMs = this.audioMs;
    this.#finalDelayMs = drawMs(this.#settings.latency.sttFinalMs, this.#settings.random);
  }

  /** Ends the turn now, with every word decoded. In between turns it has no effect. */
  #forceEnd(): void {
    if (this.#shown.length + this.#pending.count === 0) return;
    if (this.#pending.count > 0) {
      // F1: with words pending the turn was resumed when they were heard.
      assert(this.#state.kind !== "awaitingEnd");
      this.#shown.push(...this.#pending.takeAll());
      if (this.#state.kind === "ready") {
        this.#state = { kind: "speaking" };
        this.#sendTurn("StartOfTurn");
      }
    }
    this.#endTurn("manual");
  }

  #sendUpdate(): void {
    if (this.#state.kind === "awaitingEnd") return;
    if (this.audioMs - this.#lastUpdateMs < UPDATE_EVERY_MS) return;
    this.#sendTurn("Update");
  }

  #configure(message: Readonly<Record<string, unknown>>): void {
    const configured = configure(this.#config, message);
    if (configured === null) {
      this.#send({ type: "ConfigureFailure", request_id: this.#identity.requestId });
      return;
    }
    this.#config = configured;
    this.#send({
      type: "ConfigureSuccess",
      request_id: this.#identity.requestId,
      ...configurationMessage(configured, this.#multi),
    });
  }

  #closeStream(): void {
    this.#closing = true;
    if (this.#shown.length + this.#pending.count > 0) this.#forceEnd();
    this.#wire.close(1000, "");
  }

  #fail(code: string, description: string): void {
    this.#closing = true;
    this.#send({ type: "Error", code, description });
    this.#wire.close(code.startsWith("INTERNAL") || code.startsWith("NET") ? 1011 : 1008, code);
  }

  get #transcript(): string {
    return this.#shown.map((word) => word.word).join(" ");
  }

  #sendTurn(event: TurnEvent, trigger?: Trigger): void {
    this.#lastUpdateMs = this.audioMs;
    this.#send({
      type: "TurnInfo",
      request_id: this.#identity.requestId,
      event,
      turn_index: this.#turnIndex,
      audio_window_start: seconds(this.#turnStartMs),
      audio_window_end: seconds(this.audioMs),
      transcript: this.#transcript,
      words: this.#shown.map(({ word, confidence, startMs, endMs }) => ({
        word,
        confidence,
        start: seconds(startMs),
        end: seconds(endMs),
      })),
      end_of_turn_confidence: this.#confidence(event),
      ...(trigger === undefined ? {} : { trigger }),
      ...(this.#multi ? { languages: ["en"], languages_hinted: this.#config.languageHints } : {}),
    });
  }

  #confidence(event: TurnEvent): number {
    if (event === "EndOfTurn") return this.#config.thresholds.eotThreshold;
    if (event === "EagerEndOfTurn") return this.#config.thresholds.eagerEotThreshold ?? USUAL_THRESHOLD;
    if (this.#shown.length === 0) return 0;
    const share = (this.#recognizer?.silenceMs ?? 0) / this.#finalDelayMs;
    return Math.round(Math.min(0.29, 0.05 + 0.1 * share) * 1000) / 1000;
  }

  /** Every message of ours is counted from 0. */
  #send(message: object): void {
    this.#wire.sendJson({ ...message, sequence_id: this.#sequenceId });
    this.#sequenceId += 1;
  }
}
