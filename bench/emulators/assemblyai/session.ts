/**
 * One session of `/v3/ws`: turns of cumulative words, each final but perhaps the last; the end of a turn
 * once silence is long enough, and once more formatted where that was asked for.
 *
 * T1: a turn's end never leaves out a word that was decoded before it, and never comes before that word is due.
 * T2: silence is counted in audio, not in time.
 */
import type { Clock } from "#runtime/actor";
import { DueWords, type DueWord } from "../deepgram/due-words.js";
import { type HeardWord, Recognizer } from "../deepgram/recognizer.js";
import { ReviewTimer } from "../deepgram/review-timer.js";
import { StreamFaults } from "../deepgram/stream-faults.js";
import { UtteranceLog } from "../deepgram/utterance-log.js";
import { transcriptOf } from "../deepgram/v1-results.js";
import { drawMs } from "../distribution.js";
import type { EmulatorSettings } from "../options.js";
import type { Wire, WireHandler } from "../wire.js";
import type { AssemblyOptions } from "./query.js";

/** The vendor's bounds of one message. */
const MESSAGE_MIN_MS = 50;
const MESSAGE_MAX_MS = 1_000;
/** Audio it takes ahead of time before it calls that faster than real time; the vendor does not say. */
const AHEAD_MAX_MS = 10_000;
/** A session's longest life, for `expires_at`. */
const SESSION_MAX_S = 10_800;

export class AssemblySession implements WireHandler {
  readonly faults: StreamFaults;
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #settings: EmulatorSettings;
  #options: AssemblyOptions;
  readonly #log: UtteranceLog;
  readonly #onEnd: () => void;
  readonly #recognizer: Recognizer;
  readonly #pending: DueWords;
  readonly #reviews: ReviewTimer;
  readonly #openedAtMs: number;
  /** Of the present turn. */
  readonly #shown: DueWord[] = [];
  #turnOrder = 0;
  #finalDelayMs: number;
  /** ForceEndpoint: the turn ends then, silent or not. */
  #forcedAtMs = Infinity;
  #ending = false;

  constructor(
    wire: Wire,
    settings: EmulatorSettings,
    options: AssemblyOptions,
    sessionId: string,
    onEnd: () => void,
  ) {
    this.#wire = wire;
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#openedAtMs = settings.clock.nowMs();
    this.#finalDelayMs = this.#drawFinalDelay();
    this.#pending = new DueWords(settings);
    this.#reviews = new ReviewTimer(settings.clock, () => this.#review());
    const identity = { requestId: sessionId, modelUuid: sessionId, callId: null };
    this.#log = new UtteranceLog(settings.log, identity, "assemblyai");
    this.faults = new StreamFaults(wire, settings.clock, (code, description) => {
      wire.sendJson({ type: "Error", error_code: code, error: description });
      wire.close(3005, "Server error");
    });
    this.#recognizer = new Recognizer(
      options.encoding,
      options.sampleRateHz,
      settings.clock,
      settings.rates.sttMaxRealtimeFactor,
      {
        onWord: (word) => {
          this.#pending.hear(word);
          this.#log.heard(word);
        },
        onSpeechStart: () => undefined, // only u3-rt-pro tells of it
      },
    );
    const expiresAt = Math.floor(settings.clock.unixMs() / 1_000) + SESSION_MAX_S;
    // The open callback must have returned before anything is sent.
    setImmediate(() => wire.sendJson({ type: "Begin", id: sessionId, expires_at: expiresAt }));
  }

  get audioMs(): number {
    return this.#recognizer.positionMs;
  }

  onBinary(bytes: Uint8Array): void {
    if (this.#ending) return;
    const { encoding, sampleRateHz } = this.#options;
    const pieceMs = (bytes.length * 1_000) / (sampleRateHz * (encoding === "linear16" ? 2 : 1));
    if (pieceMs < MESSAGE_MIN_MS || pieceMs > MESSAGE_MAX_MS) {
      this.#wire.close(3007, `Input duration violation: ${pieceMs} ms. Expected between 50 and 1000 ms`);
      return;
    }
    const heardMs = this.#recognizer.positionMs + pieceMs;
    if (heardMs > this.#clock.nowMs() - this.#openedAtMs + AHEAD_MAX_MS) {
      this.#wire.close(3007, "Audio transmission rate exceeded");
      return;
    }
    this.#recognizer.push(bytes);
    this.faults.onAudio(this.#recognizer.positionMs);
    if (this.#wire.open) this.#review();
  }

  onText(text: string): void {
    const message = parsed(text);
    switch (message?.["type"]) {
      case "ForceEndpoint":
        if (this.faults.get("ignoreFinalize") !== undefined || this.#isSilent) return;
        this.#forcedAtMs =
          this.#clock.nowMs() + drawMs(this.#settings.latency.sttFinalizeMs, this.#settings.random);
        this.#review();
        return;
      case "UpdateConfiguration": {
        const { min_turn_silence: minMs, max_turn_silence: maxMs } = message;
        this.#options = {
          ...this.#options,
          ...(typeof minMs === "number" ? { minTurnSilenceMs: minMs } : {}),
          ...(typeof maxMs === "number" ? { maxTurnSilenceMs: maxMs } : {}),
        };
        return;
      }
      case "Terminate":
        this.#terminate();
        return;
      default:
        this.#wire.close(3006, "Invalid message");
    }
  }

  onPing(): void {}

  onClosed(): void {
    this.#ending = true;
    this.#reviews.stop();
    this.#onEnd();
  }

  get #isSilent(): boolean {
    return this.#shown.length + this.#pending.count === 0;
  }

  #review(): void {
    const nowMs = this.#clock.nowMs();
    const due = this.#pending.takeDue(nowMs);
    if (due.length > 0) {
      this.#shown.push(...due);
      this.#sendTurn({ endOfTurn: false, formatted: false });
      const last = due.at(-1)!;
      const planned = last.dueAtMs - last.receivedAtMs;
      this.#log.interim(transcriptOf(this.#shown, true), planned, nowMs, last.dueAtMs);
    }
    this.#log.speechEnd(this.#recognizer.speechEndMs, this.#recognizer.speechEndAtMs);
    if (this.#endDueAtMs() <= nowMs) this.#endTurn(nowMs);
    const nextAtMs = Math.min(this.#pending.firstDueAtMs, this.#endDueAtMs());
    this.#reviews.wakeAt(this.#wire.open ? nextAtMs : Infinity);
  }

  /** Infinity while there is nothing to end, or silence is still to be heard (T2). */
  #endDueAtMs(): number {
    if (this.#isSilent) return Infinity;
    const forcedAtMs = Math.max(this.#forcedAtMs, this.#pending.lastDueAtMs);
    const unsure = this.faults.get("noSpeechFinal") !== undefined;
    const { minTurnSilenceMs, maxTurnSilenceMs } = this.#options;
    if (this.#recognizer.silenceMs < (unsure ? maxTurnSilenceMs : minTurnSilenceMs)) return forcedAtMs;
    const late = this.faults.get("lateFinals")?.delayMs ?? 0;
    const endAtMs = this.#recognizer.speechEndAtMs + this.#finalDelayMs + late;
    return Math.min(forcedAtMs, Math.max(endAtMs, this.#pending.lastDueAtMs)); // T1
  }

  #endTurn(nowMs: number): void {
    this.#shown.push(...this.#pending.takeAll());
    this.#sendTurn({ endOfTurn: true, formatted: false });
    if (this.#options.formatTurns) this.#sendTurn({ endOfTurn: true, formatted: true });
    const text = transcriptOf(this.#shown, true);
    const dueAtMs = Math.max(this.#recognizer.speechEndAtMs + this.#finalDelayMs, this.#recognizer.heardAtMs);
    this.#log.final(text, this.#finalDelayMs, nowMs, dueAtMs);
    this.#shown.length = 0;
    this.#turnOrder += 1;
    this.#forcedAtMs = Infinity;
    this.#finalDelayMs = this.#drawFinalDelay();
  }

  #sendTurn({ endOfTurn, formatted }: { readonly endOfTurn: boolean; readonly formatted: boolean }): void {
    const words = this.#shown;
    // The last word may still change until the turn ends.
    const finalWords = endOfTurn ? words : words.slice(0, -1);
    const text = transcriptOf(finalWords, formatted);
    this.#wire.sendJson({
      type: "Turn",
      turn_order: this.#turnOrder,
      turn_is_formatted: formatted,
      end_of_turn: endOfTurn,
      transcript: text,
      utterance: endOfTurn ? text : "",
      end_of_turn_confidence: endOfTurn ? 0.9 : 0.1,
      words: words.map((word, index) => ({
        text: transcriptOf([word as HeardWord], formatted),
        start: Math.round(word.startMs),
        end: Math.round(word.endMs),
        confidence: word.confidence,
        word_is_final: index < finalWords.length,
      })),
    });
  }

  #terminate(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#isSilent) this.#endTurn(this.#clock.nowMs());
    this.#wire.sendJson({
      type: "Termination",
      audio_duration_seconds: Math.round(this.audioMs / 1_000),
      session_duration_seconds: Math.round((this.#clock.nowMs() - this.#openedAtMs) / 1_000),
    });
    this.#wire.close(1000, "");
  }

  #drawFinalDelay(): number {
    return drawMs(this.#settings.latency.sttFinalMs, this.#settings.random);
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const message = JSON.parse(text) as unknown;
    return typeof message === "object" ? (message as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return null;
  }
}
